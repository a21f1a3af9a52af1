//! [`ChildProcess`]: a process that ends with us, with its stderr kept.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::console::lines::{Line, LineReader};
use crate::stderr::{Meaning, classify};
use crate::tether;

/// Most bytes of stderr that go into the log: a QEMU whose device has died prints one line an access.
const STDERR_LOG_MAX_BYTES: u64 = 4 << 20;
/// Lines of stderr kept for messages.
const STDERR_TAIL_LINES: usize = 20;
/// Known lines kept beside the last ones.
const KNOWN_LINES_MAX: usize = 8;
/// How often a wait for the end looks again.
const WAIT_INTERVAL: Duration = Duration::from_millis(2);

/// How to start a child.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    /// What it is called in messages: `QEMU`, `device process`.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The CPU it may run on, or any.
    pub cpu: Option<usize>,
    /// The binary that answers to [`tether::VERB`]: the harness itself.
    pub tether: PathBuf,
    /// Where its stderr goes.
    pub stderr_log: PathBuf,
}

/// A child that could not be had or did not end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It does not start.
    #[error("cannot start {name} ({})", .program.display())]
    Spawn {
        /// Who.
        name: &'static str,
        /// What was to run.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its log cannot be written.
    #[error("cannot write {}", .path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is still there.
    #[error("waited {} ms for {name} to end", .waited.as_millis())]
    Timeout {
        /// Who.
        name: &'static str,
        /// How long.
        waited: Duration,
    },
    /// The system would not say.
    #[error("asking after {name}")]
    Wait {
        /// Who.
        name: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A running child. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct ChildProcess {
    name: &'static str,
    child: Child,
    stderr: Arc<Mutex<StderrRecord>>,
    reader: Option<JoinHandle<()>>,
}

/// What has been seen on stderr.
#[derive(Clone, Debug, Default)]
pub struct StderrRecord {
    /// The last lines.
    pub tail: VecDeque<String>,
    /// The first lines of known meaning.
    pub known: Vec<String>,
    /// The different meanings, in order of appearance.
    pub meanings: Vec<Meaning>,
}

impl StderrRecord {
    fn take(&mut self, line: String) {
        let follows_panic = self
            .tail
            .back()
            .is_some_and(|last| classify(last) == Some(Meaning::Panicked));
        let meaning = classify(&line);
        if let Some(meaning) = meaning
            && !self.meanings.contains(&meaning)
        {
            self.meanings.push(meaning);
        }
        if (meaning.is_some() || follows_panic) && self.known.len() < KNOWN_LINES_MAX {
            self.known.push(line.clone());
        }
        if self.tail.len() == STDERR_TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

impl ChildProcess {
    /// Starts the child on its tether.
    ///
    /// # Errors
    /// The log cannot be made, or the tether does not start. A program that does not start shows as a
    /// child that ends at once and says so on stderr.
    pub fn spawn(spec: &ChildSpec) -> Result<Self, ProcessError> {
        let log = File::create(&spec.stderr_log).map_err(|source| ProcessError::Log {
            path: spec.stderr_log.clone(),
            source,
        })?;
        let mut child = Command::new(&spec.tether)
            .args(tether::arguments(
                spec.cpu,
                spec.program.as_os_str(),
                spec.arguments.iter().map(OsString::as_os_str),
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ProcessError::Spawn {
                name: spec.name,
                program: spec.program.clone(),
                source,
            })?;
        let stderr = Arc::new(Mutex::new(StderrRecord::default()));
        let pipe = child.stderr.take();
        let record = Arc::clone(&stderr);
        let reader = pipe.map(|pipe| thread::spawn(move || keep_stderr(pipe, log, &record)));
        Ok(Self {
            name: spec.name,
            child,
            stderr,
            reader,
        })
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// The system would not say.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        let name = self.name;
        self.child
            .try_wait()
            .map_err(|source| ProcessError::Wait { name, source })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It did not end within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, ProcessError> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() >= limit {
                return Err(ProcessError::Timeout {
                    name: self.name,
                    waited: limit,
                });
            }
            thread::sleep(WAIT_INTERVAL);
        }
    }

    /// Asks it to end (SIGTERM). A child that has ended already is left alone.
    pub fn terminate(&mut self) {
        // An id is ours until `try_wait` has reaped it, so no stranger is hit.
        if matches!(self.child.try_wait(), Ok(None))
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// The most memory it has had resident so far, in KiB; none, once it has ended.
    pub fn peak_memory_kib(&mut self) -> Option<u64> {
        // As in `terminate`: the id is ours while it runs.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return None;
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        parse_peak_kib(&status)
    }

    /// Kills and reaps it, then waits for the last of its stderr.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    /// What it has said on stderr so far; all of it, once it has ended.
    #[must_use]
    pub fn stderr(&mut self) -> StderrRecord {
        if matches!(self.try_wait(), Ok(Some(_)))
            && let Some(reader) = self.reader.take()
        {
            let _ = reader.join();
        }
        self.stderr
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Finds `VmHWM:     1234 kB` in the text of `/proc/PID/status`.
fn parse_peak_kib(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn keep_stderr(pipe: ChildStderr, mut log: File, record: &Mutex<StderrRecord>) {
    let mut lines = LineReader::new(BufReader::new(pipe));
    let mut room = STDERR_LOG_MAX_BYTES;
    while let Ok(Some(line)) = lines.next_line() {
        room = write_bounded(&mut log, &line, room);
        record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(line.text);
    }
}

/// Writes the line while there is room; a full disk loses log lines and nothing else.
fn write_bounded(log: &mut File, line: &Line, room: u64) -> u64 {
    let needed = line.text.len() as u64 + 1;
    if needed > room {
        return 0;
    }
    let _ = writeln!(log, "{}", line.text);
    room - needed
}

/// One sentence on how a process ended.
#[must_use]
pub fn describe_exit(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Joins arguments into one line fit for a shell, for logs.
#[must_use]
pub fn shell_line<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    let quoted = words.into_iter().map(|word| {
        let text = word.to_string_lossy();
        if !text.is_empty() && text.chars().all(plain) {
            text.into_owned()
        } else {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_lines_outlive_a_flood_and_a_panic_keeps_its_message() {
        let mut record = StderrRecord::default();
        record.take("thread 'main' panicked at src/x.rs:1:2:".into());
        record.take("index out of bounds".into());
        for number in 0..1000 {
            record.take(format!("frame {number}"));
        }
        assert_eq!(record.known[1], "index out of bounds");
        assert_eq!(record.known.len(), 2);
        assert_eq!(record.tail.len(), STDERR_TAIL_LINES);
        assert_eq!(record.meanings, [Meaning::Panicked]);
    }

    #[test]
    fn peak_memory_is_read_where_the_system_tells_it() {
        assert_eq!(
            parse_peak_kib("Name:\tx\nVmHWM:\t    5678 kB\n"),
            Some(5678)
        );
        assert_eq!(parse_peak_kib("Name:\tx\nState:\tZ (zombie)\n"), None);
        let own = fs::read_to_string("/proc/self/status").expect("there");
        assert!(parse_peak_kib(&own).is_some_and(|kib| kib > 0));
    }

    #[test]
    fn shell_line_quotes_what_a_shell_would_eat() {
        let words = ["qemu", "-device", r#"{"a":1}"#, "it's", ""].map(OsString::from);
        let line = shell_line(words.iter().map(OsString::as_os_str));
        assert_eq!(line, r#"qemu -device '{"a":1}' 'it'\''s' ''"#);
    }
}
