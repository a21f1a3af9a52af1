//! Tables built in a vector that stands for the memory from address 0x1000 on.

use super::*;
use proptest::prelude::*;

const BASE: u64 = 0x1000;
const RSDP: u64 = BASE;
const ROOT: u64 = BASE + 0x100;
const MCFG: u64 = BASE + 0x200;
const DMAR: u64 = BASE + 0x300;

struct Image(Vec<u8>);

impl PhysicalMemory for Image {
    fn read(&self, at: GuestPhysAddr, into: &mut [u8]) -> Option<()> {
        let start = usize::try_from(at.raw().checked_sub(BASE)?).ok()?;
        into.copy_from_slice(self.0.get(start..start.checked_add(into.len())?)?);
        Some(())
    }
}

impl Image {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let start = usize::try_from(at - BASE).expect("small");
        self.0[start..start + bytes.len()].copy_from_slice(bytes);
    }

    fn put_table(&mut self, at: u64, signature: &[u8; 4], body: &[u8]) {
        let mut table = vec![0; HEADER_BYTES];
        table[..4].copy_from_slice(signature);
        table.extend_from_slice(body);
        let len = u32::try_from(table.len()).expect("small");
        table[4..8].copy_from_slice(&len.to_le_bytes());
        fix_checksum(&mut table, 9);
        self.put(at, &table);
    }

    fn read_tables(&self) -> Result<Tables, AcpiError> {
        Tables::read(self, GuestPhysAddr::new(RSDP))
    }
}

fn fix_checksum(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes[at] = sum.wrapping_neg();
}

fn mcfg_body() -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend_from_slice(&0xB000_0000u64.to_le_bytes());
    body.extend_from_slice(&[0, 0, 0, 0xFF, 0, 0, 0, 0]);
    body
}

fn drhd(len: u16) -> Vec<u8> {
    let mut structure = vec![0; 16];
    structure[2..4].copy_from_slice(&len.to_le_bytes());
    structure[4] = INCLUDE_PCI_ALL;
    structure[8..16].copy_from_slice(&0xFED9_0000u64.to_le_bytes());
    structure
}

fn dmar_body(structures: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![0; DMAR_HEADER_BYTES - HEADER_BYTES];
    body.extend(structures.iter().flatten());
    body
}

fn image(is_extended: bool) -> Image {
    let mut image = Image(vec![0; 0x1000]);
    let mut root_pointer = vec![0; if is_extended { 36 } else { 20 }];
    root_pointer[..8].copy_from_slice(b"RSD PTR ");
    if is_extended {
        root_pointer[15] = 2;
        root_pointer[24..32].copy_from_slice(&ROOT.to_le_bytes());
    } else {
        root_pointer[16..20].copy_from_slice(&ROOT.to_le_bytes()[..4]);
    }
    fix_checksum(&mut root_pointer[..20], 8);
    image.put(RSDP, &root_pointer);
    let width = if is_extended { 8 } else { 4 };
    let root: Vec<u8> = [MCFG, DMAR]
        .iter()
        .flat_map(|at| at.to_le_bytes()[..width].to_vec())
        .collect();
    image.put_table(ROOT, if is_extended { b"XSDT" } else { b"RSDT" }, &root);
    image.put_table(MCFG, b"MCFG", &mcfg_body());
    let other = vec![1, 0, 6, 0, 0, 0];
    image.put_table(DMAR, b"DMAR", &dmar_body(&[other, drhd(16)]));
    image
}

#[test]
fn both_root_tables_lead_to_mcfg_and_dmar() {
    for is_extended in [false, true] {
        let tables = image(is_extended).read_tables().expect("good tables");
        assert_eq!(
            tables.ecam,
            [EcamSegment {
                base: GuestPhysAddr::new(0xB000_0000),
                segment: 0,
                first_bus: 0,
                last_bus: 255,
            }]
        );
        assert_eq!(
            tables.remapping_units,
            [RemappingUnit {
                base: GuestPhysAddr::new(0xFED9_0000),
                segment: 0,
                covers_all: true,
            }]
        );
    }
}

#[test]
fn missing_root_pointer_is_named() {
    let mut wrong = image(true);
    wrong.put(RSDP, b"RSD PTR!");
    assert_eq!(wrong.read_tables(), Err(AcpiError::NoRootPointer));
    assert_eq!(
        Tables::read(&wrong, GuestPhysAddr::new(0)),
        Err(AcpiError::NoRootPointer)
    );
    assert_eq!(
        Tables::read(&wrong, GuestPhysAddr::new(u64::MAX)),
        Err(AcpiError::NoRootPointer)
    );
}

#[test]
fn flipped_byte_is_a_bad_checksum() {
    let mut wrong = image(true);
    wrong.put(MCFG + 40, &[1]);
    let at = GuestPhysAddr::new(MCFG);
    assert_eq!(wrong.read_tables(), Err(AcpiError::BadChecksum { at }));
}

#[test]
fn impossible_table_lengths_are_refused() {
    for len_bytes in [0u32, 35, 0x10001, u32::MAX] {
        let mut wrong = image(true);
        wrong.put(DMAR + 4, &len_bytes.to_le_bytes());
        let expected = AcpiError::BadLength {
            at: GuestPhysAddr::new(DMAR),
            len_bytes: u64::from(len_bytes),
        };
        assert_eq!(wrong.read_tables(), Err(expected));
    }
    let mut beyond = image(true);
    beyond.put(DMAR + 4, &0x8000u32.to_le_bytes());
    let at = GuestPhysAddr::new(DMAR);
    assert_eq!(beyond.read_tables(), Err(AcpiError::Unreadable { at }));
}

#[test]
fn structure_lengths_that_loop_or_overrun_are_refused() {
    for len in [0, 3, 8, 17, u16::MAX] {
        let mut wrong = image(true);
        wrong.put_table(DMAR, b"DMAR", &dmar_body(&[drhd(len)]));
        let expected = AcpiError::BadLength {
            at: GuestPhysAddr::new(DMAR),
            len_bytes: u64::from(len),
        };
        assert_eq!(wrong.read_tables(), Err(expected), "length {len}");
    }
}

#[test]
fn tables_shorter_than_their_fixed_part_are_refused() {
    for (at, signature) in [(MCFG, b"MCFG"), (DMAR, b"DMAR")] {
        let mut wrong = image(true);
        wrong.put_table(at, signature, &[0; 4]);
        assert!(matches!(
            wrong.read_tables(),
            Err(AcpiError::BadLength { len_bytes: 40, .. })
        ));
    }
}

#[test]
fn table_that_lists_itself_ends() {
    let mut wrong = image(true);
    wrong.put_table(ROOT, b"XSDT", &ROOT.to_le_bytes());
    assert_eq!(wrong.read_tables(), Ok(Tables::default()));
}

proptest! {
    #[test]
    fn any_bytes_give_tables_or_an_error(
        changes in prop::collection::vec((0u64..0x400, any::<u8>()), 1..40),
        is_extended: bool,
    ) {
        let mut hostile = image(is_extended);
        for (offset, byte) in changes {
            hostile.put(BASE + offset, &[byte]);
        }
        // Sums are made right again, or nothing past them would ever be reached.
        for at in [ROOT, MCFG, DMAR] {
            let start = usize::try_from(at - BASE).expect("small");
            let len = le_u32(&hostile.0, start + 4) as usize;
            if (HEADER_BYTES..0x200).contains(&len) {
                fix_checksum(&mut hostile.0[start..start + len], 9);
            }
        }
        fix_checksum(&mut hostile.0[..20], 8);
        let _ = hostile.read_tables();
    }
}
