//! What is recorded is done again, and what was changed is found.
//!
//! Every other test of this binary replays its own recording when its bench goes; here are the
//! recordings that must *not* come to the same, and runs that nobody thought of.

use std::fs::{self, File};
use std::io::{BufReader, Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use control_api::FunctionName;
use control_api::ledger::AccessDirection;
use control_api::request::{
    BufferDeclare, BufferDirection, BufferUndeclare, DmaOp, DmaPath, DmaSubmit, FunctionReset,
    LedgerClear, Sabotage, SabotageClear, SabotageSet, TraceSummary,
};
use dmarig_abi::Iova;
use dmarig_abi::descriptor::{DMA_OP_CRC, DMA_OP_WRITE_PATTERN};
use dmarig_abi::registers::{
    CH_DESTINATION, CH_LENGTH, CH_SEED, CH_SOURCE, CH_STATUS, PCI_DEVICE_ID_DUT, PCI_VENDOR_ID,
};
use dmarig_device::{DeviceDescription, Dut, MessageDma, ReplayReport, replay};
use guest_memory::SharedMemory;
use proptest::prelude::*;
use recording::log::{Event, LogEnd, LogReader, LogWriter};
use recording::trace::{Trace, TraceRecord};
use vfio_user::client::map_payload;
use vfio_user::message::{Command, DMA_MAP_READ, DMA_MAP_WRITE};

use crate::support::{Bench, PATIENCE};

const BASE: u64 = 0x10_0000;

/// A run with a few transfers: the folder of its recording.
fn recorded() -> Bench {
    let mut bench = Bench::new();
    let mut qemu = bench.connect(FunctionName::DUT0);
    let ram = SharedMemory::create_sealed("ram", 0x1_0000).expect("memory");
    ram.whole().write_from(b"what the guest has written");
    qemu.map(&mut bench, &ram, BASE, true);
    qemu.enable_bus_master(&mut bench);
    qemu.read_config(&mut bench, 0, 4);
    for (register, value) in [(CH_SOURCE, BASE), (CH_LENGTH, 64)] {
        qemu.channel_write(&mut bench, 0, register, value);
    }
    qemu.ring(&mut bench, 0, u32::from(DMA_OP_CRC));
    qemu.channel_read_u32(&mut bench, 0, CH_STATUS);
    for (register, value) in [(CH_DESTINATION, BASE + 64), (CH_LENGTH, 64), (CH_SEED, 3)] {
        qemu.channel_write(&mut bench, 1, register, value);
    }
    qemu.ring(&mut bench, 1, u32::from(DMA_OP_WRITE_PATTERN));
    drop(qemu);
    bench.pump();
    bench.rig.shut_down();
    bench
}

/// Replays a log, as it is or changed, beside the trace of the recording.
fn replay_log(bench: &Bench, dut: Dut, log: Vec<u8>) -> ReplayReport {
    let trace = File::open(bench.recording().join("dut0.trace.jsonl")).expect("trace");
    replay(dut, Cursor::new(log), BufReader::new(trace)).expect("a log that can be read")
}

fn log_of(bench: &Bench) -> Vec<u8> {
    fs::read(bench.recording().join("dut0.events")).expect("log")
}

fn fresh() -> Dut {
    Dut::new(&DeviceDescription::default(), MessageDma::On).expect("memory")
}

/// The log with each event as `change` gives it.
fn changed(log: &[u8], mut change: impl FnMut(&mut LogWriter, &Event<'_>)) -> Vec<u8> {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("lock").extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let written = Shared::default();
    let mut writer = LogWriter::new(Box::new(written.clone()), u64::MAX).expect("memory");
    let mut reader = LogReader::new(log).expect("a log");
    while let Some(event) = reader.next_event().expect("a log") {
        change(&mut writer, &event);
    }
    writer.flush();
    written.0.lock().expect("lock").clone()
}

#[test]
fn same_log_gives_the_same_hash_and_the_hash_is_that_of_the_trace_file() {
    let bench = recorded();
    let report = replay_log(&bench, fresh(), log_of(&bench));
    assert!(report.is_identical(), "{report:#?}");
    assert_eq!(report.end, None);
    let trace = fs::read_to_string(bench.recording().join("dut0.trace.jsonl")).expect("trace");
    assert_eq!(report.seen.records, trace.lines().count() as u64);
    assert_eq!(
        trace.matches("\"record\":\"request\"").count(),
        2,
        "{trace}"
    );
}

#[test]
fn changed_byte_of_guest_memory_is_named_by_the_request_that_read_it() {
    let bench = recorded();
    let mut n_changed = 0;
    let log = changed(&log_of(&bench), |writer, event| match event {
        Event::Bytes(data) => {
            let mut data = data.to_vec();
            data[0] ^= 1;
            n_changed += 1;
            writer.note(&Event::Bytes(&data));
        }
        event => writer.note(event),
    });
    assert_eq!(n_changed, 1, "the CRC's read");
    let report = replay_log(&bench, fresh(), log);
    assert!(!report.is_identical());
    let difference = report.difference.expect("a difference");
    let expected = difference.expected.expect("a record");
    assert!(expected.contains("\"record\":\"request\""), "{expected}");
    assert_ne!(Some(expected), difference.seen);
}

#[test]
fn left_out_event_is_found_where_the_device_asks_for_the_next_answer() {
    let bench = recorded();
    let log = changed(&log_of(&bench), |writer, event| {
        if !matches!(event, Event::Bytes(_)) {
            writer.note(event);
        }
    });
    let report = replay_log(&bench, fresh(), log);
    let divergence = report.divergence.expect("a divergence");
    assert!(
        divergence.asked.contains("a read of 0x40 bytes"),
        "{divergence:?}"
    );
}

#[test]
fn answer_that_nobody_asked_for_is_found() {
    let bench = recorded();
    let log = changed(&log_of(&bench), |writer, event| {
        writer.note(event);
        if matches!(event, Event::Bytes(_)) {
            writer.note(event);
        }
    });
    let report = replay_log(&bench, fresh(), log);
    let divergence = report.divergence.expect("a divergence");
    assert_eq!(divergence.asked, "nothing more in this step");
}

#[test]
fn other_device_does_something_else() {
    let bench = recorded();
    let mut description = DeviceDescription::default();
    description.identity.device_id ^= 1;
    let other = Dut::new(&description, MessageDma::On).expect("memory");
    let report = replay_log(&bench, other, log_of(&bench));
    let difference = report.difference.expect("a difference");
    let seen = difference.seen.expect("a record");
    assert!(seen.contains("\"region\":7,\"offset\":\"0x0\""), "{seen}");
}

#[test]
fn other_fault_does_something_else_and_says_where() {
    let bench = recorded();
    let mut dut = fresh();
    dut.set_sabotage(Sabotage::DeviceLoseInterrupt, None);
    let report = replay_log(&bench, dut, log_of(&bench));
    // Nobody asked for an interrupt, so nothing was lost.
    assert!(report.is_identical(), "{report:#?}");
    let mut dut = fresh();
    dut.set_sabotage(Sabotage::DeviceWritePastEnd, None);
    let report = replay_log(&bench, dut, log_of(&bench));
    let divergence = report
        .divergence
        .expect("the byte behind the end is read first");
    assert!(
        divergence.asked.contains("a read of 0x1 bytes"),
        "{divergence:?}"
    );
}

#[test]
fn rules_that_never_match_change_nothing_and_one_that_does_is_named() {
    let bench = recorded();
    let rules = |iova: u64| {
        format!(
            "[[rule]]\nname = \"abort\"\nevent = \"dma-read\"\nmatch.purpose = \"payload\"\n\
             match.iova = {iova}\neffect = \"completer-abort\"\n"
        )
    };
    let mut dut = fresh();
    dut.load_faults(&rules(0x66_0000)).expect("rules");
    let report = replay_log(&bench, dut, log_of(&bench));
    assert!(report.is_identical(), "{report:#?}");
    let mut dut = fresh();
    dut.load_faults(&rules(BASE)).expect("rules");
    let report = replay_log(&bench, dut, log_of(&bench));
    let seen = report.difference.and_then(|difference| difference.seen);
    let seen = seen.expect("a record");
    assert!(
        seen.contains("\"record\":\"fault\",\"rule\":\"abort\""),
        "{seen}"
    );
}

#[test]
fn log_cut_off_is_compared_up_to_its_last_known_place() {
    let bench = recorded();
    let mut n_events = 0;
    let log = changed(&log_of(&bench), |writer, event| {
        n_events += 1;
        if let Event::End { records, hash } = *event {
            writer.note(&Event::Checkpoint { records, hash });
            writer.note(&Event::Work { slices: 1 });
        } else {
            writer.note(event);
        }
    });
    let report = replay_log(&bench, fresh(), log);
    assert!(report.is_identical(), "{report:#?}");
    assert_eq!(report.end, Some(LogEnd::Truncated));
    assert!(report.seen.records > 10);
    let head = log_of(&bench)[..200].to_vec();
    let report = replay_log(&bench, fresh(), head);
    assert!(report.is_identical(), "{report:#?}");
    assert_eq!(report.recorded, None);
}

#[test]
fn full_log_replays_up_to_its_last_known_place() {
    let mut bench = Bench::with(|options| options.record_limit = 0);
    let mut qemu = bench.connect(FunctionName::DUT0);
    qemu.enable_bus_master(&mut bench);
    drop(qemu);
    bench.pump();
    bench.expected_end = Some(LogEnd::Cut);
}

#[test]
fn ledger_hash_is_that_of_the_trace_file_whatever_is_cleared() {
    let mut bench = Bench::new();
    let mut qemu = bench.connect(FunctionName::DUT0);
    let mut harness = bench.harness();
    qemu.read_config(&mut bench, 0, 4);
    harness.call(&mut bench, &LedgerClear {});
    let function = FunctionName::DUT0;
    let summary = harness.call(&mut bench, &TraceSummary { function });
    assert_eq!(summary.records, Some(1));
    bench.rig.shut_down();
    let trace = fs::read_to_string(bench.recording().join("dut0.trace.jsonl")).expect("trace");
    let first = trace.lines().next().expect("a line");
    let mut alone = Trace::new(None);
    alone.add(&TraceRecord::access(
        7,
        0,
        AccessDirection::Read,
        &first_ids(),
    ));
    let hash = alone.summary().hash.to_string();
    assert_eq!(summary.hash, Some(hash), "{first}");
    assert!(!summary.log_is_cut);
}

/// What configuration space begins with.
fn first_ids() -> [u8; 4] {
    let ids = [PCI_VENDOR_ID, PCI_DEVICE_ID_DUT].map(u16::to_le_bytes);
    [ids[0][0], ids[0][1], ids[1][0], ids[1][1]]
}

/// One thing that QEMU, guest or harness do.
#[derive(Clone, Debug)]
enum Step {
    Read(u64, u32),
    Write(u64, Vec<u8>),
    ReadConfig(u64, u32),
    WriteConfig(u64, Vec<u8>),
    Transfer(u8, u16, u64, u64),
    Map(u64, u8, bool),
    Unmap(u64, u64),
    Submit(u8, u8, u64, u64),
    Declare(u64, u64),
    Undeclare(u32),
    Sabotage(usize),
    Reset,
    ResetByControl,
    ClearLedger,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..=8);
    let page = || 0_u64..64;
    let step = prop_oneof![
        3 => (0_u64..0x4f0, 1_u32..=8).prop_map(|(at, len)| Step::Read(at, len)),
        3 => (0_u64..0x4f0, bytes()).prop_map(|(at, data)| Step::Write(at, data)),
        1 => (0_u64..0x200, 1_u32..=8).prop_map(|(at, len)| Step::ReadConfig(at, len)),
        1 => (0x40_u64..0xf0, bytes()).prop_map(|(at, data)| Step::WriteConfig(at, data)),
        6 => (0_u8..4, 0_u16..9, page(), 0_u64..0x4000)
            .prop_map(|(channel, op, page, len)| Step::Transfer(channel, op, page, len)),
        4 => (page(), 0_u8..4, any::<bool>())
            .prop_map(|(page, n_pages, has_fd)| Step::Map(page, n_pages, has_fd)),
        2 => (page(), 0_u64..8).prop_map(|(page, n_pages)| Step::Unmap(page, n_pages)),
        3 => (0_u8..5, 0_u8..3, page(), 1_u64..0x3000)
            .prop_map(|(op, path, page, len)| Step::Submit(op, path, page, len)),
        1 => (page(), 1_u64..0x2000).prop_map(|(page, len)| Step::Declare(page, len)),
        1 => (0_u32..4).prop_map(Step::Undeclare),
        1 => (0_usize..8).prop_map(Step::Sabotage),
        1 => Just(Step::Reset),
        1 => Just(Step::ResetByControl),
        1 => Just(Step::ClearLedger),
    ];
    prop::collection::vec(step, 1..60)
}

fn carry_out(steps: &[Step], answers: u64) {
    let mut bench = Bench::new();
    let mut qemu = bench.connect(FunctionName::DUT0);
    let mut harness = bench.harness();
    let ram = SharedMemory::create_sealed("ram", 64 * 0x1000).expect("memory");
    ram.whole().write_from(&(0..=255).collect::<Vec<u8>>());
    qemu.enable_bus_master(&mut bench);
    let function = FunctionName::DUT0;
    let mut answers = answers;
    for step in steps {
        match step.clone() {
            Step::Read(at, len) => drop(qemu.read(&mut bench, 0, at, len)),
            Step::Write(at, data) => qemu.write(&mut bench, 0, at, &data),
            Step::ReadConfig(at, len) => drop(qemu.read_config(&mut bench, at, len)),
            Step::WriteConfig(at, data) => qemu.write_config(&mut bench, at, &data),
            Step::Transfer(channel, op, page, len) => {
                let channel = channel.into();
                let iova = BASE + page * 0x1000;
                for (register, value) in [
                    (CH_SOURCE, iova),
                    (CH_DESTINATION, iova + 0x2010),
                    (CH_LENGTH, len),
                ] {
                    qemu.channel_write(&mut bench, channel, register, value);
                }
                qemu.ring(&mut bench, channel, op.into());
            }
            Step::Map(page, n_pages, has_fd) => {
                let size = u64::from(n_pages) * 0x1000 + 0x1000;
                let offset = (page * 0x1000).min(64 * 0x1000 - size);
                let flags = DMA_MAP_READ | if n_pages == 3 { 0 } else { DMA_MAP_WRITE };
                let payload = map_payload(flags, offset, BASE + page * 0x1000, size);
                let fd = std::os::fd::AsFd::as_fd(&ram);
                let fds: &[_] = if has_fd { &[fd] } else { &[] };
                // A full table refuses it.
                qemu.try_exchange(&mut bench, Command::DMA_MAP, &payload, fds);
            }
            Step::Unmap(page, n_pages) => {
                qemu.unmap(&mut bench, BASE + page * 0x1000, (n_pages + 1) * 0x1000);
            }
            Step::Submit(op, path, page, length) => {
                let op = [
                    DmaOp::WritePattern,
                    DmaOp::VerifyPattern,
                    DmaOp::Crc,
                    DmaOp::Fill,
                ]
                .get(usize::from(op))
                .copied()
                .unwrap_or(DmaOp::Copy);
                let ask = DmaSubmit {
                    function,
                    op,
                    path: [DmaPath::Default, DmaPath::Message, DmaPath::Probe][usize::from(path)],
                    iova: Iova::new(BASE + page * 0x1000),
                    destination: (op == DmaOp::Copy).then(|| Iova::new(BASE + 0x800)),
                    length,
                    seed: page,
                };
                // Its end is not awaited: it may need an answer that comes later.
                let _pending = harness.client.send(&ask, PATIENCE).expect("send");
                bench.pump();
            }
            Step::Declare(page, length) => {
                let declare = BufferDeclare {
                    function,
                    name: "some".into(),
                    iova: Iova::new(BASE + page * 0x1000),
                    length,
                    direction: BufferDirection::FromDevice,
                };
                harness.call(&mut bench, &declare);
            }
            Step::Undeclare(id) => {
                harness
                    .try_call(
                        &mut bench,
                        &BufferUndeclare {
                            function: FunctionName::DUT0,
                            id,
                        },
                    )
                    .ok();
            }
            Step::Sabotage(number) => match Sabotage::ALL.get(number).copied() {
                Some(name) => {
                    let times = Some(2);
                    harness.call(
                        &mut bench,
                        &SabotageSet {
                            function: FunctionName::DUT0,
                            name,
                            times,
                        },
                    );
                }
                None => {
                    harness.call(&mut bench, &SabotageClear {});
                }
            },
            Step::Reset => qemu.reset(&mut bench),
            Step::ResetByControl => {
                harness.call(&mut bench, &FunctionReset { function });
            }
            Step::ClearLedger => {
                harness.call(&mut bench, &LedgerClear {});
            }
        }
        while let Some(command) = qemu.waiting_dma() {
            answers = answers.rotate_left(7).wrapping_mul(0x9e37_79b9);
            if answers.is_multiple_of(3) {
                qemu.refuse_dma(&mut bench, &command);
            } else {
                let n_bytes = if command.is_write { 0 } else { command.count };
                let data = vec![0x33; usize::try_from(n_bytes).expect("short")];
                qemu.answer_dma(&mut bench, &command, &data);
            }
        }
    }
    // The bench replays all of it when it goes.
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_is_done_again(steps in steps(), answers in any::<u64>()) {
        carry_out(&steps, answers);
    }
}

/// The rig's own path, for the tests that look into the recording.
#[test]
fn recording_lies_in_its_folder() {
    let bench = recorded();
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("folder");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("entry").file_name())
            .collect();
        names.sort();
        names
    };
    let expected = ["dut0.events", "dut0.trace.jsonl", "recording.json"];
    assert_eq!(names(bench.recording()), expected);
}
