//! The program itself: its exit codes, its signals, and stock QEMU on its sockets.
//!
//! The binary brings its own list, so that a test which lacks its QEMU is skipped with the reason.

mod child;
mod exits;
mod replay;
mod reset_latency;
mod sandbox;
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

const RESET_LATENCY: (&str, fn()) = (
    "reset_in_the_middle_of_message_dma_is_answered_in_time",
    reset_latency::reset_in_the_middle_of_message_dma_is_answered_in_time,
);

const SANDBOX: [(&str, fn()); 8] = [
    (
        "kernel_and_status_say_that_the_process_is_sandboxed",
        sandbox::kernel_and_status_say_that_the_process_is_sandboxed,
    ),
    (
        "process_holds_sockets_memory_and_standard_streams_only",
        sandbox::process_holds_sockets_memory_and_standard_streams_only,
    ),
    (
        "without_sandbox_both_say_so",
        sandbox::without_sandbox_both_say_so,
    ),
    (
        "opening_a_file_is_denied",
        sandbox::opening_a_file_is_denied,
    ),
    (
        "removing_a_file_elsewhere_is_denied_by_landlock",
        sandbox::removing_a_file_elsewhere_is_denied_by_landlock,
    ),
    (
        "threads_programs_and_sockets_end_the_process",
        sandbox::threads_programs_and_sockets_end_the_process,
    ),
    (
        "panic_with_a_backtrace_ends_as_a_panic_and_removes_the_sockets",
        sandbox::panic_with_a_backtrace_ends_as_a_panic_and_removes_the_sockets,
    ),
    (
        "other_parent_than_the_one_named_ends_the_start",
        sandbox::other_parent_than_the_one_named_ends_the_start,
    ),
];

const REPLAY: [(&str, fn()); 5] = [
    (
        "recording_of_a_stopped_device_replays_identically",
        replay::recording_of_a_stopped_device_replays_identically,
    ),
    (
        "recording_of_a_killed_device_replays_up_to_the_kill",
        replay::recording_of_a_killed_device_replays_up_to_the_kill,
    ),
    (
        "changed_recordings_are_found_and_named",
        replay::changed_recordings_are_found_and_named,
    ),
    (
        "recording_replays_under_the_faults_of_another_file",
        replay::recording_replays_under_the_faults_of_another_file,
    ),
    (
        "recorded_faults_give_way_to_those_of_the_file",
        replay::recorded_faults_give_way_to_those_of_the_file,
    ),
];

fn main() {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = EXITS
        .into_iter()
        .chain(SANDBOX)
        .chain([RESET_LATENCY])
        .chain(REPLAY)
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
