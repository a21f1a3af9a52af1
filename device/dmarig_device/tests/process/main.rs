//! The program itself: its exit codes, its signals, and stock QEMU on its sockets.
//!
//! The binary brings its own list, so that a test which lacks its QEMU is skipped with the reason.

mod child;
mod exits;
mod stock_qemu;

use libtest_mimic::{Arguments, Trial};

const EXITS: [(&str, fn()); 5] = [
    (
        "stop_and_signals_end_it_with_zero_and_leave_no_socket",
        exits::stop_and_signals_end_it_with_zero_and_leave_no_socket,
    ),
    (
        "killed_process_leaves_sockets_that_the_next_one_replaces",
        exits::killed_process_leaves_sockets_that_the_next_one_replaces,
    ),
    (
        "killed_parent_takes_the_process_and_its_sockets_along",
        exits::killed_parent_takes_the_process_and_its_sockets_along,
    ),
    (
        "taken_socket_is_an_environment_error",
        exits::taken_socket_is_an_environment_error,
    ),
    (
        "wrong_use_and_wrong_device_file_are_usage_errors",
        exits::wrong_use_and_wrong_device_file_are_usage_errors,
    ),
];

fn main() {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = EXITS
        .into_iter()
        .map(|(name, test)| trial(name, test))
        .collect();
    let realizes = trial(
        "stock_qemu_realizes_both_functions_and_maps_its_memory",
        stock_qemu::stock_qemu_realizes_both_functions_and_maps_its_memory,
    );
    trials.push(match stock_qemu::missing() {
        Some(reason) => realizes
            .with_ignored_flag(true)
            .with_kind(format!("skipped: {reason}")),
        None => realizes,
    });
    libtest_mimic::run(&arguments, trials).exit();
}

/// A panic in the test is its failure.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
