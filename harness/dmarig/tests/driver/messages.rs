//! Message DMA under load: through QEMU and the guest's VT-d, many requests at once.

use std::time::Duration;

use contract::{DeviceDescription, DriverKind, Step};
use control_api::FunctionName;
use control_api::request::{DmaOp, DmaPath, DmaSubmit, Status};
use control_api::response::DmaStatus;
use dmarig_abi::Iova;
use dmarig_abi::pattern::fill_pattern;
use libtest_mimic::Failed;

use crate::rig::{Rig, Setup};

const ADAPTER: u32 = 0;
const BUFFER: u32 = 1;
const PIECE: u64 = 32 << 10;
const PIECES: u64 = 64;
const SEED: u64 = 0x64;
const DEADLINE: Duration = Duration::from_secs(20);

/// 64 reads of 32 KiB, then 64 writes, all handed over before the first answer is awaited.
pub fn sixty_four_at_once(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    let description = DeviceDescription {
        maximum_length_bytes: 0x40_0000,
        ..DeviceDescription::version_3(64)
    };
    let length = PIECE * PIECES;
    let ran = rig.run(&[
        Step::adapter_open(ADAPTER, 0, description),
        Step::buffer_allocate_with_bounds(BUFFER, ADAPTER, length, None, None),
        Step::cpu_fill(BUFFER, 0, length, SEED),
    ]);
    assert!(ran.results.iter().all(contract::StepResult::is_success));
    let base = ran.results[1].result.logical_address;

    let read_back = submit_all(&mut rig, DmaOp::Crc, base)?;
    let expected: Vec<u32> = (0..PIECES).map(crc_of_piece).collect();
    assert_eq!(read_back, expected);

    submit_all(&mut rig, DmaOp::WritePattern, base)?;
    let checks: Vec<Step> = (0..PIECES)
        .map(|index| Step::cpu_check(BUFFER, index * PIECE, PIECE, index))
        .collect();
    for result in rig.run(&checks).results {
        assert!(result.is_success());
        assert_eq!(result.result.value[1], u64::MAX, "first mismatch");
    }
    let status = rig.client().call(&Status {}, DEADLINE)?;
    assert_eq!(status.counters.message_timeouts, 0);
    rig.finish();
    Ok(())
}

/// Sends one request for each piece, then takes the answers; returns their CRCs.
fn submit_all(rig: &mut Rig, op: DmaOp, base: u64) -> Result<Vec<u32>, Failed> {
    let mut pending = Vec::new();
    for index in 0..PIECES {
        let submit = DmaSubmit {
            function: FunctionName::DUT0,
            op,
            path: DmaPath::Message,
            iova: Iova::new(base + index * PIECE),
            destination: None,
            length: PIECE,
            seed: index,
        };
        pending.push(rig.client().send(&submit, DEADLINE)?);
    }
    let mut crcs = Vec::new();
    for pending in pending {
        let outcome = rig.client().wait(pending, DEADLINE)?;
        assert_eq!(outcome.status, DmaStatus::Success);
        assert!(outcome.by_message);
        crcs.push(outcome.crc32c);
    }
    Ok(crcs)
}

fn crc_of_piece(index: u64) -> u32 {
    let mut bytes = vec![0; 32 << 10];
    fill_pattern(SEED, index * PIECE, &mut bytes);
    crc32c::crc32c(&bytes)
}
