//! [`Transfer`]: one request from its validation to its record.
//!
//! Bytes go chunk by chunk: by the mapped path at once, by message through a
//! [`Pipeline`](crate::stage::Pipeline). A transfer is over only when every message that it sent has
//! been answered, so whatever is published after it (completion entry, status, vector) cannot
//! overtake its writes.

use dmarig_abi::Iova;
use dmarig_abi::completion::{
    DMA_STATUS_ADDRESS, DMA_STATUS_LENGTH, DMA_STATUS_MISMATCH, DMA_STATUS_NONE, DMA_STATUS_OPCODE,
    DMA_STATUS_PERMISSION, DMA_STATUS_SUCCESS, DMA_STATUS_UNMAPPED,
};

use crate::bus::{BusFault, BusFaultKind, Direction, DmaBus, MESSAGE_MAX_SIZE_BYTES};
use crate::bus::{MessageError, SubmitError, Ticket};
use crate::channel_id::ChannelId;
use crate::event::{AccessPath, Fallback, Origin, RequestRecord};
use crate::operation::Operation;
use crate::request::{Request, RequestMode};
use crate::sabotage::{SabotagePlan, WriteAction, change_byte, flip_bit};
use crate::stage::{Pipeline, Stage, StageState};

/// Bytes that the mapped path moves at a time: large enough to be cheap, small enough for the cache.
pub(crate) const CHUNK_SIZE_BYTES: usize = 32 << 10;
/// What an access costs at least, so that a slice of tiny accesses ends, too.
const ACCESS_MIN_COST_BYTES: u64 = 4096;
/// The platform tells a missing mapping page by page, so fall-backs go page by page.
const PAGE_SIZE_BYTES: u64 = 4096;
/// Addresses that mean interrupts to the platform: a message there would raise one.
const INTERRUPT_RANGE: std::ops::Range<u64> = 0xfee0_0000..0xfef0_0000;

/// Room for one chunk and for the pattern that it is compared with.
#[derive(Debug)]
pub(crate) struct Scratch {
    data: Vec<u8>,
    expected: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            data: vec![0; CHUNK_SIZE_BYTES],
            expected: vec![0; CHUNK_SIZE_BYTES],
        }
    }
}

/// What a step works with.
#[derive(Debug)]
pub(crate) struct StepContext<'a, B> {
    pub bus: &'a mut B,
    pub scratch: &'a mut Scratch,
    pub sabotage: &'a mut SabotagePlan,
    /// Why the function may do no DMA now, as a status.
    pub gate: Result<(), u16>,
    /// The highest address that the device drives.
    pub last_address: u64,
    /// What is left of the slice.
    pub budget_bytes: u64,
}

impl<B> StepContext<'_, B> {
    pub(crate) fn spend(&mut self, len_bytes: u64) {
        let cost = len_bytes.max(ACCESS_MIN_COST_BYTES);
        self.budget_bytes = self.budget_bytes.saturating_sub(cost);
    }
}

/// What a step leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The transfer is over.
    Done,
    /// It waits for answers, or for room to ask.
    Blocked,
    /// The slice is used up.
    Spent,
}

/// One request under way.
#[derive(Debug)]
pub(crate) struct Transfer {
    record: RequestRecord,
    operation: Operation,
    mode: RequestMode,
    /// Bytes to move; 0 for a request that moves none.
    length_bytes: u64,
    /// Bytes for which a chunk has been begun.
    begun_bytes: u64,
    pipeline: Pipeline,
    /// The status with which the transfer ends before its length is reached.
    ending: Option<u16>,
    is_checked: bool,
}

impl Transfer {
    /// A transfer for a guest's or the host's request; nothing is checked or moved yet.
    pub(crate) fn new(channel: ChannelId, origin: Origin, request: Request, epoch: u64) -> Self {
        let (operation, unknown) = match Operation::decode(&request) {
            Ok(operation) => (operation, None),
            Err(status) => (Operation::Nop, Some(status)),
        };
        let mode = request.mode();
        let ending = unknown.or(mode.is_none().then_some(DMA_STATUS_OPCODE));
        let mut transfer = Self::internal(channel, origin, request, operation, epoch);
        transfer.mode = mode.unwrap_or(RequestMode::Probe);
        transfer.ending = ending;
        transfer
    }

