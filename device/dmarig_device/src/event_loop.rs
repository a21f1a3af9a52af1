//! The event loop: one epoll instance, one thread.
//!
//! Every turn it asks the [`Rig`] which sockets wait for what, waits, and hands each event to
//! [`Rig::step`]. A token carries the number of its connection, so an event of a connection that
//! ended earlier in the same turn finds nobody.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use control_api::FunctionName;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::control_socket::ClientId;
use crate::readiness::Readiness;
use crate::rig::{Event, Next, Rig};

/// Events taken in one turn.
const EVENTS_PER_TURN: usize = 32;

/// A socket that the loop watches, as 64 bits for epoll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Signal,
    Listener(FunctionName),
    Connection(FunctionName, u32),
    ControlListener,
    ControlClient(ClientId),
}

/// Runs the rig until it stops. `signals` becomes readable when a signal asks to stop.
///
/// # Errors
/// If epoll fails, which takes a lack of memory or descriptors.
pub fn run(rig: &mut Rig, signals: &UnixStream) -> io::Result<()> {
    let mut watch = Watch::new()?;
    let mut next = rig.step(Event::Tick, Instant::now());
    let mut ready = Vec::with_capacity(EVENTS_PER_TURN);
    while next != Next::Stop {
        watch.update(rig, signals)?;
        watch.wait(next, &mut ready)?;
        let now = Instant::now();
        next = if ready.is_empty() {
            rig.step(Event::Tick, now)
        } else {
            step_all(rig, &ready, now)
        };
    }
    Ok(())
}

fn step_all(rig: &mut Rig, ready: &[epoll::Event], now: Instant) -> Next {
    let mut next = Next::OnEvent;
    for event in ready {
        let flags = event.flags;
        let readiness = Readiness {
            readable: flags.contains(EventFlags::IN),
            writable: flags.contains(EventFlags::OUT),
            hung_up: flags.intersects(EventFlags::HUP | EventFlags::ERR),
        };
        let event = match Token::from_number(event.data.u64()) {
            Token::Signal => Event::Signal,
            Token::Listener(name) => Event::Connect(name),
            Token::Connection(name, generation) if rig.is_current(name, generation) => {
                Event::Ready(name, readiness)
            }
            Token::Connection(..) => Event::Tick,
            Token::ControlListener => Event::ControlConnect,
            Token::ControlClient(client) => Event::ControlReady(client, readiness),
        };
        next = rig.step(event, now);
        if next == Next::Stop {
            break;
        }
    }
    next
}

/// The epoll instance, and what it was told.
struct Watch {
    epoll: std::os::fd::OwnedFd,
    /// A dozen at most, so a search costs less than a hash.
    told: Vec<Told>,
}

/// One socket as epoll knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    token: Token,
    fd: RawFd,
    flags: EventFlags,
}

