//! The targets that drive the whole device process by its sockets.

use arbitrary::{Arbitrary as _, Unstructured};
use control_api::FunctionName;
use vfio_user::client::{QEMU_PROPOSAL, version_payload, write_payload};
use vfio_user::message::{Command, DMA_MAP_READ, DMA_MAP_WRITE};

use crate::bed::Bed;
use crate::script::{Fd, MAX_OPS, Op, Peers};

/// Region of configuration space.
const CONFIG: u32 = 7;
/// Memory enable and bus master in the command register, at offset 4.
const MEMORY_AND_BUS_MASTER: u16 = 6;
/// Devices that the first byte of target `device` chooses from; beyond them it is the built-in one.
const DEVICE_FILES: [&str; 4] = [
    "rich.toml",
    "nic-like.toml",
    "msi-only.toml",
    "legacy-io.toml",
];
/// Longest stretch of the stream that target `wire` sends at once.
const CHUNK_BYTES: usize = 97;

/// Bytes on the device's vfio-user socket before any version exchange: first as they are, in pieces;
/// then, if the first byte asks for it, decoded into operations.
pub fn wire(data: &[u8]) {
    let mut bed = Bed::new(FunctionName::DUT0);
    match data.split_first() {
        Some((first, rest)) if first % 2 == 1 => run(&mut bed, &mut Peers::new(), rest),
        _ => {
            for chunk in data.chunks(CHUNK_BYTES) {
                bed.send(chunk, &[]);
            }
        }
    }
    bed.check_rest();
}

/// A guest and a QEMU that have come to terms, then turn on the device: registers, descriptors in
/// memory, mappings, answers to DMA messages, control lines. The first byte chooses the device.
pub fn device(data: &[u8]) {
    let (first, data) = data.split_first().unwrap_or((&0, data));
    let file = DEVICE_FILES.get(usize::from(*first)).copied();
    let mut bed = Bed::with_device(FunctionName::DUT0, file);
    let mut peers = Peers::new();
    negotiate(&mut bed, &mut peers);
    let read = u8::try_from(DMA_MAP_READ).expect("a flag of 2");
    let write = u8::try_from(DMA_MAP_WRITE).expect("a flag of 2");
    peers.map(&mut bed, [0, 12, 0], read | write, Fd::Memory);
    peers.map(&mut bed, [12, 2, 12], read, Fd::Memory);
    peers.map(&mut bed, [14, 2, 14], read | write, Fd::None);
    run(&mut bed, &mut peers, data);
    bed.check_rest();
}

/// The control function with its mailbox, between a hostile driver and a hostile harness.
pub fn mailbox(data: &[u8]) {
    let mut bed = Bed::new(FunctionName::Control);
    let mut peers = Peers::new();
    negotiate(&mut bed, &mut peers);
    run(&mut bed, &mut peers, data);
    bed.check_rest();
}

/// Lines on the control socket: the input itself, cut at each newline.
pub fn control(data: &[u8]) {
    let mut bed = Bed::new(FunctionName::DUT0);
    for line in data.split(|byte| *byte == b'\n').take(MAX_OPS) {
        bed.say(line);
    }
    bed.check_rest();
}

fn negotiate(bed: &mut Bed, peers: &mut Peers) {
    let payload = version_payload(0, 0, QEMU_PROPOSAL);
    peers.send(bed, Command::VERSION, 0, &payload, Fd::None);
    let payload = write_payload(CONFIG, 4, &MEMORY_AND_BUS_MASTER.to_le_bytes());
    peers.send(bed, Command::REGION_WRITE, 0, &payload, Fd::None);
}

fn run(bed: &mut Bed, peers: &mut Peers, data: &[u8]) {
    let mut input = Unstructured::new(data);
    for _ in 0..MAX_OPS {
        if input.is_empty() {
            return;
        }
        let Ok(op) = Op::arbitrary(&mut input) else {
            return;
        };
        peers.act(bed, &op);
    }
}
