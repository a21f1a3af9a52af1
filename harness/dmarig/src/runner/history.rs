//! The [`BufferHistory`] of a guest that has stopped, read from the device's ledger over a control
//! connection of its own. Nothing here may hide the verdict: what fails is told in the history.

mod collect;

use std::path::Path;
use std::time::{Duration, Instant};

use control_api::request::{BufferList, LedgerRead};
use control_api::response::Buffer;
use control_api::{Client, ClientError, FunctionName, Method};

use crate::entry::chain;
use crate::event::BufferHistory;

use collect::Collector;

/// How long all of it may take.
const READ_DEADLINE: Duration = Duration::from_secs(2);
/// Records asked for at a time; the device gives no more.
const LEDGER_PAGE: u32 = 80;
/// Most pages read; a device that always says "more" must not hold us.
const PAGES_MAX: usize = 1024;

/// Reads what the device process at `socket` knows of the addresses in `words`, in each of its devices under
/// test.
pub fn read(socket: &Path, words: &str, n_duts: u16) -> BufferHistory {
    let deadline = Instant::now() + READ_DEADLINE;
    let mut ledger = match Ledger::connect(socket, deadline) {
        Ok(ledger) => ledger,
        Err(error) => return unread(&error),
    };
    if n_duts <= 1 {
        return read_one(&mut ledger, words);
    }
    let mut histories = (0..n_duts).map(|number| {
        ledger.function = FunctionName::Dut(number);
        BufferHistory {
            device: Some(ledger.function.to_string()),
            ..read_one(&mut ledger, words)
        }
    });
    let first = histories.next().unwrap_or_default();
    BufferHistory {
        beside: histories.filter(|history| !history.is_empty()).collect(),
        ..first
    }
}

fn read_one(ledger: &mut Ledger, words: &str) -> BufferHistory {
    let mut unread = None;
    let buffers = ledger.buffers().unwrap_or_else(|reason| {
        unread = Some(reason);
        Vec::new()
    });
    let mut collector = Collector::new(words, &buffers);
    if let Err(reason) = ledger.pages(&mut collector) {
        unread.get_or_insert(reason);
    }
    BufferHistory {
        unread,
        ..collector.finish()
    }
}

fn unread(error: &ClientError) -> BufferHistory {
    BufferHistory {
        unread: Some(chain(error)),
        ..BufferHistory::default()
    }
}

/// A device's ledger and the time left for it.
struct Ledger {
    client: Client,
    function: FunctionName,
    deadline: Instant,
}

impl Ledger {
    fn connect(socket: &Path, deadline: Instant) -> Result<Self, ClientError> {
        let client = Client::connect(socket)?;
        Ok(Self {
            client,
            function: FunctionName::DUT0,
            deadline,
        })
    }

    fn call<M: Method>(&mut self, parameters: &M) -> Result<M::Result, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let answer = self.client.call(parameters, left);
        answer.map_err(|error| chain(&error))
    }

    fn buffers(&mut self) -> Result<Vec<Buffer>, String> {
        let mut buffers = Vec::new();
        let mut from = 0;
        for _ in 0..PAGES_MAX {
            let page = self.call(&BufferList {
                function: self.function,
                from,
            })?;
            buffers.extend(page.buffers);
            match page.next {
                Some(next) => from = next,
                None => return Ok(buffers),
            }
        }
        Err("the device's list of buffers has no end".into())
    }

    fn pages(&mut self, collector: &mut Collector) -> Result<(), String> {
        let mut from = 0;
        for _ in 0..PAGES_MAX {
            let page = self.call(&LedgerRead {
                function: self.function,
                from,
                limit: LEDGER_PAGE,
            })?;
            collector.take(&page);
            if !page.more {
                return Ok(());
            }
            from = page.next;
        }
        Err("the device's ledger has no end".into())
    }
}
