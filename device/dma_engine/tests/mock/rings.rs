//! Memory for rings, lists and data, and descriptors that are run one at a time.

use dma_engine::{EngineConfig, Extent, RequestRecord};
use dmarig_abi::{CompletionEntry, Descriptor, ListElement};
use zerocopy::IntoBytes;

use super::{DriverRing, Permit, Rig};

pub const RING: u64 = 0x20_0000;
pub const DATA: u64 = 0x10_0000;
pub const LISTS: u64 = 0x30_0000;

pub fn rig() -> Rig {
    rig_with(EngineConfig::default())
}

pub fn rig_with(config: EngineConfig) -> Rig {
    let mut rig = Rig::with_config(config);
    rig.bus.map(DATA, 64, Permit::ReadWrite);
    rig.bus.map(RING, 256, Permit::ReadWrite);
    rig.bus.map(LISTS, 16, Permit::ReadWrite);
    rig
}

pub fn put_list(rig: &mut Rig, at: u64, elements: &[(u64, u64)]) -> u16 {
    for (index, (iova, length_bytes)) in elements.iter().enumerate() {
        let element = ListElement {
            iova: *iova,
            length_bytes: *length_bytes,
        };
        rig.bus.poke(at + index as u64 * 16, element.as_bytes());
    }
    u16::try_from(elements.len()).expect("a short list")
}

pub fn run(rig: &mut Rig, ring: &mut DriverRing, descriptor: Descriptor) -> CompletionEntry {
    rig.post(ring, descriptor);
    rig.ring_doorbell(ring);
    rig.settle();
    rig.completion(ring).expect("a completion entry")
}

pub fn last(rig: &Rig) -> RequestRecord {
    rig.request_records().pop().expect("a record")
}

pub fn extents(of: &[Extent]) -> Vec<(u64, u64)> {
    of.iter()
        .map(|run| (run.start.raw(), run.len_bytes))
        .collect()
}
