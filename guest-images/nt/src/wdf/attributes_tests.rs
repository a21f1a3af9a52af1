//! WDF_OBJECT_ATTRIBUTES, with the test's own memory in place of a driver's.

use super::*;

fn address<T>(value: &T) -> u64 {
    core::ptr::from_ref(value).expose_provenance() as u64
}

/// WDF_OBJECT_ATTRIBUTES: size, level and scope, parent, ContextSizeOverride, ContextTypeInfo.
fn attributes(size: u64, level: u64, scope: u64, rest: [u64; 3]) -> [Cell<u64>; 7] {
    let [parent, override_bytes, type_info] = rest;
    [
        size,
        0x11,
        0x22,
        level | (scope << 32),
        parent,
        override_bytes,
        type_info,
    ]
    .map(Cell::new)
}

/// WDF_OBJECT_CONTEXT_TYPE_INFO.
fn type_info(size: u64, name: u64, len: u64, unique: u64) -> [Cell<u64>; 5] {
    [size, name, len, unique, 0].map(Cell::new)
}

const EVERYTHING: Rules = Rules {
    parent: ParentRule::Optional,
    execution_level: true,
    scope: true,
};

#[test]
fn valid_attributes_are_read_whole() {
    let info = type_info(0x28, 1, 24, 0);
    let read = Attributes::read(
        address(&attributes(0x38, 2, 3, [0x5000, 40, address(&info)])),
        EVERYTHING,
    );
    let expected = Attributes {
        cleanup: 0x11,
        destroy: 0x22,
        execution_level: ExecutionLevel::Passive,
        scope: Scope::Queue,
        parent: 0x5000,
        context: Some(ContextType {
            identity: address(&info),
            len_bytes: 40,
        }),
    };
    assert_eq!(read, Ok(expected));
}

#[test]
fn unique_type_is_the_identity_of_a_context_type() {
    let unique = type_info(0x28, 1, 8, 0);
    let other = type_info(0x28, 1, 8, address(&unique));
    assert_eq!(type_identity(address(&other)), address(&unique));
    assert_eq!(type_identity(address(&unique)), address(&unique));
}

#[test]
fn broken_attributes_give_the_documented_status() {
    let check = |attributes: &[Cell<u64>; 7], rules, expected| {
        assert_eq!(Attributes::read(address(attributes), rules), Err(expected));
    };
    let nameless = type_info(0x28, 0, 8, 0);
    let cut = type_info(0x20, 1, 8, 0);
    let sound = type_info(0x28, 1, 8, 0);
    let invalid = status::WDF_OBJECT_ATTRIBUTES_INVALID;
    check(
        &attributes(0x30, 1, 1, [0; 3]),
        EVERYTHING,
        status::INFO_LENGTH_MISMATCH,
    );
    check(
        &attributes(0x38, 1, 1, [0, 0, address(&cut)]),
        EVERYTHING,
        status::INFO_LENGTH_MISMATCH,
    );
    check(
        &attributes(0x38, 1, 1, [0, 0, address(&nameless)]),
        EVERYTHING,
        invalid,
    );
    check(&attributes(0x38, 1, 1, [0, 4, 0]), EVERYTHING, invalid);
    check(
        &attributes(0x38, 1, 1, [0, 4, address(&sound)]),
        EVERYTHING,
        invalid,
    );
    check(&attributes(0x38, 0, 1, [0; 3]), EVERYTHING, invalid);
    check(&attributes(0x38, 4, 1, [0; 3]), EVERYTHING, invalid);
    check(&attributes(0x38, 1, 5, [0; 3]), EVERYTHING, invalid);
    // KD-10, in the order of the framework.
    let parent_and_level = attributes(0x38, 2, 2, [0x5000, 0, 0]);
    check(
        &parent_and_level,
        Rules::NO_PARENT,
        status::WDF_PARENT_ASSIGNMENT_NOT_ALLOWED,
    );
    check(
        &parent_and_level,
        Rules::PLAIN,
        status::WDF_SYNCHRONIZATION_SCOPE_INVALID,
    );
    let level = attributes(0x38, 2, 4, [0; 3]);
    check(&level, Rules::PLAIN, status::WDF_EXECUTION_LEVEL_INVALID);
}

#[test]
fn missing_attributes_are_none_or_lack_the_parent() {
    assert_eq!(Attributes::read(0, EVERYTHING), Ok(Attributes::NONE));
    let rules = Rules {
        parent: ParentRule::Required,
        ..EVERYTHING
    };
    assert_eq!(
        Attributes::read(0, rules),
        Err(status::WDF_PARENT_NOT_SPECIFIED)
    );
    let without = attributes(0x38, 1, 1, [0; 3]);
    let read = Attributes::read(address(&without), rules);
    assert_eq!(read, Err(status::WDF_PARENT_NOT_SPECIFIED));
}
