//! The driver's list of framework routines agrees with that of the nt guest, which was made apart from
//! it: index by index, name by name.

use std::collections::BTreeMap;
use std::fs;

use xtask::paths;

/// The names of the guest's table by index: lines of `INDEX Name`.
fn guest_names() -> BTreeMap<usize, String> {
    let path = paths::repository().join("guest-images/nt/src/wdf/names.rs");
    let text = fs::read_to_string(path).expect("the guest's table is committed");
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .windows(2)
        .filter(|pair| pair[1].starts_with("Wdf"))
        .filter_map(|pair| Some((pair[0].parse().ok()?, pair[1].to_owned())))
        .collect()
}

/// The driver's: `WDF_CALL_n(INDEX, result, Name, ...`.
fn driver_names() -> BTreeMap<usize, String> {
    let path = paths::test_driver().join("src/kmdf/wdf_calls.h");
    let text = fs::read_to_string(path).expect("the driver's list is committed");
    text.lines()
        .filter(|line| line.starts_with("WDF_CALL_"))
        .map(|line| {
            let (_, arguments) = line.split_once('(').expect("a call of the macro");
            let mut words = arguments.split(", ");
            let index = words.next().and_then(|index| index.parse().ok());
            let name = words.nth(1).expect("index, result, name");
            (
                index.expect("an index"),
                name.trim_end_matches(',').to_owned(),
            )
        })
        .collect()
}

#[test]
fn indices_of_the_framework_routines_are_those_of_the_guest() {
    let guest = guest_names();
    let driver = driver_names();
    assert!(guest.len() > 400, "{} names in the guest", guest.len());
    assert!(driver.len() > 50, "{} names in the driver", driver.len());
    for (index, name) in driver {
        assert_eq!(guest.get(&index), Some(&name), "index {index}");
    }
}