    /// A transfer of the engine's own, by the mapped path with its fall-back.
    pub(crate) fn internal(
        channel: ChannelId,
        origin: Origin,
        request: Request,
        operation: Operation,
        epoch: u64,
    ) -> Self {
        let record = RequestRecord {
            channel,
            origin,
            request,
            source: operation.reads().then_some(request.source),
            destination: operation.writes().then_some(request.destination),
            status: DMA_STATUS_NONE,
            done_bytes: 0,
            path: AccessPath::None,
            crc32c: 0,
            mismatch_offset: None,
            expected: 0,
            seen: 0,
            fault_iova: None,
            fallback: None,
            epoch_at_issue: epoch,
            epoch_at_completion: epoch,
        };
        Self {
            record,
            length_bytes: match operation {
                Operation::Nop => 0,
                _ => request.length_bytes,
            },
            operation,
            mode: RequestMode::Mapped,
            begun_bytes: 0,
            pipeline: Pipeline::default(),
            ending: None,
            is_checked: false,
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.record.origin
    }

    /// Moves bytes until the transfer is over, has to wait, or has used up the slice.
    pub(crate) fn step<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) -> Step {
        self.check(ctx);
        loop {
            if let (Err(status), false) = (ctx.gate, self.is_over()) {
                self.end(status, None);
            }
            if self.ending.is_some() {
                self.pipeline.drop_unsent();
            }
            if self.is_over() {
                return Step::Done;
            }
            if ctx.budget_bytes == 0 {
                return Step::Spent;
            }
            let has_moved = match self.mode {
                RequestMode::Probe => self.probe_chunk(ctx),
                RequestMode::Mapped if self.pipeline.is_empty() => self.move_mapped_chunk(ctx),
                _ => self.move_stages(ctx),
            };
            if !has_moved {
                return Step::Blocked;
            }
        }
    }

    /// Takes an answer if this transfer asked.
    pub(crate) fn message_done(
        &mut self,
        ticket: Ticket,
        answer: Result<&[u8], MessageError>,
    ) -> bool {
        let (source, destination) = (self.record.request.source, self.record.request.destination);
        let is_final = !self.operation.writes();
        let Some(stage) = self.pipeline.awaiting(ticket) else {
            return false;
        };
        let base = match stage.state {
            StageState::Reading(_) => source,
            _ => destination,
        };
        stage.answer(answer, is_final, advance(base, stage.offset));
        let has_succeeded = matches!(stage.state, StageState::Complete | StageState::Fetched);
        if has_succeeded && self.mode == RequestMode::Mapped {
            let fault = stage.table_fault.take();
            self.note_fallback(fault);
        }
        true
    }

    /// Ends every message under way; none of them will be answered.
    pub(crate) fn disconnected(&mut self) {
        let tickets: Vec<_> = self.pipeline.tickets().collect();
        for ticket in tickets {
            self.message_done(ticket, Err(MessageError::Disconnected));
        }
    }

    /// Closes the books.
    pub(crate) fn finish(mut self, epoch: u64) -> (RequestRecord, Operation) {
        let whole = if self.record.mismatch_offset.is_some() {
            DMA_STATUS_MISMATCH
        } else {
            DMA_STATUS_SUCCESS
        };
        self.record.status = self.ending.unwrap_or(whole);
        self.record.epoch_at_completion = epoch;
        (self.record, self.operation)
    }

    /// Ends the transfer where it stands: its record, and the messages that are still unanswered.
    pub(crate) fn abort(mut self, status: u16, epoch: u64) -> (RequestRecord, Vec<Ticket>) {
        self.end(status, None);
        let unanswered = self.pipeline.tickets().collect();
        (self.finish(epoch).0, unanswered)
    }

    fn is_over(&self) -> bool {
        self.pipeline.is_empty() && (self.ending.is_some() || self.begun_bytes == self.length_bytes)
    }

    /// The first reason to end stays.
    fn end(&mut self, status: u16, iova: Option<Iova>) {
        if self.ending.is_none() {
            self.ending = Some(status);
            self.record.fault_iova = iova;
        }
    }

