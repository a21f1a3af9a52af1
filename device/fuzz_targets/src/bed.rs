//! [`Bed`]: a device process without process, and the two hostile peers on its sockets.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser as _;
use control_api::FunctionName;
use control_api::rpc::MAX_LINE_BYTES;
use dmarig_device::{ClientId, CommandLine, Event, Next, Readiness, Rig, assemble};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use vfio_user::message::MAX_MESSAGE_SIZE;

/// Steps in a row without an event; a hostile ring may keep the engine busy for longer.
const MAX_STEPS: usize = 64;
/// Clients of the control socket that a script connects at most.
const MAX_CLIENTS: u32 = 4;
/// Descriptors sent with one message at most.
const MAX_FDS: usize = 4;
/// Bytes of a message's header and of the two numbers behind it in a DMA message.
const HEADER_BYTES: usize = 16;
const DMA_ACCESS_BYTES: usize = 16;
const READY: Readiness = Readiness {
    readable: true,
    writable: true,
    hung_up: false,
};

thread_local! {
    /// Where the sockets lie; one folder for all inputs of a thread.
    static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a folder for sockets");
}

/// A DMA_READ or DMA_WRITE that the device has sent.
#[derive(Clone, Copy, Debug)]
pub struct DmaMessage {
    /// To be repeated in the reply.
    pub message_id: u16,
    /// DMA_READ or DMA_WRITE.
    pub command: u16,
    /// Address and length as sent.
    pub access: [u8; DMA_ACCESS_BYTES],
    /// Bytes wanted or sent.
    pub count: u64,
}

/// The rig and its peers.
pub struct Bed {
    rig: Rig,
    folder: PathBuf,
    now: Instant,
    function: FunctionName,
    qemu: Option<UnixStream>,
    harness: Option<UnixStream>,
    n_clients: u32,
    from_device: Vec<u8>,
    answers: Vec<u8>,
    dma: VecDeque<DmaMessage>,
    is_stopped: bool,
}

impl Bed {
    /// A rig with both functions and a control socket; QEMU is connected to `function`.
    pub fn new(function: FunctionName) -> Self {
        Self::with_device(function, None)
    }

    /// The same with the device file of a name among those of `device_file`.
    pub fn with_device(function: FunctionName, device: Option<&str>) -> Self {
        let folder = FOLDER.with(|folder| folder.path().to_owned());
        let path = |name: &str| folder.join(name).into_os_string();
        let mut words: Vec<OsString> = vec![
            "dmarig-device".into(),
            "--socket".into(),
            path("dut"),
            "--control-function".into(),
            path("cf"),
            "--control".into(),
            path("ctl"),
        ];
        if let Some(name) = device {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../device_file/devices");
            words.extend(["--device".into(), folder.join(name).into_os_string()]);
        }
        let command_line = CommandLine::parse_from(words);
        let options = command_line.options.expect("it serves");
        let rig = assemble::rig(&options).expect("the folder is ours");
        let mut bed = Self {
            rig,
            folder,
            now: Instant::now(),
            function,
            qemu: None,
            harness: None,
            n_clients: 0,
            from_device: Vec::new(),
            answers: Vec::new(),
            dma: VecDeque::new(),
            is_stopped: false,
        };
        bed.connect();
        bed
    }

    /// Connects another QEMU in place of the one that was.
    pub fn connect(&mut self) {
        self.hang_up();
        let name = match self.function {
            FunctionName::Control => "cf",
            FunctionName::Dut(_) => "dut",
        };
        self.qemu = Some(self.client(name));
        self.step(Event::Connect(self.function));
    }

    /// Ends QEMU's connection.
    pub fn hang_up(&mut self) {
        self.from_device.clear();
        self.dma.clear();
        if self.qemu.take().is_some() {
            self.pump();
        }
    }

    /// Sends bytes as QEMU; what the device does not take is lost, and then the connection is broken.
    pub fn send(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        let Some(qemu) = &self.qemu else {
            return;
        };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        // The peer may have hung up on us, which is its right.
        let _ = sendmsg(
            qemu,
            &[IoSlice::new(bytes)],
            &mut control,
            SendFlags::NOSIGNAL,
        );
        self.pump();
    }

    /// Sends a line to the control socket.
    pub fn say(&mut self, line: &[u8]) {
        if self.harness.is_none() && self.n_clients < MAX_CLIENTS {
            self.n_clients += 1;
            self.harness = Some(self.client("ctl"));
            self.step(Event::ControlConnect);
        }
        if let Some(harness) = &mut self.harness {
            let _ = harness
                .write_all(line)
                .and_then(|()| harness.write_all(b"\n"));
        }
        self.pump();
        self.check_answers();
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.pump();
    }

