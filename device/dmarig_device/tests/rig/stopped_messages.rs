//! Message DMA that the platform withholds, and everything that must not wait for it: reset, FLR, D3,
//! the end of the connection.
//!
//! The bench's clock stands still, so whatever is answered here is answered without waiting.
//! `tests/process/reset_latency.rs` measures the same on a clock.

use control_api::FunctionName;
use control_api::request::{DmaOp, DmaPath, DmaSubmit, FunctionReset, Status};
use control_api::response::DmaStatus;
use dmarig_abi::Iova;
use dmarig_abi::descriptor::{DESCRIPTOR_FLAG_INTERRUPT, DESCRIPTOR_FLAG_MESSAGE, DMA_OP_CRC};
use dmarig_abi::registers::{
    CH_LENGTH, CH_SOURCE, CH_STATUS, CH_STATUS_BUSY, REG_INTERRUPT_CAUSE, REG_INTERRUPT_ENABLE,
    REG_SCRATCH,
};
use guest_memory::SharedMemory;
use std::os::fd::OwnedFd;

use crate::support::mock_qemu::DmaCommand;
use crate::support::{Bench, Harness, MockQemu, PATIENCE, eventfd, take_count};

const FUNCTION: FunctionName = FunctionName::DUT0;
const CHANNELS: u64 = 4;
/// More than one message moves.
const LENGTH: u64 = 0x2_0000;
const POWER_CAPABILITY: u8 = 1;
const EXPRESS_CAPABILITY: u8 = 0x10;

/// What cuts the messages short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    BusReset,
    FunctionLevelReset,
    ResetByHarness,
    D3,
}

struct Scene {
    bench: Bench,
    qemu: MockQemu,
    harness: Harness,
    vectors: Vec<OwnedFd>,
    ram: SharedMemory,
}

/// Every channel reads by message, and the host's own one, too; nobody answers.
fn scene() -> Scene {
    let mut bench = Bench::new();
    let mut qemu = bench.connect(FUNCTION);
    let harness = bench.harness();
    let ram = SharedMemory::create_sealed("ram", 0x4_0000).expect("memory");
    qemu.map(&mut bench, &ram, 0, true);
    qemu.enable_bus_master(&mut bench);
    let vectors: Vec<_> = (0..CHANNELS).map(|_| eventfd()).collect();
    for (number, vector) in (0..).zip(&vectors) {
        qemu.bind_vector(&mut bench, number, vector);
    }
    qemu.write(&mut bench, 0, REG_INTERRUPT_ENABLE, &15_u32.to_le_bytes());
    qemu.write(&mut bench, 0, REG_SCRATCH, &[1, 2, 3, 4]);
    let flags = u32::from(DESCRIPTOR_FLAG_INTERRUPT | DESCRIPTOR_FLAG_MESSAGE) << 16;
    for channel in 0..CHANNELS {
        qemu.channel_write(&mut bench, channel, CH_SOURCE, 0);
        qemu.channel_write(&mut bench, channel, CH_LENGTH, LENGTH);
        qemu.ring(&mut bench, channel, u32::from(DMA_OP_CRC) | flags);
    }
    Scene {
        bench,
        qemu,
        harness,
        vectors,
        ram,
    }
}

impl Scene {
    fn cut(&mut self, cut: Cut) {
        let (bench, qemu) = (&mut self.bench, &mut self.qemu);
        match cut {
            Cut::BusReset => qemu.reset(bench),
            Cut::FunctionLevelReset => {
                let control = qemu.capability(bench, EXPRESS_CAPABILITY) + 8;
                let mut value = qemu.read_config(bench, control, 2);
                value[1] |= 0x80;
                qemu.write_config(bench, control, &value);
            }
            Cut::ResetByHarness => {
                let reset = FunctionReset { function: FUNCTION };
                self.harness.call(bench, &reset);
            }
            Cut::D3 => {
                let power = qemu.capability(bench, POWER_CAPABILITY) + 4;
                qemu.write_config(bench, power, &[3, 0]);
            }
        }
    }

    /// The messages that the device has sent and nobody has answered.
    fn withheld(&mut self) -> Vec<DmaCommand> {
        std::iter::from_fn(|| self.qemu.waiting_dma()).collect()
    }

    fn busy_channels(&mut self) -> Vec<u64> {
        let (bench, qemu) = (&mut self.bench, &mut self.qemu);
        let busy =
            |channel: &u64| qemu.channel_read_u32(bench, *channel, CH_STATUS) & CH_STATUS_BUSY != 0;
        (0..CHANNELS).filter(busy).collect()
    }

