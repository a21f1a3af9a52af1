//! Moving data both ways over a whole buffer, and probing what must not move.

use dmarig_abi::Iova;
use dmarig_abi::completion::{
    DMA_STATUS_PERMISSION, DMA_STATUS_REFUSED, DMA_STATUS_SUCCESS, DMA_STATUS_UNMAPPED,
};
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_MESSAGE, DESCRIPTOR_FLAG_PROBE, DMA_OP_CRC, DMA_OP_VERIFY_PATTERN,
    DMA_OP_WRITE_PATTERN,
};
use dmarig_abi::operation::{SLOT_NONE, TRANSFER_VALUE_BY_MESSAGE};

use crate::bench::{Bench, Buffer, MdlSource};
use crate::finding::{CaseEnd, Finding};
use crate::oracle::{self, PAGE_SIZE};
use crate::rig::{BufferDeclaration, DeviceRequest, DeviceResult};
use crate::step::{Step, StepResult, Transfer, TransferMode};

/// One way of moving the data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    /// How the driver starts the transfer and learns of its end.
    pub(crate) mode: TransferMode,
    /// Channel.
    pub(crate) channel: u32,
    /// Whether the device goes through the platform's IOMMU instead of its own mappings.
    pub(crate) by_message: bool,
}

impl Pass {
    /// The passes every success case makes: the device's own mapping, and the platform's translation.
    pub(crate) const DEFAULT: [Self; 2] = [
        Self {
            mode: TransferMode::RegisterPoll,
            channel: 0,
            by_message: false,
        },
        Self {
            mode: TransferMode::RegisterInterrupt,
            channel: 1,
            by_message: true,
        },
    ];

    /// Two passes over the descriptor ring of channel 2.
    pub(crate) const RING: [Self; 2] = [
        Self {
            mode: TransferMode::RingPoll,
            channel: Self::RING_CHANNEL,
            by_message: false,
        },
        Self {
            mode: TransferMode::RingInterrupt,
            channel: Self::RING_CHANNEL,
            by_message: true,
        },
    ];

    /// The channel of [`Pass::RING`].
    pub(crate) const RING_CHANNEL: u32 = 2;

    /// Whether the driver waits for the channel's interrupt.
    pub(super) fn is_by_interrupt(self) -> bool {
        matches!(
            self.mode,
            TransferMode::RegisterInterrupt | TransferMode::RingInterrupt
        )
    }

    pub(super) fn describe(self) -> String {
        let path = if self.by_message { "message" } else { "mapped" };
        format!("{path} DMA, {:?}, channel {}", self.mode, self.channel)
    }
}

