//! The PCI function in front: interrupts by what the guest has enabled, sleep, mappable BARs.

use control_api::FunctionName;
use control_api::request::{
    DmaOp, DmaPath, DmaSubmit, FunctionDisconnect, LinkSet, LinkState, Status,
};
use control_api::response::DmaStatus;
use dmarig_abi::Iova;
use dmarig_abi::descriptor::{DESCRIPTOR_FLAG_INTERRUPT, DMA_OP_NOP};
use dmarig_abi::registers::{DUT_ID_VALUE, REG_ID, REG_INTERRUPT_ENABLE, REG_SCRATCH};

use guest_memory::SharedMemory;

use crate::support::{Bench, MockQemu, eventfd, take_count};

const POWER_CAPABILITY: u8 = 0x01;
const MSI_CAPABILITY: u8 = 0x05;
const MSIX_CAPABILITY: u8 = 0x11;

fn bench_of(device: &str) -> (Bench, MockQemu) {
    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), device).expect("file");
    let mut bench = Bench::with(|options| options.device = vec![file.path().into()]);
    let qemu = bench.connect(FunctionName::DUT0);
    (bench, qemu)
}

fn interrupt_from(bench: &mut Bench, qemu: &mut MockQemu, channel: u64) {
    let flags = u32::from(DESCRIPTOR_FLAG_INTERRUPT) << 16;
    qemu.ring(bench, channel, u32::from(DMA_OP_NOP) | flags);
}

fn set_power_state(bench: &mut Bench, qemu: &mut MockQemu, state: u8) {
    let offset = qemu.capability(bench, POWER_CAPABILITY) + 4;
    qemu.write_config(bench, offset, &[state]);
}

#[test]
fn msi_is_the_way_while_it_is_on_and_the_pin_while_nothing_is() {
    let (mut bench, mut qemu) = bench_of("[interrupts]\nmsix_vectors = 0\nmsi_vectors = 4\n");
    assert_eq!(qemu.find_capability(&mut bench, MSIX_CAPABILITY), None);
    let control = qemu.capability(&mut bench, MSI_CAPABILITY) + 2;
    let pin = eventfd();
    let vectors = [eventfd(), eventfd()];
    qemu.bind_pin(&mut bench, &pin);
    qemu.bind_msi(&mut bench, &vectors);
    qemu.write(&mut bench, 0, REG_INTERRUPT_ENABLE, &15_u32.to_le_bytes());

    qemu.write_config(&mut bench, control, &[0x11]);
    for channel in 0..4 {
        interrupt_from(&mut bench, &mut qemu, channel);
    }
    let counts = vectors.each_ref().map(take_count);
    assert_eq!(counts, [1, 3], "two vectors allowed, the last is shared");
    assert_eq!(take_count(&pin), 0);

    qemu.write_config(&mut bench, control, &[0]);
    qemu.write(&mut bench, 0, REG_INTERRUPT_ENABLE, &15_u32.to_le_bytes());
    assert_eq!(take_count(&pin), 1, "the causes are still up");
    assert_eq!(vectors.each_ref().map(take_count), [0, 0]);
}

#[test]
fn msix_goes_before_msi() {
    let (mut bench, mut qemu) = bench_of("[interrupts]\nmsi_vectors = 1\n");
    let vectors = [eventfd(), eventfd()];
    let control = qemu.capability(&mut bench, MSI_CAPABILITY) + 2;
    qemu.write_config(&mut bench, control, &[1]);
    qemu.bind_msi(&mut bench, &vectors[..1]);
    qemu.bind_vector(&mut bench, 0, &vectors[1]);
    qemu.write(&mut bench, 0, REG_INTERRUPT_ENABLE, &1_u32.to_le_bytes());
    interrupt_from(&mut bench, &mut qemu, 0);
    assert_eq!(vectors.each_ref().map(take_count), [0, 1]);
}

#[test]
fn sleeping_function_answers_at_no_bar_and_signals_nothing() {
    for (device, state) in [("[power]\nd1 = true\n", 1), ("", 3)] {
        let (mut bench, mut qemu) = bench_of(device);
        let vector = eventfd();
        qemu.bind_vector(&mut bench, 0, &vector);
        qemu.write(&mut bench, 0, REG_INTERRUPT_ENABLE, &1_u32.to_le_bytes());
        qemu.write(&mut bench, 0, REG_SCRATCH, &[1, 2, 3, 4]);

        set_power_state(&mut bench, &mut qemu, state);
        assert_eq!(qemu.read(&mut bench, 0, REG_ID, 4), [0xff; 4], "D{state}");
        qemu.write(&mut bench, 0, REG_SCRATCH, &[9; 4]);
        interrupt_from(&mut bench, &mut qemu, 0);
        assert_eq!(take_count(&vector), 0);

        set_power_state(&mut bench, &mut qemu, 0);
        assert_eq!(qemu.read(&mut bench, 0, REG_SCRATCH, 4), [1, 2, 3, 4]);
        let id = qemu.read(&mut bench, 0, REG_ID, 4);
        assert_eq!(id, DUT_ID_VALUE.to_le_bytes());
    }
}

