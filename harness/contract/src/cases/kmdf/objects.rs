//! Contexts, parents and the end of objects (KD-22).

use dmarig_abi::operation_kmdf::{KMDF_EVENT_OBJECT_CLEANUP, KMDF_EVENT_OBJECT_DESTROY};

use super::KMDF;
use crate::bench::Bench;
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::framework::{DmaProfile, EnablerConfig, ObjectAttributes, Parent};
use crate::step::{Creation, Step};

/// Size of the driver's context types.
const CONTEXT_BYTES: u64 = 64;
const CLEANUP: u16 = KMDF_EVENT_OBJECT_CLEANUP;
const DESTROY: u16 = KMDF_EVENT_OBJECT_DESTROY;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("KD-22/contexts-are-zero", "contexts come zero-filled, also a second one and one of another size", BOTH, contexts_are_zero).under(&KMDF),
    Case::new("KD-22/context-holds-what-is-written", "a context keeps what the driver writes, apart from the others", BOTH, context_holds).under(&KMDF),
    Case::new("KD-22/children-before-parents", "three generations: each is cleaned up before its parent", BOTH, children_before_parents).under(&KMDF),
    Case::new("KD-22/references-defer-destroy", "with a reference EvtDestroy waits for its end, EvtCleanup does not", BOTH, references).under(&KMDF),
    Case::new("KD-22/buffers-before-their-enabler", "common buffers are cleaned up before their enabler", BOTH, buffers_before_enabler).under(&KMDF),
];

const ATTRIBUTES: ObjectAttributes = ObjectAttributes {
    callbacks: true,
    ..ObjectAttributes::INIT
};

fn object(bench: &mut Bench<'_>, attributes: ObjectAttributes) -> Result<u32, CaseEnd> {
    let slot = bench.slot();
    let step = Step::object_create(slot, 0, Creation::with(attributes));
    bench.require("WdfObjectCreate", step)?;
    Ok(slot)
}

fn wrong(what: &str, expected: &str, seen: String) -> CaseEnd {
    Finding {
        view: "driver",
        what: what.to_owned(),
        buffer: None,
        logical_address: None,
        expected: expected.to_owned(),
        seen,
    }
    .into()
}

/// The context of a type has this content, and leads back to its object.
fn expect_context(
    bench: &mut Bench<'_>,
    object: u32,
    context_type: u32,
    content: &[u8],
) -> Result<(), CaseEnd> {
    let step = Step::context_read(object, context_type, content.len() as u64);
    let read = bench.require("WdfObjectGetTypedContextWorker", step)?;
    if read.data != content {
        let expected = format!("{content:x?}");
        return Err(wrong(
            "the content of a context",
            &expected,
            format!("{:x?}", read.data),
        ));
    }
    if read.result.value[0] != 1 {
        let seen = "another handle".to_owned();
        return Err(wrong(
            "WdfObjectContextGetObject",
            "the object's handle",
            seen,
        ));
    }
    Ok(())
}

fn contexts_are_zero(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const LARGE_BYTES: u64 = 1000;
    let attributes = ObjectAttributes {
        context_type: 1,
        ..ATTRIBUTES
    };
    let zeros = |length: u64| vec![0; usize::try_from(length).expect("small")];
    // Freed memory with other content lies about after the first turn.
    for _ in 0..3 {
        let first = object(bench, attributes)?;
        expect_context(bench, first, 1, &zeros(CONTEXT_BYTES))?;
        bench.require(
            "writing a context",
            Step::context_write(first, 1, vec![0xa5; 64]),
        )?;
        let second = ObjectAttributes {
            context_type: 2,
            context_size_override_bytes: LARGE_BYTES,
            ..ObjectAttributes::INIT
        };
        let step = Step::context_allocate(first, second);
        bench.require("WdfObjectAllocateContext", step)?;
        expect_context(bench, first, 2, &zeros(LARGE_BYTES))?;
        let none = bench.run_one(Step::context_read(first, 3, CONTEXT_BYTES))?;
        if none.result.outcome != dmarig_abi::operation::OUTCOME_NULL {
            return Err(wrong(
                "a context type that the object lacks",
                "NULL",
                none.describe(),
            ));
        }
        bench.require("WdfObjectDelete", Step::object_delete(first))?;
    }
    Ok(())
}