impl Watch {
    fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            told: Vec::new(),
        })
    }

    /// Tells epoll what has changed since the last turn.
    fn update(&mut self, rig: &Rig, signals: &UnixStream) -> io::Result<()> {
        let mut n_seen = 1;
        self.tell(Token::Signal, signals.as_fd(), EventFlags::IN)?;
        let mut outcome = Ok(());
        for_each_socket(rig, |token, fd, flags| {
            n_seen += 1;
            if outcome.is_ok() {
                outcome = self.tell(token, fd, flags);
            }
        });
        outcome?;
        // A closed socket has left epoll by itself; its token must be forgotten here.
        if self.told.len() > n_seen {
            let mut alive = vec![Token::Signal];
            for_each_socket(rig, |token, _, _| alive.push(token));
            self.told.retain(|told| alive.contains(&told.token));
        }
        Ok(())
    }

    fn tell(&mut self, token: Token, fd: BorrowedFd<'_>, flags: EventFlags) -> io::Result<()> {
        let wanted = Told {
            token,
            fd: fd.as_raw_fd(),
            flags,
        };
        let data = EventData::new_u64(token.number());
        match self.told.iter_mut().find(|told| told.token == token) {
            Some(told) if *told == wanted => {}
            Some(told) => {
                epoll::modify(&self.epoll, fd, data, flags)?;
                *told = wanted;
            }
            None => {
                epoll::add(&self.epoll, fd, data, flags)?;
                self.told.push(wanted);
            }
        }
        Ok(())
    }

    fn wait(&self, next: Next, ready: &mut Vec<epoll::Event>) -> io::Result<()> {
        let timeout = match next {
            Next::Now | Next::Stop => Some(Duration::ZERO),
            Next::At(instant) => Some(instant.saturating_duration_since(Instant::now())),
            Next::OnEvent => None,
        };
        let timeout = timeout.map(timespec);
        ready.clear();
        match epoll::wait(&self.epoll, spare_capacity(ready), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn for_each_socket(rig: &Rig, mut visit: impl FnMut(Token, BorrowedFd<'_>, EventFlags)) {
    let accepting = if rig.is_accepting() {
        EventFlags::IN
    } else {
        EventFlags::empty()
    };
    for name in rig.function_names() {
        if let Some(listener) = rig.listener(name) {
            visit(Token::Listener(name), listener, accepting);
        }
        if let Some((generation, fd, read, write)) = rig.interest(name) {
            visit(Token::Connection(name, generation), fd, flags(read, write));
        }
    }
    if let Some(socket) = rig.control_socket() {
        visit(Token::ControlListener, socket.as_fd(), accepting);
        for (client, fd, read, write) in socket.interests() {
            visit(Token::ControlClient(client), fd, flags(read, write));
        }
    }
}

fn flags(read: bool, write: bool) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, read);
    flags.set(EventFlags::OUT, write);
    flags
}

fn timespec(duration: Duration) -> Timespec {
    // Rounded up to a microsecond: a wait that ends early would spin.
    let duration = duration + Duration::from_micros(1);
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

const KIND_SHIFT: u32 = 60;
const FUNCTION_SHIFT: u32 = 32;
/// The number of the control function where devices under test have theirs.
const CONTROL_NUMBER: u64 = 0x1_0000;

impl Token {
    fn number(self) -> u64 {
        match self {
            Self::Signal => 0,
            Self::Listener(name) => 1 << KIND_SHIFT | function_number(name) << FUNCTION_SHIFT,
            Self::Connection(name, generation) => {
                2 << KIND_SHIFT | function_number(name) << FUNCTION_SHIFT | u64::from(generation)
            }
            Self::ControlListener => 3 << KIND_SHIFT,
            Self::ControlClient(client) => 4 << KIND_SHIFT | u64::from(client.get()),
        }
    }

    fn from_number(number: u64) -> Self {
        let low = u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0);
        let function = number >> FUNCTION_SHIFT & 0xff_ffff;
        let name = u16::try_from(function).map_or(FunctionName::Control, FunctionName::Dut);
        match number >> KIND_SHIFT {
            0 => Self::Signal,
            1 => Self::Listener(name),
            2 => Self::Connection(name, low),
            3 => Self::ControlListener,
            _ => Self::ControlClient(ClientId::from_number(low)),
        }
    }
}

fn function_number(name: FunctionName) -> u64 {
    match name {
        FunctionName::Dut(number) => number.into(),
        FunctionName::Control => CONTROL_NUMBER,
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientId, FunctionName, Token};

    #[test]
    fn tokens_round_trip_through_their_number() {
        let names = [
            FunctionName::DUT0,
            FunctionName::Dut(65535),
            FunctionName::Control,
        ];
        let mut tokens = vec![Token::Signal, Token::ControlListener];
        tokens.push(Token::ControlClient(ClientId::from_number(u32::MAX)));
        for name in names {
            tokens.extend([Token::Listener(name), Token::Connection(name, u32::MAX)]);
        }
        for token in tokens {
            assert_eq!(Token::from_number(token.number()), token);
        }
    }
}
