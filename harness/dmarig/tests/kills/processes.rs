//! Processes by `/proc`: who descends from whom, and who still lives.

use std::collections::BTreeMap;
use std::fs;

/// One process. The start time tells it from a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub name: String,
    started: u64,
}

impl Process {
    /// Whether it was started only to ask its version, before the run begins.
    pub fn is_version_query(&self) -> bool {
        let words = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        words
            .split(|byte| *byte == 0)
            .any(|word| word == b"--version")
    }

    /// Whether it still runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        read(self.pid).is_some_and(|(now, state)| now.started == self.started && state != 'Z')
    }
}

/// All descendants of a process that live now.
pub fn descendants(ancestor: u32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("a Linux system");
    let all: BTreeMap<u32, Process> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, read(pid)?.0)))
        .collect();
    let descends = |process: &Process| {
        let mut parent = process.parent;
        while parent != ancestor {
            match all.get(&parent) {
                Some(next) if next.parent != parent => parent = next.parent,
                _ => return false,
            }
        }
        true
    };
    all.values()
        .filter(|process| descends(process))
        .cloned()
        .collect()
}

/// `/proc/PID/stat`: number, name in parentheses, state, parent, and 18 fields on the start time.
fn read(pid: u32) -> Option<(Process, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(") ")?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some((
        Process {
            pid,
            parent,
            name,
            started,
        },
        state,
    ))
}
