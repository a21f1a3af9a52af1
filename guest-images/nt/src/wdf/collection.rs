//! WDFCOLLECTION (indices 13 to 20): an ordered list of objects, each of them referenced while it is in there.

use alloc::vec::Vec;

use super::attributes::{Attributes, Rules};
use super::creation::{give, parent_or_driver};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::tree;
use super::violation::{at_most, not_null};
use crate::ke::irql::DISPATCH_LEVEL;
use crate::ntoskrnl::status::{self, NtStatus};

/// Most items of a collection.
const MAX_ITEMS: usize = 1 << 16;

static KIND: Kind = Kind {
    on_dispose: clear,
    on_destroy: forget,
    ..Kind::new("WDFCOLLECTION")
};

static COLLECTIONS: Family<Vec<Handle>> = Family::new();

fn clear(handle: Handle) {
    let items = COLLECTIONS.with(handle, core::mem::take);
    items
        .unwrap_or_default()
        .into_iter()
        .for_each(tree::dereference);
}

fn forget(handle: Handle) {
    // What was added after the deletion began.
    clear(handle);
    COLLECTIONS.remove(handle);
}

/// `WdfCollectionCreate` (wdfcollection.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES, or what
/// [`Attributes::read`] says. The driver is the parent where none is named.
pub(super) extern "win64" fn create(globals: u64, attributes: u64, out: u64) -> NtStatus {
    let function = "WdfCollectionCreate";
    not_null(function, "Collection", out);
    at_most(function, DISPATCH_LEVEL);
    let created = Attributes::read(attributes, Rules::PLAIN).and_then(|attributes| {
        let parent = parent_or_driver(function, globals, &attributes);
        object::create(&KIND, &attributes, parent)
    });
    if let Ok(handle) = created {
        COLLECTIONS.insert(handle, Vec::new());
    }
    give(out, created)
}

/// `WdfCollectionGetCount` (wdfcollection.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn count(_globals: u64, collection: u64) -> u32 {
    let items = items("WdfCollectionGetCount", collection);
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// `WdfCollectionAdd` (wdfcollection.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS; STATUS_UNSUCCESSFUL where memory is
/// short.
pub(super) extern "win64" fn add(_globals: u64, collection: u64, item: u64) -> NtStatus {
    let function = "WdfCollectionAdd";
    let collection = object::check(function, collection, &KIND);
    let item = object::check_any(function, item);
    at_most(function, DISPATCH_LEVEL);
    let has_room = COLLECTIONS.with(collection, |items| {
        let has_room = items.len() < MAX_ITEMS && items.try_reserve(1).is_ok();
        if has_room {
            items.push(item);
        }
        has_room
    });
    if has_room != Some(true) {
        return status::UNSUCCESSFUL;
    }
    object::reference(item);
    status::SUCCESS
}

/// `WdfCollectionRemove` (wdfcollection.h). IRQL <= DISPATCH_LEVEL. An object that is not in it is a finding.
pub(super) extern "win64" fn remove(_globals: u64, collection: u64, item: u64) {
    let function = "WdfCollectionRemove";
    let collection = object::check(function, collection, &KIND);
    let item = object::check_any(function, item);
    let removed = COLLECTIONS.with(collection, |items| {
        let position = items.iter().position(|found| *found == item)?;
        Some(items.remove(position))
    });
    give_back(function, collection, removed.flatten());
}

/// `WdfCollectionRemoveItem` (wdfcollection.h). IRQL <= DISPATCH_LEVEL. An index beyond the items is a finding.
pub(super) extern "win64" fn remove_item(_globals: u64, collection: u64, index: u32) {
    let function = "WdfCollectionRemoveItem";
    let collection = object::check(function, collection, &KIND);
    let index = index as usize;
    let removed = COLLECTIONS.with(collection, |items| {
        (index < items.len()).then(|| items.remove(index))
    });
    give_back(function, collection, removed.flatten());
}

fn give_back(function: &str, collection: Handle, removed: Option<Handle>) {
    match removed {
        Some(item) => tree::dereference(item),
        None => object::misuse(
            "wdf-collection-item-unknown",
            format_args!("{function}: no such item in {collection}"),
        ),
    }
}

/// `WdfCollectionGetItem` (wdfcollection.h). IRQL <= DISPATCH_LEVEL. Null beyond the items.
pub(super) extern "win64" fn item(_globals: u64, collection: u64, index: u32) -> u64 {
    let items = items("WdfCollectionGetItem", collection);
    items.get(index as usize).map_or(0, |item| item.raw())
}

/// `WdfCollectionGetFirstItem` (wdfcollection.h). IRQL <= DISPATCH_LEVEL. Null where there is none.
pub(super) extern "win64" fn first_item(_globals: u64, collection: u64) -> u64 {
    let items = items("WdfCollectionGetFirstItem", collection);
    items.first().map_or(0, |item| item.raw())
}

/// `WdfCollectionGetLastItem` (wdfcollection.h). IRQL <= DISPATCH_LEVEL. Null where there is none.
pub(super) extern "win64" fn last_item(_globals: u64, collection: u64) -> u64 {
    let items = items("WdfCollectionGetLastItem", collection);
    items.last().map_or(0, |item| item.raw())
}

fn items(function: &str, collection: u64) -> Vec<Handle> {
    let collection = object::check(function, collection, &KIND);
    at_most(function, DISPATCH_LEVEL);
    COLLECTIONS.get(collection).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::super::object_functions;
    use super::*;
    use crate::ntoskrnl::shared::address_of;

    fn make(create: extern "win64" fn(u64, u64, u64) -> NtStatus) -> u64 {
        let out = Cell::new(0u64);
        assert_eq!(create(0, 0, address_of(&out)), status::SUCCESS);
        out.get()
    }

    #[test]
    fn items_keep_their_order_and_their_references() {
        let collection = make(create);
        let [a, b, c] = [0; 3].map(|_| make(object_functions::create));
        for object in [a, b, c, a] {
            assert_eq!(add(0, collection, object), status::SUCCESS);
        }
        object_functions::delete(0, b);
        assert_eq!(item(0, collection, 1), b, "referenced while it is in there");
        remove(0, collection, a);
        assert_eq!(first_item(0, collection), b, "the first of equal ones went");
        remove_item(0, collection, 0);
        assert_eq!(object::kind_of(Handle::from_raw(b)).map(|it| it.name), None);
        assert_eq!((count(0, collection), last_item(0, collection)), (2, a));
        assert_eq!(item(0, collection, 2), 0);
        object_functions::delete(0, collection);
        object_functions::delete(0, a);
        object_functions::delete(0, c);
        assert!(
            [a, c]
                .iter()
                .all(|it| object::kind_of(Handle::from_raw(*it)).is_none())
        );
    }
}