    /// Checks the request once, on its first step.
    fn check<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) {
        if std::mem::replace(&mut self.is_checked, true) {
            return;
        }
        ctx.spend(0);
        if !matches!(self.operation, Operation::StoreCompletion { .. }) {
            ctx.sabotage.release(self.record.channel, ctx.bus);
        }
        if self.ending.is_some() || matches!(self.operation, Operation::Nop) {
            return;
        }
        let status = if let Err(status) = ctx.gate {
            status
        } else if self.length_bytes == 0 {
            DMA_STATUS_LENGTH
        } else {
            let ranges = [self.record.source, self.record.destination];
            let last = |start: Iova| start.raw().checked_add(self.length_bytes - 1);
            let outside = |start: &Iova| last(*start).is_none_or(|last| last > ctx.last_address);
            if !ranges.iter().flatten().any(outside) {
                return;
            }
            DMA_STATUS_ADDRESS
        };
        self.ending = Some(status);
    }

    fn remaining_bytes(&self) -> u64 {
        self.length_bytes - self.begun_bytes
    }

    fn source(&self, offset: u64) -> Iova {
        advance(self.record.request.source, offset)
    }

    fn destination(&self, offset: u64) -> Iova {
        advance(self.record.request.destination, offset)
    }

    /// Asks the table about the next piece.
    fn probe_chunk<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) -> bool {
        ctx.spend(0);
        self.record.path = AccessPath::Probe;
        match self.permitted_bytes(ctx.bus, self.begun_bytes, self.remaining_bytes()) {
            Ok(len_bytes) => {
                self.begun_bytes += len_bytes;
                self.record.done_bytes += len_bytes;
            }
            Err(fault) => self.end(table_status(fault.kind), Some(fault.iova)),
        }
        true
    }

    /// Bytes from `offset` on that the table permits on both sides, at most `len_bytes`, at least 1.
    fn permitted_bytes(
        &self,
        bus: &impl DmaBus,
        offset: u64,
        len_bytes: u64,
    ) -> Result<u64, BusFault> {
        let mut permitted = len_bytes;
        let sides = [
            (self.record.source, Direction::Read),
            (self.record.destination, Direction::Write),
        ];
        for (start, direction) in sides {
            let Some(start) = start else { continue };
            let iova = advance(start, offset);
            permitted = bus.probe(iova, permitted, direction)?.clamp(1, permitted);
        }
        Ok(permitted)
    }

    /// Moves one chunk by the mapped path; where that has no way, begins one by message.
    fn move_mapped_chunk<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) -> bool {
        let offset = self.begun_bytes;
        let len = clamp_len(self.remaining_bytes(), CHUNK_SIZE_BYTES);
        let (read_len, read_fault) = self.fetch_mapped(ctx, offset, len);
        let (len, fault, needs_read) = match (self.operation.writes() && read_len > 0, read_fault) {
            (true, _) => {
                let (len, fault) = self.store_mapped(ctx, offset, read_len);
                (len, fault, false)
            }
            (false, fault) => (read_len, fault, true),
        };
        ctx.spend(len as u64);
        if len > 0 {
            self.note_path(AccessPath::Mapped);
            self.begun_bytes += len as u64;
            let data = std::mem::take(&mut ctx.scratch.data);
            self.account(offset, &data[..len], &mut ctx.scratch.expected);
            ctx.scratch.data = data;
        } else if let Some(fault) = fault {
            self.fall_back(ctx, fault, needs_read, read_len);
        }
        true
    }

    /// Brings the next bytes into the scratch buffer: how many, and what stopped it.
    fn fetch_mapped<B: DmaBus>(
        &self,
        ctx: &mut StepContext<'_, B>,
        offset: u64,
        len: usize,
    ) -> (usize, Option<BusFault>) {
        let data = &mut ctx.scratch.data[..len];
        if !self.operation.reads() {
            self.operation.generate(offset, data);
            return (len, None);
        }
        let iova = self.source(offset);
        match ctx.bus.read(iova, data) {
            Ok(()) => (len, None),
            Err(fault) => (reached(iova, &fault, len), Some(fault)),
        }
    }

    /// Writes bytes of the scratch buffer: how many, and what stopped it.
    fn store_mapped<B: DmaBus>(
        &self,
        ctx: &mut StepContext<'_, B>,
        offset: u64,
        len: usize,
    ) -> (usize, Option<BusFault>) {
        let mut data = std::mem::take(&mut ctx.scratch.data);
        let result = self.write_mapped(ctx, offset, &mut data[..len]);
        ctx.scratch.data = data;
        result
    }

    fn write_mapped<B: DmaBus>(
        &self,
        ctx: &mut StepContext<'_, B>,
        offset: u64,
        data: &mut [u8],
    ) -> (usize, Option<BusFault>) {
        let iova = self.destination(offset);
        let action = self.write_action(ctx, offset, data.len());
        let result = match action {
            WriteAction::Make => ctx.bus.write(iova, data),
            WriteAction::Flip => {
                flip_bit(data);
                let result = ctx.bus.write(iova, data);
                flip_bit(data);
                result
            }
            WriteAction::Skip => Ok(()),
            WriteAction::Hold => {
                ctx.sabotage.hold(self.record.channel, iova, data);
                Ok(())
            }
            WriteAction::Extend => {
                let result = ctx.bus.write(iova, data);
                if result.is_ok() {
                    change_byte(ctx.bus, iova.checked_add(data.len() as u64));
                }
                result
            }
        };
        match result {
            Ok(()) => {
                if action != WriteAction::Make {
                    ctx.sabotage.note_fired();
                }
                (data.len(), None)
            }
            Err(fault) => (reached(iova, &fault, data.len()), Some(fault)),
        }
    }

    fn write_action<B>(&self, ctx: &StepContext<'_, B>, offset: u64, len: usize) -> WriteAction {
        if !self.operation.is_payload() {
            return WriteAction::Make;
        }
        let is_last = offset + len as u64 == self.length_bytes;
        ctx.sabotage.action(is_last)
    }

    /// The mapped path has no way at `fault`: repeats the access as a message, so that the platform
    /// judges it and records a true fault. `data_len` bytes to write lie in the scratch buffer.
    fn fall_back<B: DmaBus>(
        &mut self,
        ctx: &mut StepContext<'_, B>,
        fault: BusFault,
        needs_read: bool,
        data_len: usize,
    ) {
        if INTERRUPT_RANGE.contains(&fault.iova.raw()) {
            self.end(DMA_STATUS_ADDRESS, Some(fault.iova));
            return;
        }
        let wanted = if needs_read {
            self.remaining_bytes()
        } else {
            data_len as u64
        };
        let len = clamp_len(wanted.min(to_page_end(fault.iova)), MESSAGE_MAX_SIZE_BYTES);
        self.pipeline.push(Stage {
            offset: self.begun_bytes,
            data: ctx.scratch.data[..len].to_vec(),
            state: if needs_read {
                StageState::Fetch
            } else {
                StageState::Fetched
            },
            store_by_message: !needs_read,
            table_fault: refusal(fault),
        });
        self.begun_bytes += len as u64;
    }

    /// Adds chunks, sends messages and accounts for chunks that have ended; whether anything moved.
    fn move_stages<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) -> bool {
        let mut has_moved = false;
        while self.mode == RequestMode::Message
            && self.ending.is_none()
            && self.remaining_bytes() > 0
            && self.pipeline.is_open()
        {
            let stage = self.plan_stage(ctx.bus);
            self.begun_bytes += stage.len_bytes();
            self.pipeline.push(stage);
            has_moved = true;
        }
        if self.ending.is_none() {
            has_moved |= self.send_stages(ctx);
        }
        while let Some(stage) = self.pipeline.pop_ended() {
            has_moved = true;
            self.retire(stage, ctx.scratch);
        }
        has_moved
    }

    /// Cuts the next chunk of a request that goes by message. The table says where the platform is
    /// likely to refuse, and the chunk ends in front of that, so that `done_bytes` is exact.
    fn plan_stage(&self, bus: &impl DmaBus) -> Stage {
        let offset = self.begun_bytes;
        let mut wanted = self.remaining_bytes().min(MESSAGE_MAX_SIZE_BYTES as u64);
        let mut state = if self.operation.reads() {
            StageState::Fetch
        } else {
            StageState::Fetched
        };
        for start in [self.record.source, self.record.destination]
            .iter()
            .flatten()
        {
            let iova = advance(*start, offset);
            if INTERRUPT_RANGE.contains(&iova.raw()) {
                state = StageState::Failed {
                    status: DMA_STATUS_ADDRESS,
                    iova,
                };
            } else if iova.raw() < INTERRUPT_RANGE.start {
                wanted = wanted.min(INTERRUPT_RANGE.start - iova.raw());
            }
        }
        let (len_bytes, table_fault) = self.uniform_bytes(bus, offset, wanted);
        let mut data = vec![0; clamp_len(len_bytes, MESSAGE_MAX_SIZE_BYTES)];
        if !self.operation.reads() {
            self.operation.generate(offset, &mut data);
        }
        Stage {
            offset,
            data,
            state,
            store_by_message: true,
            table_fault,
        }
    }

    /// Bytes from `offset` on of which the table says the same: all permitted, or one refused page.
    fn uniform_bytes(
        &self,
        bus: &impl DmaBus,
        offset: u64,
        wanted: u64,
    ) -> (u64, Option<BusFault>) {
        let mut permitted = 0;
        while permitted < wanted {
            match self.permitted_bytes(bus, offset + permitted, wanted - permitted) {
                Ok(len_bytes) => permitted += len_bytes,
                Err(_) if permitted > 0 => break,
                Err(fault) => return (wanted.min(to_page_end(fault.iova)), refusal(fault)),
            }
        }
        (permitted, None)
    }

    /// Sends what can be sent, writes in order; whether anything was.
    fn send_stages<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) -> bool {
        // The stages leave the transfer for the time being, so that its other parts can be used.
        let mut pipeline = std::mem::take(&mut self.pipeline);
        let mut has_moved = false;
        let mut may_write = true;
        for stage in pipeline.stages_mut() {
            let before = stage.state;
            match before {
                StageState::Fetch => self.send_read(ctx, stage),
                StageState::Fetched if may_write => self.store_stage(ctx, stage),
                StageState::Failed { .. } => break,
                _ => {}
            }
            has_moved |= stage.state != before;
            may_write &= matches!(stage.state, StageState::Writing(_) | StageState::Complete);
            if stage.state == before && matches!(before, StageState::Fetch) {
                break;
            }
        }
        self.pipeline = pipeline;
        has_moved
    }

    fn send_read<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>, stage: &mut Stage) {
        let iova = self.source(stage.offset);
        match ctx.bus.submit_read(iova, stage.data.len()) {
            Ok(ticket) => {
                ctx.spend(stage.len_bytes());
                self.note_path(AccessPath::Message);
                stage.state = StageState::Reading(ticket);
            }
            Err(SubmitError::Busy) => {}
            Err(SubmitError::Unavailable) => stage.fail(None, iova),
        }
    }

    fn store_stage<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>, stage: &mut Stage) {
        if !stage.store_by_message && !self.store_fallen_back(ctx, stage) {
            return;
        }
        let iova = self.destination(stage.offset);
        let action = self.write_action(ctx, stage.offset, stage.data.len());
        if action == WriteAction::Flip {
            flip_bit(&mut stage.data);
        }
        let sent = match action {
            WriteAction::Skip => None,
            WriteAction::Hold => {
                ctx.sabotage.hold(self.record.channel, iova, &stage.data);
                None
            }
            _ => Some(ctx.bus.submit_write(iova, &stage.data)),
        };
        if action == WriteAction::Flip {
            flip_bit(&mut stage.data);
        }
        match sent {
            Some(Err(SubmitError::Busy)) => return,
            Some(Err(SubmitError::Unavailable)) => return stage.fail(None, iova),
            Some(Ok(ticket)) => stage.state = StageState::Writing(ticket),
            None => stage.state = StageState::Complete,
        }
        ctx.spend(stage.len_bytes());
        self.note_path(AccessPath::Message);
        if action == WriteAction::Extend {
            change_byte(ctx.bus, iova.checked_add(stage.len_bytes()));
        }
        if action != WriteAction::Make {
            ctx.sabotage.note_fired();
        }
    }

    /// A copy whose read fell back writes by the mapped path first. Whether the write falls back, too;
    /// then, and after a partial write, the chunk is cut and the rest is begun anew.
    fn store_fallen_back<B: DmaBus>(
        &mut self,
        ctx: &mut StepContext<'_, B>,
        stage: &mut Stage,
    ) -> bool {
        let (len, fault) = self.write_mapped(ctx, stage.offset, &mut stage.data);
        ctx.spend(len as u64);
        let falls_back = len == 0;
        if !falls_back {
            self.note_path(AccessPath::Mapped);
            stage.data.truncate(len);
            stage.state = StageState::Complete;
        } else if let Some(fault) = fault {
            if INTERRUPT_RANGE.contains(&fault.iova.raw()) {
                stage.state = StageState::Failed {
                    status: DMA_STATUS_ADDRESS,
                    iova: fault.iova,
                };
                return false;
            }
            stage
                .data
                .truncate(clamp_len(to_page_end(fault.iova), stage.data.len()));
            stage.store_by_message = true;
            stage.table_fault = refusal(fault);
        }
        self.begun_bytes = stage.offset + stage.len_bytes();
        falls_back
    }

    /// Accounts for a chunk that has ended, in its turn.
    fn retire(&mut self, stage: Stage, scratch: &mut Scratch) {
        match stage.state {
            StageState::Failed { status, iova } => self.end(status, Some(iova)),
            _ if self.ending.is_none() => {
                self.account(stage.offset, &stage.data, &mut scratch.expected);
            }
            _ => {}
        }
    }

    fn account(&mut self, offset: u64, data: &[u8], expected: &mut [u8]) {
        self.record.crc32c = crc32c::crc32c_append(self.record.crc32c, data);
        self.record.done_bytes += data.len() as u64;
        let mismatch = self.operation.absorb(offset, data, expected);
        if let (Some(mismatch), None) = (mismatch, self.record.mismatch_offset) {
            self.record.mismatch_offset = Some(mismatch.offset);
            self.record.expected = mismatch.expected;
            self.record.seen = mismatch.seen;
        }
    }

    fn note_path(&mut self, path: AccessPath) {
        self.record.path = match (self.record.path, path) {
            (AccessPath::None, path) => path,
            (seen, path) if seen == path => path,
            _ => AccessPath::Both,
        };
    }

    fn note_fallback(&mut self, fault: Option<BusFault>) {
        if let (Some(fault), None) = (fault, self.record.fallback) {
            self.record.fallback = Some(Fallback {
                iova: fault.iova,
                kind: fault.kind,
            });
        }
    }
}

