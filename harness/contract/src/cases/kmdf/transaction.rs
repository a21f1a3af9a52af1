//! WdfDmaTransaction over the scatter/gather lists of either version (KD-20): the device reads or writes
//! each element by itself, the CPU looks at the memory afterwards.

use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::{DMA_OP_CRC, DMA_OP_WRITE_PATTERN};
use dmarig_abi::operation::SLOT_NONE;
use dmarig_abi::{Iova, KmdfElement};
use zerocopy::FromBytes as _;

use super::KMDF;
use crate::bench::{Bench, Buffer, MdlSource};
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::framework::{DmaProfile, EnablerConfig};
use crate::nt_status::NtStatus;
use crate::oracle::{self, PAGE_SIZE};
use crate::step::{Completion, Step, StepResult, Transfer, TransferMode};

use DmaProfile::{Packet64, ScatterGather, ScatterGather64, ScatterGather64Duplex};

const FROM_DEVICE: u32 = 0;
const TO_DEVICE: u32 = 1;
const SEED: u64 = 0x2020;
/// Parts of one transaction, more than any case has.
const PARTS_MAX: usize = 64;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("KD-20/to-the-device", "4 scattered pages to the device by the lists of version 2", BOTH, |bench| round(bench, EnablerConfig::new(ScatterGather64), TO_DEVICE, WHOLE)).under(&KMDF),
    Case::new("KD-20/from-the-device", "the same from the device", BOTH, |bench| round(bench, EnablerConfig::new(ScatterGather64), FROM_DEVICE, WHOLE)).under(&KMDF),
    Case::new("KD-20/version-3-to-the-device", "to the device by the lists of version 3", BOTH, |bench| round(bench, EnablerConfig::new(ScatterGather64).version_3(), TO_DEVICE, WHOLE)).under(&KMDF),
    Case::new("KD-20/version-3-from-the-device", "the same from the device", BOTH, |bench| round(bench, EnablerConfig::new(ScatterGather64).version_3(), FROM_DEVICE, WHOLE)).under(&KMDF),
    Case::new("KD-20/32-bit-profile", "from the device by a 32-bit profile", BOTH, |bench| round(bench, EnablerConfig::new(ScatterGather), FROM_DEVICE, WHOLE)).under(&KMDF),
    Case::new("KD-20/duplex-profile", "to the device by a duplex profile", BOTH, |bench| round(bench, EnablerConfig::new(ScatterGather64Duplex), TO_DEVICE, WHOLE)).under(&KMDF),
    Case::new("KD-20/packet-profile", "from the device by a packet profile", BOTH, |bench| round(bench, EnablerConfig::new(Packet64), FROM_DEVICE, WHOLE)).under(&KMDF),
    Case::new("KD-20/packet-profile-version-3", "to the device by a packet profile of version 3", BOTH, |bench| round(bench, EnablerConfig::new(Packet64).version_3(), TO_DEVICE, WHOLE)).under(&KMDF),
    Case::new("KD-20/odd-part", "a part that starts and ends inside of pages", BOTH, |bench| round(bench, EnablerConfig::new(ScatterGather64), FROM_DEVICE, (100, 9000))).under(&KMDF),
    Case::new("KD-20/in-parts", "a transaction beyond the maximum length comes in parts", BOTH, |bench| round(bench, EnablerConfig { maximum_length_bytes: PAGE_SIZE, ..EnablerConfig::new(ScatterGather64) }, FROM_DEVICE, WHOLE)).under(&KMDF),
    Case::new("KD-20/in-parts-of-version-3", "the same by version 3, to the device", BOTH, |bench| round(bench, EnablerConfig { maximum_length_bytes: PAGE_SIZE, ..EnablerConfig::new(ScatterGather64).version_3() }, TO_DEVICE, WHOLE)).under(&KMDF),
    Case::new("KD-20/by-address", "locked pages by their virtual address, both ways", BOTH, by_address).under(&KMDF),
    Case::new("KD-20/short-transfer", "a transfer that ends early tells the bytes that were moved", BOTH, short_transfer).under(&KMDF),
    Case::new("KD-20/again", "a released transaction is used again", BOTH, again).under(&KMDF),
    Case::new("KD-20/no-bytes", "a transaction of no bytes is refused", BOTH, no_bytes).under(&KMDF),
];

/// Offset and length of what the cases move.
type Part = (u64, u64);
const WHOLE: Part = (0, 4 * PAGE_SIZE);

fn wrong(what: &str, expected: String, seen: String) -> CaseEnd {
    Finding {
        view: "driver",
        what: what.to_owned(),
        buffer: None,
        logical_address: None,
        expected,
        seen,
    }
    .into()
}

/// Pages that do not follow one another, where the guest has such.
fn memory(bench: &mut Bench<'_>) -> Result<MdlSource, CaseEnd> {
    match bench.scattered_mdl(4) {
        Err(CaseEnd::Skipped(_)) => bench.locked_mdl(4),
        other => other,
    }
}