impl Bench<'_> {
    /// Moves data both ways over the whole buffer by the default passes.
    pub(crate) fn exercise(&mut self, buffer: &Buffer) -> Result<(), CaseEnd> {
        self.exercise_by(buffer, &Pass::DEFAULT)
    }

    /// Moves data both ways over the whole buffer: CPU fills, device verifies; device fills, CPU
    /// verifies; the device's own reading is asked for as a third opinion.
    pub(crate) fn exercise_by(&mut self, buffer: &Buffer, passes: &[Pass]) -> Result<(), CaseEnd> {
        let id = self.declare(buffer, true, true)?;
        for (index, pass) in passes.iter().enumerate() {
            let seed = buffer.logical_address.raw() ^ ((index as u64 + 1) << 56);
            self.cpu_to_device(buffer, *pass, seed)?;
            self.device_to_cpu(buffer, *pass, !seed)?;
        }
        self.undeclare(id)
    }

    /// Moves data both ways over the whole buffer by the device's own mapping only: by message a large
    /// buffer takes long.
    pub(crate) fn exercise_mapped(&mut self, buffer: &Buffer) -> Result<(), CaseEnd> {
        self.exercise_by(buffer, &Pass::DEFAULT[..1])
    }

    /// Moves data both ways over part of a buffer through the platform's IOMMU.
    pub(crate) fn exercise_part_by_message(
        &mut self,
        buffer: &Buffer,
        offset: u64,
        length_bytes: u64,
    ) -> Result<(), CaseEnd> {
        let id = self.declare(buffer, true, true)?;
        let pass = Pass::DEFAULT[1];
        let part = Buffer {
            name: format!(
                "{}, {length_bytes:#x} bytes from {offset:#x} on",
                buffer.name
            ),
            length_bytes,
            ..buffer.clone()
        };
        let seed = buffer.logical_address.raw() ^ offset;
        let dut = self.dut;
        let moves = |opcode| Step {
            operation: dmarig_abi::operation::Operation {
                arg: {
                    let mut arg = transfer(dut, &part, pass, opcode, seed).operation.arg;
                    arg[1] = offset;
                    arg
                },
                ..transfer(dut, &part, pass, opcode, seed).operation
            },
            data: Vec::new(),
        };
        let results = self.run(&[
            Step::cpu_fill(buffer.slot, offset, length_bytes, seed),
            moves(DMA_OP_VERIFY_PATTERN),
            moves(DMA_OP_WRITE_PATTERN),
            Step::cpu_check(buffer.slot, offset, length_bytes, seed),
        ])?;
        self.judge_transfer("the device's read of a part", &part, pass, &results[1])?;
        self.judge_transfer("the device's write of a part", &part, pass, &results[2])?;
        self.judge_cpu_check("the device's write of a part", &results[3], Some(&part))?;
        self.undeclare(id)
    }

    /// CPU fills, device verifies.
    pub(crate) fn cpu_to_device(
        &mut self,
        buffer: &Buffer,
        pass: Pass,
        seed: u64,
    ) -> Result<(), CaseEnd> {
        let fill = Step::cpu_fill(buffer.slot, 0, buffer.length_bytes, seed);
        let verify = transfer(self.dut, buffer, pass, DMA_OP_VERIFY_PATTERN, seed);
        let results = self.run(&[fill, verify])?;
        let crc = oracle::pattern_crc(seed, buffer.length_bytes);
        self.judge_crc("the CPU's write", buffer, &results[0], crc)?;
        let what = format!("the device's read ({})", pass.describe());
        self.judge_transfer(&what, buffer, pass, &results[1])?;
        self.judge_crc(&what, buffer, &results[1], crc)?;
        let own = self.device_crc(buffer, pass.by_message)?;
        self.judge_device_crc(buffer, pass, own, crc)
    }

    /// Device fills, CPU verifies.
    pub(crate) fn device_to_cpu(
        &mut self,
        buffer: &Buffer,
        pass: Pass,
        seed: u64,
    ) -> Result<(), CaseEnd> {
        let write = transfer(self.dut, buffer, pass, DMA_OP_WRITE_PATTERN, seed);
        let check = Step::cpu_check(buffer.slot, 0, buffer.length_bytes, seed);
        let results = self.run(&[write, check])?;
        let what = format!("the device's write ({})", pass.describe());
        self.judge_transfer(&what, buffer, pass, &results[0])?;
        self.judge_cpu_check(&what, &results[1], Some(buffer))
    }

    /// The device reads a freed buffer through the platform's IOMMU, and nobody was told before.
    pub(crate) fn read_freed(&mut self, buffer: &Buffer) -> Result<(), CaseEnd> {
        self.rig.device(DeviceRequest {
            opcode: DMA_OP_CRC,
            flags: DESCRIPTOR_FLAG_MESSAGE,
            iova: buffer.logical_address,
            length_bytes: 64,
            seed: 0,
        })?;
        Ok(())
    }

    /// The device writes `length_bytes` at an offset that lies outside of the buffer.
    pub(crate) fn write_outside(
        &mut self,
        buffer: &Buffer,
        offset: i64,
        length_bytes: u64,
    ) -> Result<(), CaseEnd> {
        let iova = buffer.at(offset.cast_unsigned());
        let step = Step::device_transfer(Transfer {
            device: self.dut,
            channel: 0,
            opcode: DMA_OP_WRITE_PATTERN,
            flags: 0,
            mode: TransferMode::RegisterPoll,
            buffer: SLOT_NONE,
            offset: iova.raw(),
            length_bytes,
            seed: 0,
        });
        self.require("the device's write outside of the buffer", step)
            .map(drop)
    }

    /// The CPU writes the pattern all over the buffer.
    pub(crate) fn cpu_fill(&mut self, buffer: &Buffer, seed: u64) -> Result<(), CaseEnd> {
        let step = Step::cpu_fill(buffer.slot, 0, buffer.length_bytes, seed);
        self.require("the CPU's write", step).map(drop)
    }

    /// The CPU finds the pattern all over the buffer.
    pub(crate) fn cpu_check(
        &mut self,
        what: &str,
        buffer: &Buffer,
        seed: u64,
    ) -> Result<(), CaseEnd> {
        let step = Step::cpu_check(buffer.slot, 0, buffer.length_bytes, seed);
        let result = self.run_one(step)?;
        self.judge_cpu_check(what, &result, Some(buffer))
    }

    /// The CPU writes the pattern through the MDL's own mapping.
    pub(crate) fn mdl_fill(&mut self, source: &MdlSource, seed: u64) -> Result<(), CaseEnd> {
        let step = Step::cpu_fill(source.slot, 0, source.length_bytes(), seed);
        self.require("the CPU's write through the MDL", step)
            .map(drop)
    }

    /// The CPU finds the pattern through the MDL's own mapping.
    pub(crate) fn mdl_check(
        &mut self,
        what: &str,
        source: &MdlSource,
        seed: u64,
    ) -> Result<(), CaseEnd> {
        let step = Step::cpu_check(source.slot, 0, source.length_bytes(), seed);
        let result = self.run_one(step)?;
        self.judge_cpu_check(what, &result, None)
    }

    /// Tells the ledger of the buffer; undone at the end of the case if not before.
    pub(crate) fn declare(
        &mut self,
        buffer: &Buffer,
        device_reads: bool,
        device_writes: bool,
    ) -> Result<u64, CaseEnd> {
        let id = self.rig.declare(&BufferDeclaration {
            name: buffer.name.clone(),
            iova: buffer.logical_address,
            length_bytes: buffer.length_bytes,
            device_reads,
            device_writes,
        })?;
        self.here().declared.push(id);
        Ok(id)
    }

    /// Tells the ledger that the buffer is no longer in use by the device.
    pub(crate) fn undeclare(&mut self, id: u64) -> Result<(), CaseEnd> {
        self.here().declared.retain(|declared| *declared != id);
        Ok(self.rig.undeclare(id)?)
    }

    fn device_crc(&mut self, buffer: &Buffer, by_message: bool) -> Result<DeviceResult, CaseEnd> {
        Ok(self.rig.device(DeviceRequest {
            opcode: DMA_OP_CRC,
            flags: if by_message {
                DESCRIPTOR_FLAG_MESSAGE
            } else {
                0
            },
            iova: buffer.logical_address,
            length_bytes: buffer.length_bytes,
            seed: 0,
        })?)
    }

    /// Asks the device's mapping table about every page of a range, touching nothing; returns the
    /// first page that answers otherwise than `expected`.
    pub(crate) fn probe_pages(
        &mut self,
        pages: impl Iterator<Item = u64>,
        expected: u16,
    ) -> Result<Option<(Iova, u16)>, CaseEnd> {
        for page in pages {
            let result = self.rig.device(DeviceRequest {
                opcode: DMA_OP_CRC,
                flags: DESCRIPTOR_FLAG_PROBE,
                iova: Iova::new(page),
                length_bytes: PAGE_SIZE,
                seed: 0,
            })?;
            if result.status != expected {
                return Ok(Some((Iova::new(page), result.status)));
            }
        }
        Ok(None)
    }

    /// Lets the driver ring a transfer through the platform's IOMMU that it must refuse; the guest
    /// must record exactly this fault.
    pub(crate) fn refused_by_iommu(
        &mut self,
        buffer: &Buffer,
        is_write: bool,
    ) -> Result<(), CaseEnd> {
        let (opcode, word) = if is_write {
            (DMA_OP_WRITE_PATTERN, "write")
        } else {
            (DMA_OP_CRC, "read")
        };
        let pass = Pass::DEFAULT[1];
        let result = self.run_one(transfer(self.dut, buffer, pass, opcode, 1))?;
        let status = transfer_status(&result);
        let faults = self.rig.take_faults(true)?;
        // Where the device's own table refuses as well, the status is the table's. That the platform was
        // asked shows in the message bit, that it refused in the fault below.
        let refused = [
            DMA_STATUS_REFUSED,
            DMA_STATUS_PERMISSION,
            DMA_STATUS_UNMAPPED,
        ];
        if !refused.contains(&status) || !went_by_message(&result) {
            return Err(Finding {
                view: "device",
                what: format!("a {word} that the IOMMU must block"),
                buffer: Some(buffer.name.clone()),
                logical_address: Some(buffer.logical_address),
                expected: "a refusal, asked by message".to_owned(),
                seen: format!(
                    "{}, by message: {}",
                    describe_dma_status(status),
                    went_by_message(&result)
                ),
            }
            .into());
        }
        let requester = self.rig.requester();
        let fits = |fault: &crate::rig::IommuFault| {
            fault.page == buffer.logical_address.align_down(PAGE_SIZE)
                && fault.is_write == is_write
                && requester.is_none_or(|requester| requester == fault.requester)
        };
        if faults.len() == 1 && fits(&faults[0]) {
            let fault = faults[0];
            self.observe(format!(
                "IOMMU fault: reason {:#x}, page {}, requester {}, {word}",
                fault.reason, fault.page, fault.requester
            ));
            return Ok(());
        }
        Err(Finding {
            view: "iommu",
            what: format!("the fault that a blocked {word} records"),
            buffer: Some(buffer.name.clone()),
            logical_address: Some(buffer.logical_address),
            expected: requester.map_or_else(
                || format!("one {word} fault at this page"),
                |requester| format!("one {word} fault at this page by {requester}"),
            ),
            seen: format!("{faults:?}"),
        }
        .into())
    }
}

