//! The event log by its public face: what is written comes back, a bound holds, and no file, however
//! it was cut or changed, does more than give an error.

use std::io::Write;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use recording::log::{
    Event, Irqs, LogError, LogReader, LogWriter, Mapping, MappingFile, ReplyFailure, ResetInput,
    SubmitFailure, Unmapping,
};
use recording::trace::LedgerHash;

/// A file in memory that the test can look into.
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

/// Writes events, a block for every third, and returns the file.
fn written(events: &[Event<'_>], max_bytes: u64) -> Vec<u8> {
    let file = Shared::default();
    let mut log = LogWriter::new(Box::new(file.clone()), max_bytes).expect("memory");
    for (number, event) in events.iter().enumerate() {
        log.note(event);
        if number % 3 == 2 {
            log.flush();
        }
    }
    log.flush();
    file.0.lock().expect("lock").clone()
}

/// Reads all events as text, and the error if there is one.
fn read(bytes: &[u8]) -> (Vec<String>, Option<LogError>) {
    let mut events = Vec::new();
    let mut reader = match LogReader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => return (events, Some(error)),
    };
    loop {
        match reader.next_event() {
            Ok(Some(event)) => events.push(format!("{event:?}")),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error)),
        }
    }
}

fn texts(events: &[Event<'_>]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

fn one_of_each() -> Vec<Event<'static>> {
    let mapping = Mapping {
        iova: u64::MAX,
        size: 0x1000,
        read: true,
        write: false,
        file_offset: 0x8000_0000,
        file: None,
    };
    let file = Some(MappingFile {
        number: 3,
        size: 1 << 40,
    });
    let irqs = Irqs {
        index: 2,
        start: 1,
        count: 2047,
        action: 2,
        flags: None,
        eventfds: None,
    };
    let hash = LedgerHash([0xa5; 32]);
    vec![
        Event::RegionRead {
            region: 7,
            offset: 0xff8,
            length: 4096,
        },
        Event::RegionWrite {
            region: 0,
            offset: 0x100,
            data: &[1, 2, 3, 4],
        },
        Event::Map(mapping),
        Event::Map(Mapping { file, ..mapping }),
        Event::Unmap(Unmapping::All),
        Event::Unmap(Unmapping::Range {
            iova: 1,
            size: u64::MAX,
        }),
        Event::SetIrqs(irqs),
        Event::SetIrqs(Irqs {
            flags: Some(&[1, 0]),
            ..irqs
        }),
        Event::SetIrqs(Irqs {
            eventfds: Some(8),
            ..irqs
        }),
        Event::Reset(ResetInput::Platform),
        Event::Reset(ResetInput::Control),
        Event::Disconnected,
        Event::DmaReply {
            ticket: 9,
            outcome: Ok(&[0; 300]),
        },
        Event::DmaReply {
            ticket: 10,
            outcome: Err(ReplyFailure::Refused),
        },
        Event::DmaReply {
            ticket: 11,
            outcome: Err(ReplyFailure::TimedOut),
        },
        Event::DmaReply {
            ticket: 12,
            outcome: Err(ReplyFailure::Disconnected),
        },
        Event::Control("{\"set\":1}"),
        Event::Work { slices: 1 << 16 },
        Event::Tick { us: 17 },
        Event::Bytes(b"bytes"),
        Event::Fill {
            byte: 0xcd,
            length: 4096,
        },
        Event::SubmitFailed(SubmitFailure::Busy),
        Event::SubmitFailed(SubmitFailure::Unavailable),
        Event::Checkpoint { records: 5, hash },
        Event::End { records: 6, hash },
    ]
}

#[test]
fn every_event_comes_back() {
    let events = one_of_each();
    let (seen, error) = read(&written(&events, u64::MAX));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(seen, texts(&events));
}

#[test]
fn slices_of_work_are_counted_together() {
    let work = Event::Work { slices: 1 };
    let tick = Event::Tick { us: 1 };
    let file = Shared::default();
    let mut log = LogWriter::new(Box::new(file.clone()), 1 << 20).expect("memory");
    for event in [work, work, tick, work] {
        log.note(&event);
    }
    log.flush();
    let (seen, _) = read(&file.0.lock().expect("lock"));
    assert_eq!(seen, texts(&[Event::Work { slices: 2 }, tick, work]));
}

#[test]
fn equal_bytes_are_told_by_their_number() {
    let file = Shared::default();
    let mut log = LogWriter::new(Box::new(file.clone()), 1 << 20).expect("memory");
    log.note_bytes(&[7; 65536]);
    log.note_bytes(&[7, 7, 7, 8]);
    log.note_bytes(&[]);
    log.flush();
    let bytes = file.0.lock().expect("lock").clone();
    let fill = Event::Fill {
        byte: 7,
        length: 65536,
    };
    let expected = [fill, Event::Bytes(&[7, 7, 7, 8]), Event::Bytes(&[])];
    assert_eq!(read(&bytes).0, texts(&expected));
    assert!(bytes.len() < 64, "{}", bytes.len());
}

#[test]
fn a_full_log_says_so_and_ends_there() {
    let data = [0x5a; 100];
    let write = Event::RegionWrite {
        region: 0,
        offset: 0,
        data: &data,
    };
    let bytes = written(&[write; 50], 2048);
    assert!(bytes.len() <= 2048, "{}", bytes.len());
    let (seen, error) = read(&bytes);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(seen.last().map(String::as_str), Some("Cut"));
    assert!((10..50).contains(&seen.len()), "{}", seen.len());
}

#[test]
fn a_log_cut_anywhere_is_good_up_to_its_last_whole_block() {
    let events = one_of_each();
    let bytes = written(&events, u64::MAX);
    let whole = texts(&events);
    for length in 12..bytes.len() {
        let (seen, error) = read(&bytes[..length]);
        assert!(error.is_none(), "{length}: {error:?}");
        assert_eq!(seen, whole[..seen.len()], "{length}");
    }
    assert!(matches!(read(&bytes[..11]).1, Some(LogError::NoLog)));
}

#[test]
fn a_changed_byte_is_found() {
    let bytes = written(&one_of_each(), u64::MAX);
    for at in 12..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        let (seen, error) = read(&changed);
        let is_shorter = seen.len() < one_of_each().len();
        assert!(error.is_some() || is_shorter, "byte {at}");
    }
}

#[test]
fn a_log_of_another_version_is_refused_with_the_mend() {
    let mut bytes = written(&[Event::Disconnected], 4096);
    bytes[8] = 99;
    let (_, error) = read(&bytes);
    let text = error.expect("an error").to_string();
    assert!(text.contains("version 99"), "{text}");
    assert!(text.contains("help: "), "{text}");
}

proptest! {
    #[test]
    fn no_file_does_more_than_give_an_error(tail in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = b"DMARIGEV\x01\0\0\0".to_vec();
        bytes.extend(&tail);
        let _ = read(&bytes);
        // The same as a block with a right CRC, so that the events are looked into.
        let mut block = b"DMARIGEV\x01\0\0\0".to_vec();
        block.extend(u32::try_from(tail.len()).expect("short").to_le_bytes());
        block.extend(crc32c::crc32c(&tail).to_le_bytes());
        block.extend(&tail);
        let _ = read(&block);
    }
}