    fn read_by_host(&self, path: DmaPath) -> DmaSubmit {
        DmaSubmit {
            function: FUNCTION,
            op: DmaOp::Crc,
            path,
            iova: Iova::new(0),
            destination: None,
            length: LENGTH,
            seed: 0,
        }
    }
}

#[test]
fn reset_is_answered_while_every_channel_waits_for_a_message() {
    for cut in [Cut::BusReset, Cut::FunctionLevelReset, Cut::ResetByHarness] {
        let mut scene = scene();
        assert_eq!(scene.busy_channels().len(), 4, "{cut:?}");
        let request = scene.read_by_host(DmaPath::Message);
        let pending = scene.harness.client.send(&request, PATIENCE).expect("send");
        scene.bench.pump();

        scene.cut(cut);

        let outcome = scene
            .harness
            .client
            .wait(pending, PATIENCE)
            .expect("answer");
        assert_eq!(outcome.status, DmaStatus::Aborted, "{cut:?}");
        assert_eq!(scene.busy_channels(), [0; 0], "{cut:?}");
        let scratch = scene.qemu.read(&mut scene.bench, 0, REG_SCRATCH, 4);
        assert_eq!(scratch, [0; 4], "{cut:?}");
        expect_silence_and_service(scene, cut);
    }
}

#[test]
fn d3_is_answered_while_every_channel_waits_for_a_message() {
    let mut scene = scene();
    scene.cut(Cut::D3);
    let status = scene.harness.call(&mut scene.bench, &Status {});
    assert_eq!(status.functions[&FUNCTION].power_state, 3);
    let sent = status.counters.message_dma;
    let withheld = scene.withheld();
    assert!(!withheld.is_empty());
    for command in &withheld {
        let data = vec![0x5a; usize::try_from(command.count).expect("small")];
        scene.qemu.answer_dma(&mut scene.bench, command, &data);
    }
    // The answers are taken, and nothing more is asked for in D3.
    let status = scene.harness.call(&mut scene.bench, &Status {});
    assert_eq!(status.counters.message_dma, sent);
    let power = scene.qemu.capability(&mut scene.bench, POWER_CAPABILITY) + 4;
    scene.qemu.write_config(&mut scene.bench, power, &[0, 0]);
    expect_silence_and_service(scene, Cut::D3);
}

#[test]
fn connection_that_ends_under_messages_leaves_a_device_that_serves_the_next() {
    let mut scene = scene();
    let pending = scene.read_by_host(DmaPath::Message);
    let pending = scene.harness.client.send(&pending, PATIENCE).expect("send");
    scene.bench.pump();
    drop(scene.qemu);
    scene.bench.pump();
    let outcome = scene
        .harness
        .client
        .wait(pending, PATIENCE)
        .expect("answer");
    assert_eq!(outcome.status, DmaStatus::Aborted);
    let mut qemu = scene.bench.connect(FUNCTION);
    qemu.map(&mut scene.bench, &scene.ram, 0, true);
    qemu.enable_bus_master(&mut scene.bench);
    for channel in 0..CHANNELS {
        let status = qemu.channel_read_u32(&mut scene.bench, channel, CH_STATUS);
        assert_eq!(status & CH_STATUS_BUSY, 0, "channel {channel}");
    }
    for vector in &scene.vectors {
        assert_eq!(take_count(vector), 0);
    }
}

/// Late replies change nothing and signal nothing, and the device serves on.
fn expect_silence_and_service(mut scene: Scene, cut: Cut) {
    for command in scene.withheld() {
        let data = vec![0x5a; usize::try_from(command.count).expect("small")];
        scene.qemu.answer_dma(&mut scene.bench, &command, &data);
    }
    let cause = scene.qemu.read(&mut scene.bench, 0, REG_INTERRUPT_CAUSE, 4);
    if cut != Cut::D3 {
        assert_eq!(cause, [0; 4], "{cut:?}");
        for vector in &scene.vectors {
            assert_eq!(take_count(vector), 0, "{cut:?}");
        }
    }
    scene.qemu.enable_bus_master(&mut scene.bench);
    let read = scene.read_by_host(DmaPath::Default);
    let outcome = scene.harness.call(&mut scene.bench, &read);
    assert_eq!(outcome.status, DmaStatus::Success, "{cut:?}");
    assert_eq!(outcome.done_bytes, LENGTH, "{cut:?}");
}
