//! [`Stage`]: one chunk of a transfer that goes by message, and the [`Pipeline`] of such chunks.
//!
//! Answers may come in any order; chunks are accounted for strictly in order, and writes go out in
//! order. So a transfer's CRC, its first mismatch and its count of done bytes are what a serial
//! transfer would have given.

use std::collections::VecDeque;

use dmarig_abi::Iova;
use dmarig_abi::completion::{
    DMA_STATUS_ABORTED, DMA_STATUS_COMPLETER_ABORT, DMA_STATUS_PERMISSION, DMA_STATUS_POISONED,
    DMA_STATUS_REFUSED, DMA_STATUS_TIMEOUT, DMA_STATUS_UNMAPPED, DMA_STATUS_UNSUPPORTED_REQUEST,
};

use crate::bus::{BusFault, BusFaultKind, MessageError, Ticket};

/// Messages of one transfer that are under way at once: as many of full size as the platform takes.
pub(crate) const PIPELINE_DEPTH: usize = 8;

/// How far a chunk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageState {
    /// A read is to be sent.
    Fetch,
    /// A read is under way.
    Reading(Ticket),
    /// The bytes are here; a write may be to come.
    Fetched,
    /// A write is under way.
    Writing(Ticket),
    /// All answers have come.
    Complete,
    /// The request ends here with this status, at this byte.
    Failed { status: u16, iova: Iova },
}

/// One chunk on its way.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Offset of the chunk in the request.
    pub offset: u64,
    /// The bytes, or room for as many.
    pub data: Vec<u8>,
    pub state: StageState,
    /// Whether the write goes by message; else the mapped path is tried first.
    pub store_by_message: bool,
    /// What the mapping table says against this chunk.
    pub table_fault: Option<BusFault>,
}

impl Stage {
    pub(crate) fn len_bytes(&self) -> u64 {
        self.data.len() as u64
    }

    fn ticket(&self) -> Option<Ticket> {
        match self.state {
            StageState::Reading(ticket) | StageState::Writing(ticket) => Some(ticket),
            _ => None,
        }
    }

    /// Ends the chunk; `start` is the byte that the refused message began with.
    pub(crate) fn fail(&mut self, error: Option<MessageError>, start: Iova) {
        let iova = self.table_fault.map_or(start, |fault| fault.iova);
        let status = match (error, self.table_fault.map(|fault| fault.kind)) {
            (Some(MessageError::Timeout), _) => DMA_STATUS_TIMEOUT,
            (Some(MessageError::Disconnected), _) => DMA_STATUS_ABORTED,
            (Some(MessageError::UnsupportedRequest), _) => DMA_STATUS_UNSUPPORTED_REQUEST,
            (Some(MessageError::CompleterAbort), _) => DMA_STATUS_COMPLETER_ABORT,
            (Some(MessageError::Poisoned), _) => DMA_STATUS_POISONED,
            (_, Some(BusFaultKind::Unmapped)) => DMA_STATUS_UNMAPPED,
            (_, Some(BusFaultKind::Permission)) => DMA_STATUS_PERMISSION,
            _ => DMA_STATUS_REFUSED,
        };
        self.state = StageState::Failed { status, iova };
    }

    /// Takes the answer to the message under way. `is_final`: no write follows a read. `start` is the
    /// byte that the message began with.
    pub(crate) fn answer(
        &mut self,
        answer: Result<&[u8], MessageError>,
        is_final: bool,
        start: Iova,
    ) {
        match (self.state, answer) {
            (_, Err(error)) => self.fail(Some(error), start),
            (StageState::Reading(_), Ok(bytes)) if bytes.len() == self.data.len() => {
                self.data.copy_from_slice(bytes);
                self.state = if is_final {
                    StageState::Complete
                } else {
                    StageState::Fetched
                };
            }
            // The platform promised as many bytes as were asked for.
            (StageState::Reading(_), Ok(_)) => self.fail(None, start),
            (_, Ok(_)) => self.state = StageState::Complete,
        }
    }
}

/// The chunks of a transfer in the order of their offsets.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    stages: VecDeque<Stage>,
}

impl Pipeline {
    pub(crate) fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Whether another chunk may be added: there is room, nothing has failed, and no chunk is on its
    /// way that the table expects to fail. So bytes behind a refused one are written only where
    /// table and platform disagree.
    pub(crate) fn is_open(&self) -> bool {
        let may_fail = |stage: &Stage| {
            stage.table_fault.is_some() || matches!(stage.state, StageState::Failed { .. })
        };
        self.stages.len() < PIPELINE_DEPTH && !self.stages.iter().any(may_fail)
    }

    pub(crate) fn push(&mut self, stage: Stage) {
        self.stages.push_back(stage);
    }

    pub(crate) fn stages_mut(&mut self) -> impl Iterator<Item = &mut Stage> {
        self.stages.iter_mut()
    }

    /// The messages that are not answered yet.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.stages.iter().filter_map(Stage::ticket)
    }

    /// The stage that waits for this ticket.
    pub(crate) fn awaiting(&mut self, ticket: Ticket) -> Option<&mut Stage> {
        self.stages
            .iter_mut()
            .find(|stage| stage.ticket() == Some(ticket))
    }

    /// Takes the first chunk if it has ended.
    pub(crate) fn pop_ended(&mut self) -> Option<Stage> {
        let ended = matches!(
            self.stages.front()?.state,
            StageState::Complete | StageState::Failed { .. }
        );
        if ended { self.stages.pop_front() } else { None }
    }

    /// Drops all chunks that wait for no answer.
    pub(crate) fn drop_unsent(&mut self) {
        self.stages.retain(|stage| stage.ticket().is_some());
    }
}