fn transaction(bench: &mut Bench<'_>, config: EnablerConfig) -> Result<u32, CaseEnd> {
    let enabler = bench.enabler(config)?;
    let slot = bench.slot();
    bench.require(
        "WdfDmaTransactionCreate",
        Step::transaction_create(slot, enabler),
    )?;
    Ok(slot)
}

/// The list of the current part, as buffers; it covers what the framework says.
fn elements(bench: &mut Bench<'_>, transaction: u32) -> Result<Vec<Buffer>, CaseEnd> {
    let told = bench.require("EvtProgramDma", Step::transaction_elements(transaction))?;
    let mut buffers = Vec::new();
    for (index, bytes) in told.data.chunks_exact(size_of::<KmdfElement>()).enumerate() {
        let element = KmdfElement::read_from_bytes(bytes).expect("chunks of its size");
        buffers.push(Buffer {
            name: format!("element {index} of transaction {transaction}"),
            slot: SLOT_NONE,
            logical_address: Iova::new(element.address),
            length_bytes: element.length_bytes,
            pfns: None,
        });
    }
    let covered: u64 = buffers.iter().map(|buffer| buffer.length_bytes).sum();
    let current = told.result.value[2];
    if told.result.value[0] == 0 || covered != current || current == 0 {
        return Err(wrong(
            "the list that EvtProgramDma got",
            format!("{current:#x} bytes, as of WdfDmaTransactionGetCurrentDmaTransferLength"),
            format!("{covered:#x} bytes in {} calls", told.result.value[0]),
        ));
    }
    Ok(buffers)
}

/// One element: by the device's own DMA at its address.
fn transfer(element: &Buffer, opcode: u16, seed: u64) -> Step {
    Step::device_transfer(Transfer {
        device: 0,
        channel: 0,
        opcode,
        flags: 0,
        mode: TransferMode::RegisterInterrupt,
        buffer: SLOT_NONE,
        offset: element.logical_address.raw(),
        length_bytes: element.length_bytes,
        seed,
    })
}

/// The device reads or writes the elements of one part, which begins at `offset` of the memory.
fn move_part(
    bench: &mut Bench<'_>,
    list: &[Buffer],
    direction: u32,
    mut offset: u64,
) -> Result<(), CaseEnd> {
    for element in list {
        let is_read = direction == TO_DEVICE;
        let id = bench.declare(element, is_read, !is_read)?;
        let opcode = if is_read {
            DMA_OP_CRC
        } else {
            DMA_OP_WRITE_PATTERN
        };
        // What the device writes differs from what the memory held.
        let result = bench.run_one(transfer(element, opcode, SEED ^ offset))?;
        bench.undeclare(id)?;
        judge_element(element, &result)?;
        let crc = u64::from(oracle::pattern_crc_at(SEED, offset, element.length_bytes));
        if is_read && result.result.value[0] != crc {
            return Err(Finding {
                view: "device",
                what: "what the device reads of a transaction".to_owned(),
                buffer: Some(element.name.clone()),
                logical_address: Some(element.logical_address),
                expected: format!("CRC-32C {crc:#010x}"),
                seen: format!("{:#010x}", result.result.value[0]),
            }
            .into());
        }
        offset += element.length_bytes;
    }
    Ok(())
}

fn judge_element(element: &Buffer, result: &StepResult) -> Result<(), CaseEnd> {
    let status = result.result.value[2] & 0xffff;
    if result.is_success()
        && status == u64::from(DMA_STATUS_SUCCESS)
        && result.result.length == element.length_bytes
    {
        return Ok(());
    }
    Err(Finding {
        view: "device",
        what: "the device's access to an element".to_owned(),
        buffer: Some(element.name.clone()),
        logical_address: Some(element.logical_address),
        expected: format!("success of {:#x} bytes", element.length_bytes),
        seen: format!("{}, DMA status {status:#x}", result.describe()),
    }
    .into())
}

/// Initializes by offset, since pages of MmAllocatePagesForMdlEx have no address of their own, and
/// executes.
fn start(
    bench: &mut Bench<'_>,
    transaction: u32,
    source: &MdlSource,
    (offset, length): Part,
    direction: u32,
) -> Result<(), CaseEnd> {
    let initialize =
        Step::transaction_initialize_by_offset(transaction, source.slot, offset, length, direction);
    bench.require("WdfDmaTransactionInitializeUsingOffset", initialize)?;
    execute(bench, transaction)
}

fn execute(bench: &mut Bench<'_>, transaction: u32) -> Result<(), CaseEnd> {
    let execute = Step::transaction_execute(transaction);
    bench.require("WdfDmaTransactionExecute", execute).map(drop)
}

