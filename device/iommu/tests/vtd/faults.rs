//! What the fault recording registers hold.

use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use iommu::vtd::{FaultCounters, FaultReason, FaultRecord, RemappingUnit, UnitConfig};
use iommu::{Access, FaultKind};

use crate::tables::{DEVICE, READ, ROOT, Tables, refusal_code, translate, unit};

fn fault_at(unit: &mut RemappingUnit, requester: RequesterId, page: u64) {
    let iova = Iova::new(page * 0x1000 + 0x123);
    unit.translate(&Tables::new(), requester, iova, 1, Access::Write)
        .expect_err("nothing is mapped");
}

fn pages(unit: &RemappingUnit) -> Vec<u64> {
    let page = |record: &FaultRecord| record.iova.raw() / 0x1000;
    unit.faults().map(page).collect()
}

#[test]
fn record_tells_requester_page_access_reason_and_domain() {
    let mut tables = Tables::new();
    let top = tables.attach(DEVICE, 9, 3);
    tables.map(top, 3, 0x5000, 0x7000, READ);
    let mut unit = unit(|_| ());
    let fault = translate(&mut unit, &tables, 0x5678, Access::Write).expect_err("read-only");
    assert_eq!(
        (fault.kind, fault.iova.raw()),
        (FaultKind::Permission, 0x5678)
    );
    let record = FaultRecord {
        requester: DEVICE,
        iova: Iova::new(0x5000),
        access: Access::Write,
        reason: FaultReason::WritePermission,
        domain: Some(9),
    };
    assert_eq!(unit.take_faults(), [record]);
    assert_eq!(record.to_words(), [0x5000, 1 << 63 | 5 << 32 | 0x0208]);
    let read = FaultRecord {
        access: Access::Read,
        reason: FaultReason::RootNotPresent,
        ..record
    };
    assert_eq!(read.to_words(), [0x5000, 3 << 62 | 1 << 32 | 0x0208]);
}

#[test]
fn fault_is_unmapped_where_nothing_is_permitted() {
    let mut tables = Tables::new();
    tables.attach(DEVICE, 9, 3);
    let mut unit = unit(|_| ());
    let fault = translate(&mut unit, &tables, 0x5678, Access::Write).expect_err("not mapped");
    assert_eq!(fault.kind, FaultKind::Unmapped);
}

#[test]
fn registers_overflow_and_lose_what_comes_until_they_are_cleared() {
    let mut unit = unit(|config| config.fault_records = 3);
    for page in 1..=5 {
        fault_at(&mut unit, DEVICE, page);
        assert_eq!(unit.has_overflowed(), page > 3);
    }
    assert_eq!(pages(&unit), [1, 2, 3]);
    let counters = FaultCounters {
        recorded: 3,
        lost: 2,
        ..FaultCounters::default()
    };
    assert_eq!(unit.fault_counters(), counters);
    assert_eq!(unit.take_faults().len(), 3);
    assert!(!unit.has_overflowed());
    for page in 6..=8 {
        fault_at(&mut unit, DEVICE, page);
    }
    assert_eq!(pages(&unit), [6, 7, 8]);
}

#[test]
fn compression_keeps_one_record_of_a_requester() {
    let other = RequesterId::from_raw(0x0300);
    let mut unit = unit(|config| config.compresses_faults = true);
    for (requester, page) in [(DEVICE, 1), (DEVICE, 2), (other, 3), (DEVICE, 4)] {
        fault_at(&mut unit, requester, page);
    }
    assert_eq!(pages(&unit), [1, 3]);
    assert_eq!(unit.fault_counters().compressed, 2);
    unit.take_faults();
    fault_at(&mut unit, DEVICE, 5);
    assert_eq!(pages(&unit), [5]);
}

#[test]
fn fault_processing_disable_keeps_qualified_faults_from_the_record() {
    let mut tables = Tables::new();
    tables.attach(DEVICE, 9, 4);
    let at = tables.context_entry(DEVICE);
    let present = tables.word(at);
    // In an entry that is present, that is not, and that has a reserved bit set.
    for low in [present | 2, 2, present | 2 | 0x10] {
        tables.set(at, low);
        let mut unit = unit(|_| ());
        assert_eq!(refusal_code(&mut unit, &tables, 0x5000, Access::Read), None);
        assert_eq!(unit.fault_counters().suppressed, 1, "{low:#x}");
    }
    tables.set(Tables::root_entry(DEVICE), 0);
    let mut unit = unit(|_| ());
    assert_eq!(
        refusal_code(&mut unit, &tables, 0x5000, Access::Read),
        Some(1)
    );
}

#[test]
fn setting_that_no_unit_can_have_is_named() {
    let check = |change: fn(&mut UnitConfig), message: &str| {
        let mut config = UnitConfig::default();
        change(&mut config);
        let error = RemappingUnit::try_new(config, ROOT).expect_err("refused");
        assert_eq!(error.to_string(), message);
    };
    check(
        |config| config.iotlb_entries = 100,
        "iotlb_entries is 100; it must be 0, or a power of two up to 65536",
    );
    check(
        |config| config.fault_records = 0,
        "fault_records is 0; it must be 1 to 256",
    );
    check(
        |config| config.host_address_bits = 64,
        "host_address_bits is 64; it must be 36 to 52",
    );
    let root = GuestPhysAddr::new(0x1fff);
    let unit = RemappingUnit::try_new(UnitConfig::default(), root).expect("valid");
    assert_eq!(unit.root_table().raw(), 0x1000);
}