    /// The oldest DMA message without an answer.
    pub fn take_dma(&mut self) -> Option<DmaMessage> {
        self.dma.pop_front()
    }

    /// Serves every socket, and lets the device work for a while.
    pub fn pump(&mut self) {
        self.step(Event::Ready(self.function, READY));
        for number in 1..=self.n_clients {
            self.step(Event::ControlReady(ClientId::from_number(number), READY));
        }
        for _ in 0..MAX_STEPS {
            if self.is_stopped || self.rig.step(Event::Tick, self.now) != Next::Now {
                break;
            }
        }
        self.receive();
    }

    /// Whatever happened: when QEMU has left, nothing of it stays behind, and a new client is answered.
    pub fn check_rest(mut self) {
        self.hang_up();
        self.harness = None;
        self.pump();
        if self.is_stopped {
            return;
        }
        self.n_clients = MAX_CLIENTS;
        self.harness = Some(self.client("ctl"));
        self.step(Event::ControlConnect);
        self.n_clients += MAX_CLIENTS;
        for method in ["status", "mappings.summary"] {
            let params = match method {
                "status" => "{}",
                _ => r#"{"function":"dut0"}"#,
            };
            let line =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            self.answers.clear();
            self.say(line.as_bytes());
            let text = String::from_utf8_lossy(&self.answers).into_owned();
            let wanted = match method {
                "status" => r#""connected":false"#,
                _ => r#""mappings":0"#,
            };
            assert!(text.contains(wanted), "{method} says {text:?}");
            assert!(!text.contains(r#""connected":true"#), "{text}");
        }
    }

    fn step(&mut self, event: Event) {
        if !self.is_stopped {
            self.is_stopped = self.rig.step(event, self.now) == Next::Stop;
        }
    }

    fn client(&self, name: &str) -> UnixStream {
        let stream = UnixStream::connect(self.folder.join(name)).expect("the rig listens");
        stream.set_nonblocking(true).expect("a socket of ours");
        stream
    }

    /// Takes what the device sends: replies are thrown away, DMA messages kept.
    fn receive(&mut self) {
        if let Some(qemu) = &mut self.qemu
            && let Err(error) = take_all(qemu, &mut self.from_device)
        {
            assert_ne!(error.kind(), io::ErrorKind::InvalidInput);
            self.from_device.clear();
        }
        let mut rest = self.from_device.as_slice();
        while let Some((header, _)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let [id0, id1, command0, command1, s0, s1, s2, s3, kind, ..] = *header;
            let size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
            assert!(
                (HEADER_BYTES..=MAX_MESSAGE_SIZE).contains(&size),
                "sent {header:02x?}"
            );
            let Some((message, behind)) = rest.split_at_checked(size) else {
                break;
            };
            let access = message[HEADER_BYTES..].first_chunk::<DMA_ACCESS_BYTES>();
            if let (0, Some(access)) = (kind & 0xf, access) {
                let count = access.last_chunk::<8>().expect("8 of 16 bytes");
                self.dma.push_back(DmaMessage {
                    message_id: u16::from_le_bytes([id0, id1]),
                    command: u16::from_le_bytes([command0, command1]),
                    access: *access,
                    count: u64::from_le_bytes(*count),
                });
            }
            rest = behind;
        }
        self.from_device
            .drain(..self.from_device.len() - rest.len());
        if let Some(harness) = &mut self.harness {
            // An end of the stream is the device's right after a line that is too long.
            let _ = take_all(harness, &mut self.answers);
        }
    }

    /// Every answer is one JSON object in a line of the promised length.
    fn check_answers(&mut self) {
        let whole = self
            .answers
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        for line in self.answers[..whole].split_inclusive(|byte| *byte == b'\n') {
            assert!(line.len() <= MAX_LINE_BYTES, "{} bytes", line.len());
            let answer: Result<control_api::rpc::Response, _> = serde_json::from_slice(line);
            assert!(answer.is_ok(), "{}", String::from_utf8_lossy(line));
        }
    }
}

/// Reads until nothing is left.
fn take_all(stream: &mut UnixStream, into: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_to_end(into) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The negative control of the check at the end of each input.
    #[test]
    #[should_panic(expected = "\"connected\":true")]
    fn connection_that_stays_is_a_finding() {
        let bed = Bed::new(FunctionName::DUT0);
        let kept = bed.qemu.as_ref().expect("connected").try_clone();
        bed.check_rest();
        drop(kept);
    }
}