/// Moves all parts of a started transaction; returns which ranges of the memory each element had.
fn move_all(
    bench: &mut Bench<'_>,
    transaction: u32,
    part: Part,
    direction: u32,
) -> Result<Vec<Part>, CaseEnd> {
    let mut ranges = Vec::new();
    let mut offset = part.0;
    for _ in 0..PARTS_MAX {
        let list = elements(bench, transaction)?;
        move_part(bench, &list, direction, offset)?;
        for element in &list {
            ranges.push((offset, element.length_bytes));
            offset += element.length_bytes;
        }
        let step = Step::transaction_completed(transaction, Completion::Whole);
        let completed = bench.run_one(step)?;
        if completed.result.value[0] != 0 {
            let [_, moved, _] = completed.result.value;
            if completed.is_success() && moved == part.1 && offset == part.0 + part.1 {
                return Ok(ranges);
            }
            return Err(wrong(
                "the end of the transaction",
                format!("success, {:#x} bytes", part.1),
                format!("{}, {moved:#x} bytes", completed.describe()),
            ));
        }
    }
    Err(wrong(
        "the parts of the transaction",
        format!("at most {PARTS_MAX}"),
        "no end".to_owned(),
    ))
}

/// The memory holds what the device wrote there, element by element.
fn check_memory(bench: &mut Bench<'_>, source: &MdlSource, ranges: &[Part]) -> Result<(), CaseEnd> {
    for &(offset, length) in ranges {
        let step = Step::cpu_check(source.slot, offset, length, SEED ^ offset);
        let result = bench.run_one(step)?;
        bench.judge_cpu_check("the device's writes by a transaction", &result, None)?;
    }
    Ok(())
}

fn fill(bench: &mut Bench<'_>, source: &MdlSource) -> Result<(), CaseEnd> {
    let step = Step::cpu_fill(source.slot, 0, source.length_bytes(), SEED);
    bench.require("the CPU's write", step).map(drop)
}

fn round(
    bench: &mut Bench<'_>,
    config: EnablerConfig,
    direction: u32,
    part: Part,
) -> Result<(), CaseEnd> {
    let source = memory(bench)?;
    fill(bench, &source)?;
    let transaction = transaction(bench, config)?;
    once(bench, transaction, &source, direction, part)
}

/// One use of a transaction, to its release.
fn once(
    bench: &mut Bench<'_>,
    transaction: u32,
    source: &MdlSource,
    direction: u32,
    part: Part,
) -> Result<(), CaseEnd> {
    start(bench, transaction, source, part, direction)?;
    finish(bench, transaction, source, direction, part)
}

/// Moves, releases, and looks at the memory.
fn finish(
    bench: &mut Bench<'_>,
    transaction: u32,
    source: &MdlSource,
    direction: u32,
    part: Part,
) -> Result<(), CaseEnd> {
    let ranges = move_all(bench, transaction, part, direction)?;
    let release = Step::transaction_release(transaction);
    bench.require("WdfDmaTransactionRelease", release)?;
    if direction == FROM_DEVICE {
        check_memory(bench, source, &ranges)?;
    }
    Ok(())
}

fn by_address(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.locked_mdl(4)?;
    let transaction = transaction(bench, EnablerConfig::new(ScatterGather64))?;
    for direction in [TO_DEVICE, FROM_DEVICE] {
        fill(bench, &source)?;
        let (offset, length) = WHOLE;
        let step =
            Step::transaction_initialize(transaction, source.slot, offset, length, direction);
        bench.require("WdfDmaTransactionInitialize", step)?;
        execute(bench, transaction)?;
        finish(bench, transaction, &source, direction, WHOLE)?;
    }
    bench.check_canaries(&source)
}

fn again(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = memory(bench)?;
    let transaction = transaction(bench, EnablerConfig::new(ScatterGather64))?;
    for _ in 0..3 {
        fill(bench, &source)?;
        once(bench, transaction, &source, TO_DEVICE, WHOLE)?;
        once(bench, transaction, &source, FROM_DEVICE, WHOLE)?;
    }
    Ok(())
}

fn short_transfer(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const MOVED: u64 = 1000;
    let source = memory(bench)?;
    fill(bench, &source)?;
    let transaction = transaction(bench, EnablerConfig::new(ScatterGather64))?;
    start(bench, transaction, &source, WHOLE, TO_DEVICE)?;
    elements(bench, transaction)?;
    let step = Step::transaction_completed(transaction, Completion::Final(MOVED));
    let completed = bench.run_one(step)?;
    if completed.result.value[..2] != [1, MOVED] {
        return Err(wrong(
            "WdfDmaTransactionDmaCompletedFinal",
            format!("TRUE, {MOVED:#x} bytes"),
            format!("{:x?}", completed.result.value),
        ));
    }
    let release = Step::transaction_release(transaction);
    bench.require("WdfDmaTransactionRelease", release).map(drop)
}

fn no_bytes(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.locked_mdl(4)?;
    let transaction = transaction(bench, EnablerConfig::new(ScatterGather64))?;
    let step = Step::transaction_initialize(transaction, source.slot, 0, 0, TO_DEVICE);
    let result = bench.run_one(step)?;
    bench.judge_status(
        "WdfDmaTransactionInitialize of no bytes",
        &result,
        &[NtStatus::INVALID_PARAMETER],
    )
}