/// The address `offset` further on; the caller has checked that the whole range fits.
fn advance(start: Iova, offset: u64) -> Iova {
    Iova::new(start.raw().wrapping_add(offset))
}

fn clamp_len(len_bytes: u64, max: usize) -> usize {
    usize::try_from(len_bytes).map_or(max, |len| len.min(max))
}

/// Bytes moved in front of a fault of an access at `start`; a bus that names a byte outside the
/// access is taken to have moved nothing.
fn reached(start: Iova, fault: &BusFault, len: usize) -> usize {
    let moved = fault.iova.checked_offset_from(start);
    moved
        .and_then(|moved| usize::try_from(moved).ok())
        .filter(|moved| *moved < len)
        .unwrap_or(0)
}

fn to_page_end(iova: Iova) -> u64 {
    PAGE_SIZE_BYTES - iova.raw() % PAGE_SIZE_BYTES
}

/// The fault, if it means that the table refuses the access.
fn refusal(fault: BusFault) -> Option<BusFault> {
    (fault.kind != BusFaultKind::MessageOnly).then_some(fault)
}

fn table_status(kind: BusFaultKind) -> u16 {
    match kind {
        BusFaultKind::Unmapped => DMA_STATUS_UNMAPPED,
        BusFaultKind::Permission => DMA_STATUS_PERMISSION,
        BusFaultKind::MessageOnly => DMA_STATUS_SUCCESS,
    }
}