fn context_holds(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let attributes = ObjectAttributes {
        context_type: 1,
        ..ATTRIBUTES
    };
    let first = object(bench, attributes)?;
    let second = object(bench, attributes)?;
    for (object, byte) in [(first, 0x11), (second, 0x22)] {
        let step = Step::context_write(object, 1, vec![byte; 64]);
        bench.require("writing a context", step)?;
    }
    expect_context(bench, first, 1, &[0x11; 64])?;
    expect_context(bench, second, 1, &[0x22; 64])
}

/// The callbacks of these objects since the log was emptied, in order: event and slot.
fn callbacks(bench: &mut Bench<'_>, slots: &[u32]) -> Result<Vec<(u16, u32)>, CaseEnd> {
    let log = bench.log()?;
    Ok(log
        .iter()
        .filter(|entry| slots.contains(&entry.slot))
        .map(|entry| (entry.event, entry.slot))
        .collect())
}

/// Where the only callback of that kind stands.
fn position(seen: &[(u16, u32)], event: u16, slot: u32) -> Option<usize> {
    let mut places = seen
        .iter()
        .enumerate()
        .filter(|(_, e)| **e == (event, slot));
    let first = places.next()?.0;
    places.next().is_none().then_some(first)
}

/// Each object was cleaned up once, before the next in the list, and destroyed once, later.
fn expect_end(seen: &[(u16, u32)], slots: &[u32]) -> Result<(), CaseEnd> {
    let mut end = 0;
    for slot in slots {
        let cleanup = position(seen, CLEANUP, *slot);
        let destroy = position(seen, DESTROY, *slot);
        let is_right = cleanup.is_some_and(|cleanup| {
            cleanup >= end && destroy.is_some_and(|destroy| destroy > cleanup)
        });
        if !is_right {
            return Err(wrong(
                "the end of framework objects",
                &format!("cleanup, later destroy, of slots {slots:?} in that order"),
                format!("{seen:?} (48 is cleanup, 49 destroy)"),
            ));
        }
        end = cleanup.unwrap_or(end);
    }
    Ok(())
}

fn children_before_parents(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let parent = object(bench, ATTRIBUTES)?;
    let below = |parent| ObjectAttributes {
        parent: Parent::Slot(parent),
        ..ATTRIBUTES
    };
    let child = object(bench, below(parent))?;
    let grandchild = object(bench, below(child))?;
    bench.clear_log()?;
    bench.require("WdfObjectDelete", Step::object_delete(parent))?;
    let slots = [grandchild, child, parent];
    let seen = callbacks(bench, &slots)?;
    expect_end(&seen, &slots)
}

fn references(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let object = object(bench, ATTRIBUTES)?;
    bench.require("WdfObjectReference", Step::object_reference(object))?;
    bench.clear_log()?;
    bench.require("WdfObjectDelete", Step::object_delete(object))?;
    let seen = callbacks(bench, &[object])?;
    if seen != [(CLEANUP, object)] {
        let expected = "EvtCleanup alone";
        return Err(wrong(
            "deleting a referenced object",
            expected,
            format!("{seen:?}"),
        ));
    }
    bench.require("WdfObjectDereference", Step::object_dereference(object))?;
    let seen = callbacks(bench, &[object])?;
    expect_end(&seen, &[object])
}

fn buffers_before_enabler(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let config = EnablerConfig::new(DmaProfile::ScatterGather64);
    let enabler = bench.enabler_with(config, Creation::with(ATTRIBUTES))?;
    let buffer = bench.slot();
    let creation = Creation::with(ATTRIBUTES);
    let step = Step::common_buffer_create(buffer, enabler, 100, None, creation);
    bench.require("WdfCommonBufferCreate", step)?;
    bench.clear_log()?;
    bench.require("WdfObjectDelete", Step::object_delete(enabler))?;
    let slots = [buffer, enabler];
    let seen = callbacks(bench, &slots)?;
    expect_end(&seen, &slots)
}
