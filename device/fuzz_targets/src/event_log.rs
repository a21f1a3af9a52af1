//! The target that reads a recorded event log.

use recording::log::{LOG_VERSION, LogReader};

/// An event log, as `dmarig replay` takes it from a bundle. With an odd first byte the rest is the file;
/// otherwise it is a block's events, and gets the header and the checksum that it needs to be looked at.
pub fn event_log(data: &[u8]) {
    match data.split_first() {
        Some((first, file)) if first % 2 == 1 => read(file),
        Some((_, events)) => read(&with_header(events)),
        None => read(data),
    }
}

fn with_header(events: &[u8]) -> Vec<u8> {
    let length = u32::try_from(events.len()).expect("an input is short");
    [
        b"DMARIGEV",
        &LOG_VERSION.to_le_bytes()[..],
        &length.to_le_bytes(),
        &crc32c::crc32c(events).to_le_bytes(),
        events,
    ]
    .concat()
}

fn read(file: &[u8]) {
    let Ok(mut reader) = LogReader::new(file) else {
        return;
    };
    let mut n_events = 0;
    while let Ok(Some(_)) = reader.next_event() {
        n_events += 1;
        // Each event takes at least one byte of the log.
        assert!(
            n_events <= file.len(),
            "{n_events} events of {} bytes",
            file.len()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_with_our_header_is_looked_at() {
        let file = with_header(&[0xff]);
        let mut reader = LogReader::new(&file[..]).expect("a header of ours");
        let error = reader.next_event().expect_err("no such event");
        assert!(!error.to_string().contains("CRC"), "{error}");
    }
}