#[test]
fn return_from_d3_without_no_soft_reset_resets_the_device() {
    let (mut bench, mut qemu) = bench_of("[power]\nno_soft_reset = false\n");
    qemu.enable_bus_master(&mut bench);
    qemu.write(&mut bench, 0, REG_SCRATCH, &[1, 2, 3, 4]);

    set_power_state(&mut bench, &mut qemu, 3);
    set_power_state(&mut bench, &mut qemu, 0);

    assert_eq!(qemu.read(&mut bench, 0, REG_SCRATCH, 4), [0; 4]);
    assert_eq!(qemu.read_config(&mut bench, 4, 2), [0; 2]);
}

#[test]
fn mappable_bar_is_memory_by_descriptor_and_by_message_over_resets() {
    let (mut bench, mut qemu) = bench_of(
        "[[bar]]\nindex = 0\nsize = 0x10000\n[[bar]]\nindex = 2\nsize = 0x2000\nmappable = true\n\
         [interrupts]\nmsix_vectors = 0\n",
    );
    let file = qemu.region_fd(&mut bench, 2);
    let seals = rustix::fs::fcntl_get_seals(&file).expect("a memfd");
    assert!(seals.contains(rustix::fs::SealFlags::SHRINK));
    qemu.write(&mut bench, 2, 0x1ff8, &[7; 8]);
    let mut byte = [0];
    rustix::io::pread(&file, &mut byte, 0x1fff).expect("inside");
    assert_eq!(byte, [7]);
    rustix::io::pwrite(&file, &[8], 0x10).expect("inside");

    qemu.reset(&mut bench);

    assert_eq!(qemu.read(&mut bench, 2, 0x10, 1), [8]);
    assert_eq!(qemu.read(&mut bench, 2, 0x1ff8, 8), [7; 8]);
    let id = qemu.read(&mut bench, 0, REG_ID, 4);
    assert_eq!(id, DUT_ID_VALUE.to_le_bytes(), "BAR 0 is the engine's");
}

#[test]
fn link_that_is_down_carries_nothing_and_coming_up_is_a_reset() {
    let (mut bench, mut qemu) = bench_of("");
    let mut harness = bench.harness();
    let ram = SharedMemory::create_sealed("ram", 0x1000).expect("memory");
    qemu.map(&mut bench, &ram, 0, true);
    qemu.enable_bus_master(&mut bench);
    let vector = eventfd();
    qemu.bind_vector(&mut bench, 0, &vector);
    qemu.write(&mut bench, 0, REG_INTERRUPT_ENABLE, &1_u32.to_le_bytes());
    qemu.write(&mut bench, 0, REG_SCRATCH, &[1, 2, 3, 4]);
    let set = |link| LinkSet {
        function: FunctionName::DUT0,
        link,
    };
    let fill = DmaSubmit {
        function: FunctionName::DUT0,
        op: DmaOp::Fill,
        path: DmaPath::Default,
        iova: Iova::new(0),
        destination: None,
        length: 8,
        seed: 1,
    };
    assert_eq!(harness.call(&mut bench, &fill).status, DmaStatus::Success);

    harness.call(&mut bench, &set(LinkState::Down));
    assert!(!harness.call(&mut bench, &Status {}).functions[&FunctionName::DUT0].link_up);
    assert_eq!(qemu.read_config(&mut bench, 0, 64), [0xff; 64]);
    assert_eq!(qemu.read(&mut bench, 0, REG_ID, 4), [0xff; 4]);
    qemu.write(&mut bench, 0, REG_SCRATCH, &[9; 4]);
    interrupt_from(&mut bench, &mut qemu, 0);
    assert_eq!(take_count(&vector), 0);
    assert_ne!(harness.call(&mut bench, &fill).status, DmaStatus::Success);

    harness.call(&mut bench, &set(LinkState::Up));
    let id = qemu.read(&mut bench, 0, REG_ID, 4);
    assert_eq!(id, DUT_ID_VALUE.to_le_bytes());
    assert_eq!(qemu.read(&mut bench, 0, REG_SCRATCH, 4), [0; 4]);
    assert_eq!(qemu.read_config(&mut bench, 4, 2), [0; 2]);
}

#[test]
fn function_that_hangs_up_can_be_connected_again() {
    let (mut bench, mut qemu) = bench_of("");
    let mut harness = bench.harness();
    let function = FunctionName::DUT0;
    harness.call(&mut bench, &FunctionDisconnect { function });
    assert!(qemu.client.receive().is_err(), "the end of the stream");
    assert!(!harness.call(&mut bench, &Status {}).functions[&function].connected);
    let mut qemu = bench.connect(function);
    let id = qemu.read(&mut bench, 0, REG_ID, 4);
    assert_eq!(id, DUT_ID_VALUE.to_le_bytes());
}

#[test]
fn conventional_card_has_256_bytes_of_configuration_space() {
    let (mut bench, mut qemu) = bench_of("[pcie]\ntype = \"none\"\n");
    assert_eq!(qemu.region_size(&mut bench, 7), 256);
    let (mut bench, mut qemu) = bench_of("");
    assert_eq!(qemu.region_size(&mut bench, 7), 4096);
}
