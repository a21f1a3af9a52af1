//! Composite operations: what takes many register and memory writes to say by chance.

use arbitrary::Arbitrary;
use dmarig_abi::descriptor::{DESCRIPTOR_FLAG_OWNED, DESCRIPTOR_SIZE_BYTES};
use dmarig_abi::registers::{
    CH_COMMAND, CH_COMPLETION_BASE, CH_DESTINATION, CH_LENGTH, CH_RING_BASE, CH_RING_CONTROL,
    CH_RING_ENTRIES, CH_RING_TAIL, CH_SEED, CH_SOURCE, CHANNEL_BASE, CHANNEL_STRIDE,
    DUT_REGISTER_BAR, RING_ENABLE,
};
use vfio_user::client::write_payload;
use vfio_user::message::{Command, FLAG_NO_REPLY};

use crate::bed::Bed;
use crate::script::{Fd, MEMORY_IOVA, Peers, Value};

/// Channels that are written to; the built-in device has four.
const CHANNELS: u64 = 6;
/// Descriptors of one operation.
const MAX_DESCRIPTORS: usize = 8;
/// Number of operations and flags worth trying.
const OPCODES: u8 = 16;
const PAGE: u64 = 0x1000;

/// What one request does, as registers and descriptors say it.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Work {
    opcode: u8,
    flags: u8,
    is_owned: bool,
    source: Value,
    destination: Value,
    length: Value,
    seed: u8,
}

impl Work {
    fn command(&self) -> u64 {
        let owned = if self.is_owned {
            u64::from(DESCRIPTOR_FLAG_OWNED)
        } else {
            0
        };
        u64::from(self.opcode % OPCODES) | (u64::from(self.flags) | owned) << 16
    }

    fn descriptor(&self) -> Vec<u8> {
        let words = [
            self.command(),
            u64::from(self.seed),
            self.source.get(),
            self.destination.get(),
            self.length.get(),
            u64::from(self.seed),
        ];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(DESCRIPTOR_SIZE_BYTES, 0);
        bytes
    }
}

/// A ring with descriptors in it.
#[derive(Arbitrary, Clone, Debug)]
pub struct Ring {
    channel: u8,
    page: u8,
    completion_page: u8,
    entries: u8,
    descriptors: Vec<Work>,
    tail: u8,
    mode: u8,
}

/// Writes the registers of a channel and rings its doorbell.
pub fn request(peers: &mut Peers, bed: &mut Bed, channel: u8, work: &Work) {
    for (register, value) in [
        (CH_SOURCE, work.source.get()),
        (CH_DESTINATION, work.destination.get()),
        (CH_LENGTH, work.length.get()),
        (CH_SEED, work.seed.into()),
    ] {
        write(peers, bed, channel, register, &value.to_le_bytes());
    }
    let command = work.command().to_le_bytes();
    write(peers, bed, channel, CH_COMMAND, &command[..4]);
}

/// Writes descriptors to memory, enables the ring, and moves its tail.
pub fn ring(peers: &mut Peers, bed: &mut Bed, ring: &Ring) {
    let base = u64::from(ring.page % 16) * PAGE;
    for (work, slot) in ring.descriptors.iter().take(MAX_DESCRIPTORS).zip(0..) {
        let size = u64::try_from(DESCRIPTOR_SIZE_BYTES).expect("64");
        peers.write_bytes(base + slot * size, &work.descriptor());
    }
    let completion = MEMORY_IOVA + u64::from(ring.completion_page % 16) * PAGE;
    let entries = 1_u32 << (ring.entries % 14);
    let control = RING_ENABLE | u32::from(ring.mode % 8) << 1;
    let (channel, base) = (ring.channel, MEMORY_IOVA + base);
    write(peers, bed, channel, CH_RING_BASE, &base.to_le_bytes());
    write(
        peers,
        bed,
        channel,
        CH_COMPLETION_BASE,
        &completion.to_le_bytes(),
    );
    write(peers, bed, channel, CH_RING_ENTRIES, &entries.to_le_bytes());
    write(peers, bed, channel, CH_RING_CONTROL, &control.to_le_bytes());
    write(
        peers,
        bed,
        channel,
        CH_RING_TAIL,
        &u32::from(ring.tail).to_le_bytes(),
    );
}

/// Puts a remapping unit in front of the device, with tables in pages 4 to 8 of the memory that give
/// every page its own address; what is hostile about them comes by later writes.
pub fn remap(peers: &mut Peers, bed: &mut Bed, is_deferred: bool) {
    let page = |number: u64| MEMORY_IOVA + number * PAGE;
    let word = |number: u64, index: u64, value: u64| {
        peers.write_bytes(number * PAGE + index * 8, &value.to_le_bytes());
    };
    word(4, 0, page(5) | 1);
    // Function 0 of device 0: domain 5, 39 bits.
    word(5, 0, page(6) | 1);
    word(5, 1, 5 << 8 | 1);
    word(6, 0, page(7) | 3);
    word(7, 0, page(8) | 3);
    for number in 0..16 {
        word(8, 256 + number, page(number) | 3);
    }
    let invalidation = match is_deferred {
        true => r#"{"mode":"deferred","ticks":3}"#,
        false => r#"{"mode":"immediate"}"#,
    };
    let line = format!(
        r#"{{"jsonrpc":"2.0","id":8,"method":"iommu.enable","params":{{"function":"dut0","requester":"00:00.0","root":"{:#x}","settings":{{"iotlb_entries":4,"context_entries":4,"invalidation":{invalidation}}}}}}}"#,
        page(4)
    );
    bed.say(line.as_bytes());
}

fn write(peers: &mut Peers, bed: &mut Bed, channel: u8, register: u64, bytes: &[u8]) {
    let offset = CHANNEL_BASE + u64::from(channel) % CHANNELS * CHANNEL_STRIDE + register;
    let payload = write_payload(DUT_REGISTER_BAR, offset, bytes);
    peers.send(
        bed,
        Command::REGION_WRITE,
        FLAG_NO_REPLY,
        &payload,
        Fd::None,
    );
}
