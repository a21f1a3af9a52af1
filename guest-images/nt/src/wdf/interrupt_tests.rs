//! Configurations of interrupts, and what a descriptor says.

use super::super::interrupt::Resource;
use super::*;
use crate::ntoskrnl::shared::address_of;

const ISR: u64 = 0x1000;
const DPC: u64 = 0x2000;
const WORK_ITEM: u64 = 0x3000;

/// WDF_INTERRUPT_CONFIG of 1.13 as words, with ISR and DPC.
fn config() -> [u64; 13] {
    let mut words = [0; 13];
    words[0] = 0x68;
    words[2] = USE_DEFAULT.into();
    words[3] = ISR;
    words[4] = DPC;
    words
}

fn judge(words: [u64; 13], is_in_prepare_hardware: bool) -> Result<(), NtStatus> {
    let words = words.map(Cell::new);
    Config::read(address_of(&words))?.judge(is_in_prepare_hardware)
}

#[test]
fn sound_configurations_are_taken() {
    assert_eq!(judge(config(), false), Ok(()));
    let mut with_resources = config();
    (with_resources[8], with_resources[9]) = (0x10, 0x20);
    assert_eq!(judge(with_resources, true), Ok(()));
    let mut old = config();
    old[0] = 0x38;
    old[7] = WORK_ITEM;
    assert_eq!(
        judge(old, false),
        Ok(()),
        "1.9 ends before EvtInterruptWorkItem"
    );
}

#[test]
fn broken_configurations_give_the_documented_status() {
    let check = |index: usize, value: u64, is_in_prepare_hardware, expected| {
        let mut words = config();
        words[index] = value;
        assert_eq!(
            judge(words, is_in_prepare_hardware),
            Err(expected),
            "word {index}"
        );
    };
    let (invalid, state) = (status::INVALID_PARAMETER, status::INVALID_DEVICE_STATE);
    check(0, 0x64, false, status::INFO_LENGTH_MISMATCH);
    // No service routine.
    check(3, 0, false, invalid);
    // DPC and work item.
    check(7, WORK_ITEM, false, invalid);
    // Resources in EvtDriverDeviceAdd, and none in EvtDevicePrepareHardware.
    check(8, 0x10, false, invalid);
    check(8, 0x10, true, state);
    // A wait lock without passive handling, a wake interrupt, passive handling.
    check(10, 0x10, false, invalid);
    check(12, 1, false, invalid);
    check(11, 1, false, status::NOT_SUPPORTED);
}

#[test]
fn descriptor_of_a_message_says_vector_level_and_mode() {
    let mut bytes = [0u8; 0x14];
    bytes[0] = 2;
    bytes[1] = 1;
    bytes[2..4].copy_from_slice(&3u16.to_le_bytes());
    bytes[4] = 6;
    bytes[8..12].copy_from_slice(&0x61u32.to_le_bytes());
    bytes[0xC] = 1;
    let expected = Resource {
        vector: 0x61,
        irql: 6,
        affinity: 1,
        is_latched: true,
        is_message: true,
        share: 1,
    };
    assert_eq!(interrupt::read_resource(address_of(&bytes)), Some(expected));
    bytes[0] = 3;
    assert_eq!(
        interrupt::read_resource(address_of(&bytes)),
        None,
        "memory is no interrupt"
    );
}
