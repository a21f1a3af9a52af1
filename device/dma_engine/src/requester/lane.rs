//! [`Lane`]: the jobs of one channel of a [`super::DmaRequester`].

use std::collections::VecDeque;

use dmarig_abi::completion::DMA_STATUS_ABORTED;
use endpoint::{
    ChannelId, DmaBus, LiveReference, MessageError, Origin, Request, RequestRecord, Ticket,
};

use super::{DmaDone, DmaJob};
use crate::operation::Operation;
use crate::transfer::{Step, StepContext, Transfer};

/// A job whose turn has come or is to come.
#[derive(Debug)]
struct Queued {
    id: u64,
    transfer: Transfer,
}

/// One channel.
#[derive(Debug)]
pub(super) struct Lane {
    id: ChannelId,
    queue: VecDeque<Queued>,
    /// Messages of aborted jobs. New work waits for their answers, as it must not overtake the writes
    /// among them.
    orphans: Vec<Ticket>,
}

impl Lane {
    pub(super) fn new(id: ChannelId) -> Self {
        Self {
            id,
            queue: VecDeque::new(),
            orphans: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> ChannelId {
        self.id
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn push(&mut self, id: u64, origin: Origin, job: DmaJob, epoch: u64) {
        let transfer = match job {
            DmaJob::Request(request) => Transfer::new(self.id, origin, request, epoch),
            DmaJob::Read { iova, len_bytes } => {
                let request = Request {
                    source: iova,
                    length_bytes: u64::from(len_bytes),
                    ..Request::default()
                };
                let bytes = vec![0; usize::try_from(len_bytes).unwrap_or(0)];
                let operation = Operation::ReadBytes { bytes };
                Transfer::internal(self.id, origin, request, operation, epoch)
            }
            DmaJob::Write { iova, bytes } => {
                let request = Request {
                    destination: iova,
                    length_bytes: bytes.len() as u64,
                    ..Request::default()
                };
                let operation = Operation::WriteBytes { bytes };
                Transfer::internal(self.id, origin, request, operation, epoch)
            }
        };
        self.queue.push_back(Queued { id, transfer });
    }

    /// Works on the first job: whether anything was done, and the job if it has ended.
    pub(super) fn run<B: DmaBus>(
        &mut self,
        step: &mut StepContext<'_, B>,
    ) -> (bool, Option<DmaDone>) {
        if !self.orphans.is_empty() {
            return (false, None);
        }
        let Some(mut job) = self.queue.pop_front() else {
            return (false, None);
        };
        match job.transfer.step(step) {
            Step::Done => (true, Some(job.end(step.bus.mapping_epoch()))),
            left => {
                self.queue.push_front(job);
                (left == Step::Spent, None)
            }
        }
    }

    /// Takes an answer if this channel asked.
    pub(super) fn message_done(
        &mut self,
        ticket: Ticket,
        answer: Result<&[u8], MessageError>,
    ) -> bool {
        if let Some(position) = self.orphans.iter().position(|orphan| *orphan == ticket) {
            self.orphans.swap_remove(position);
            return true;
        }
        self.queue
            .front_mut()
            .is_some_and(|job| job.transfer.message_done(ticket, answer))
    }

    /// Ends every message under way; none of them will be answered.
    pub(super) fn disconnected(&mut self) {
        self.orphans.clear();
        if let Some(job) = self.queue.front_mut() {
            job.transfer.disconnected();
        }
    }

    /// Ends all jobs.
    pub(super) fn abort(&mut self, epoch: u64) -> Vec<RequestRecord> {
        let mut records = Vec::new();
        for job in self.queue.drain(..) {
            let (record, unanswered) = job.transfer.abort(DMA_STATUS_ABORTED, epoch);
            records.push(record);
            self.orphans.extend(unanswered);
        }
        records
    }

    /// The ranges that may still be accessed.
    pub(super) fn live_references(&self) -> impl Iterator<Item = LiveReference> {
        let jobs = self.queue.iter();
        let payload = jobs.filter(|job| !job.transfer.origin().is_upkeep());
        payload.flat_map(move |job| {
            let ranges = job.transfer.ranges();
            let sides = [
                ("source address", ranges.source),
                ("destination address", ranges.destination),
            ];
            sides.into_iter().filter_map(move |(register, start)| {
                Some(LiveReference {
                    channel: self.id,
                    register: register.into(),
                    start: start?,
                    len_bytes: ranges.len_bytes,
                })
            })
        })
    }
}

impl Queued {
    fn end(self, epoch: u64) -> DmaDone {
        let (record, operation) = self.transfer.finish(epoch);
        let bytes = match operation {
            Operation::ReadBytes { bytes } => bytes,
            _ => Vec::new(),
        };
        DmaDone {
            id: self.id,
            record,
            bytes,
        }
    }
}