/// The driver's transfer of a whole buffer by this device under test.
pub(super) fn transfer(dut: u32, buffer: &Buffer, pass: Pass, opcode: u16, seed: u64) -> Step {
    Step::device_transfer(Transfer {
        device: dut,
        channel: pass.channel,
        opcode,
        flags: if pass.by_message {
            DESCRIPTOR_FLAG_MESSAGE
        } else {
            0
        },
        mode: pass.mode,
        buffer: buffer.slot,
        // Without a slot the driver takes the offset for the address itself.
        offset: if buffer.slot == SLOT_NONE {
            buffer.logical_address.raw()
        } else {
            0
        },
        length_bytes: buffer.length_bytes,
        seed,
    })
}

/// The `DMA_STATUS_*` in a transfer's result.
pub(crate) fn transfer_status(result: &StepResult) -> u16 {
    u16::try_from(result.result.value[2] & 0xffff).expect("masked to 16 bits")
}

/// Whether at least one access of a transfer went by message.
pub(crate) fn went_by_message(result: &StepResult) -> bool {
    result.result.value[2] & TRANSFER_VALUE_BY_MESSAGE != 0
}

/// A DMA status in words.
pub(crate) fn describe_dma_status(status: u16) -> String {
    use dmarig_abi::completion as c;
    match status {
        DMA_STATUS_SUCCESS => "success",
        c::DMA_STATUS_NONE => "no request ended",
        c::DMA_STATUS_MISMATCH => "mismatch",
        DMA_STATUS_UNMAPPED => "unmapped",
        DMA_STATUS_PERMISSION => "not permitted by the mapping",
        c::DMA_STATUS_BUS_MASTER_OFF => "bus mastering off",
        c::DMA_STATUS_POWER_STATE => "not in D0",
        c::DMA_STATUS_LENGTH => "length zero",
        c::DMA_STATUS_ADDRESS => "address out of range",
        c::DMA_STATUS_OPCODE => "unknown operation",
        c::DMA_STATUS_ABORTED => "aborted by reset",
        c::DMA_STATUS_TIMEOUT => "no answer from the platform",
        DMA_STATUS_REFUSED => "refused by the platform",
        c::DMA_STATUS_RING => "ring error",
        c::DMA_STATUS_BUSY => "channel busy",
        c::DMA_STATUS_UNSUPPORTED_REQUEST => "answered with Unsupported Request",
        c::DMA_STATUS_COMPLETER_ABORT => "answered with Completer Abort",
        c::DMA_STATUS_POISONED => "answered with poisoned data",
        other => return format!("unknown DMA status {other:#x}"),
    }
    .to_owned()
}
