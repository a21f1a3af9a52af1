//! The declared buffers, and those that were.

use std::collections::{BTreeMap, VecDeque};

use control_api::FunctionName;
use control_api::ledger::AccessDirection;
use control_api::request::BufferDirection;
use control_api::response::Buffer;
use thiserror::Error;

use super::IovaRange;

/// Most buffers declared at a time. Each access looks at all of them.
pub const MAX_BUFFERS: usize = 1024;
/// Longest name.
pub const MAX_NAME_LEN: usize = 64;
/// Freed buffers that are remembered.
const MAX_FREED: usize = 1024;

/// Why a buffer is not declared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeclareError {
    /// The range is empty or wraps.
    #[error("buffer {name:?}: IOVA {iova:#x} with length {length:#x} is empty or passes 2^64")]
    Range {
        /// The name given.
        name: String,
        /// Its first byte.
        iova: u64,
        /// Its length.
        length: u64,
    },
    /// The name is not fit for reports.
    #[error("a buffer's name has 1 to {MAX_NAME_LEN} printable ASCII characters")]
    Name,
    /// There are too many.
    #[error("{MAX_BUFFERS} buffers are declared; undeclare some")]
    Full,
}

/// What [`DeclaredBuffers::judge`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Permitted,
    WrongDirection(String),
    AfterFree(String),
    Outside,
}

#[derive(Debug, Default)]
pub(super) struct DeclaredBuffers {
    live: BTreeMap<u32, Buffer>,
    freed: VecDeque<Buffer>,
    last_id: u32,
}

impl DeclaredBuffers {
    /// Takes a buffer under a number of its own.
    pub(super) fn declare(&mut self, mut buffer: Buffer) -> Result<u32, DeclareError> {
        let is_wrapping = buffer
            .length
            .checked_sub(1)
            .is_none_or(|rest| buffer.iova.checked_add(rest).is_none());
        if is_wrapping {
            return Err(DeclareError::Range {
                name: buffer.name,
                iova: buffer.iova.raw(),
                length: buffer.length,
            });
        }
        let is_printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        if !(1..=MAX_NAME_LEN).contains(&buffer.name.len())
            || !buffer.name.bytes().all(is_printable)
        {
            return Err(DeclareError::Name);
        }
        if self.live.len() >= MAX_BUFFERS {
            return Err(DeclareError::Full);
        }
        self.last_id = self.last_id.wrapping_add(1);
        buffer.id = self.last_id;
        let id = buffer.id;
        self.live.insert(id, buffer);
        Ok(id)
    }

    pub(super) fn undeclare(&mut self, id: u32) -> Option<Buffer> {
        let buffer = self.live.remove(&id)?;
        if self.freed.len() >= MAX_FREED {
            self.freed.pop_front();
        }
        self.freed.push_back(buffer.clone());
        Some(buffer)
    }

    pub(super) fn iter(&self, from: u32) -> impl Iterator<Item = &Buffer> {
        self.live.range(from..).map(|(_, buffer)| buffer)
    }

    pub(super) fn forget_freed(&mut self) {
        self.freed.clear();
    }

    /// The name of a buffer that holds all of `range`.
    pub(super) fn holder(&self, function: FunctionName, range: IovaRange) -> Option<&str> {
        self.live
            .values()
            .find(|buffer| buffer.function == function && range_of(buffer).holds(range))
            .map(|buffer| buffer.name.as_str())
    }

    pub(super) fn judge(
        &self,
        function: FunctionName,
        range: IovaRange,
        direction: AccessDirection,
    ) -> Judgement {
        if self.live.is_empty() && self.freed.is_empty() {
            return Judgement::Permitted;
        }
        let mut against_direction = None;
        let mut is_judged = false;
        for buffer in self.live.values().filter(|one| one.function == function) {
            is_judged = true;
            if !range_of(buffer).holds(range) {
                continue;
            }
            if permits(buffer.direction, direction) {
                return Judgement::Permitted;
            }
            against_direction = Some(&buffer.name);
        }
        if let Some(name) = against_direction {
            return Judgement::WrongDirection(name.clone());
        }
        let is_freed =
            |buffer: &&Buffer| buffer.function == function && range_of(buffer).overlaps(range);
        match self.freed.iter().rev().find(is_freed) {
            // Partly in a live buffer, partly in a freed one: the free is the better explanation.
            Some(buffer) => Judgement::AfterFree(buffer.name.clone()),
            None if is_judged => Judgement::Outside,
            None => Judgement::Permitted,
        }
    }
}

fn range_of(buffer: &Buffer) -> IovaRange {
    IovaRange::new(buffer.iova, buffer.length)
}

fn permits(declared: BufferDirection, direction: AccessDirection) -> bool {
    match (declared, direction) {
        (BufferDirection::Bidirectional, _)
        | (BufferDirection::ToDevice, AccessDirection::Read)
        | (BufferDirection::FromDevice, AccessDirection::Write) => true,
        (BufferDirection::ToDevice, AccessDirection::Write)
        | (BufferDirection::FromDevice, AccessDirection::Read) => false,
    }
}
