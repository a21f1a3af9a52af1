//! [`DispatcherHeader`]: what starts each object that can be waited for, and when a wait is satisfied.

use core::mem::offset_of;

use super::Foreign;
use super::mutex::{self, Mutex};

/// DISPATCHER_HEADER, 0x18 bytes.
#[derive(Debug, Default)]
#[repr(C)]
pub struct DispatcherHeader {
    object_type: u8,
    signalling: u8,
    size_words: u8,
    inserted: u8,
    signal_state: i32,
    wait_list_head: [u64; 2],
}

const _: () = assert!(size_of::<DispatcherHeader>() == 0x18);

/// KOBJECTS: an open enum, for the byte lies in driver memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectType(pub u8);

impl ObjectType {
    /// Notification event.
    pub const NOTIFICATION_EVENT: Self = Self(0);
    /// Synchronization event.
    pub const SYNCHRONIZATION_EVENT: Self = Self(1);
    /// Mutant.
    pub const MUTANT: Self = Self(2);
    /// Semaphore.
    pub const SEMAPHORE: Self = Self(5);
    /// Thread.
    pub const THREAD: Self = Self(6);
    /// Notification timer.
    pub const NOTIFICATION_TIMER: Self = Self(8);
    /// Synchronization timer.
    pub const SYNCHRONIZATION_TIMER: Self = Self(9);
}

/// What a wait took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The object as it should be.
    Normal,
    /// A mutex whose owner ended without releasing it.
    Abandoned,
}

const TYPE: usize = offset_of!(DispatcherHeader, object_type);
const SIZE: usize = offset_of!(DispatcherHeader, size_words);
const STATE: usize = offset_of!(DispatcherHeader, signal_state);
const WAIT_LIST: usize = offset_of!(DispatcherHeader, wait_list_head);

impl Foreign<DispatcherHeader> {
    /// Fills the header of an object of `size_bytes` bytes; its list of waits is empty and stays so, for ours
    /// is kept elsewhere.
    pub(super) fn initialize(self, object_type: ObjectType, size_bytes: usize, state: i32) {
        let words = u8::try_from(size_bytes / 4).unwrap_or(0);
        self.write(TYPE, object_type.0);
        self.write(offset_of!(DispatcherHeader, signalling), 0u8);
        self.write(SIZE, words);
        self.write(offset_of!(DispatcherHeader, inserted), 0u8);
        self.write(STATE, state);
        let list_head = self.address() + WAIT_LIST as u64;
        self.write(WAIT_LIST, list_head);
        self.write(WAIT_LIST + 8, list_head);
    }

    /// Whether the object was initialized as one of the types and lies where it was: its wait list names
    /// itself.
    #[must_use]
    pub fn is_one_of(self, types: &[ObjectType]) -> bool {
        let list_head = self.address() + WAIT_LIST as u64;
        types.contains(&self.object_type())
            && self.read::<u64>(WAIT_LIST) == list_head
            && self.read::<u64>(WAIT_LIST + 8) == list_head
    }

    /// The object's type.
    #[must_use]
    pub fn object_type(self) -> ObjectType {
        ObjectType(self.read(TYPE))
    }

    /// The signal state.
    #[must_use]
    pub fn state(self) -> i32 {
        self.read(STATE)
    }

    pub(super) fn set_state(self, state: i32) {
        self.write(STATE, state);
    }

    /// Whether a wait of `thread` would be satisfied now. Memory that is gone satisfies nothing.
    pub(super) fn is_signaled_for(self, thread: u64) -> bool {
        if !self.is_valid() {
            return false;
        }
        self.state() > 0
            || (self.object_type() == ObjectType::MUTANT
                && mutex::owner(Foreign::<Mutex>::checked(self.address())) == thread)
    }

    /// Takes the object for `thread`, which [`Foreign::is_signaled_for`] allows.
    pub(super) fn take(self, thread: u64) -> Taken {
        match self.object_type() {
            ObjectType::SYNCHRONIZATION_EVENT | ObjectType::SYNCHRONIZATION_TIMER => {
                self.set_state(0);
            }
            ObjectType::SEMAPHORE => self.set_state(self.state() - 1),
            ObjectType::MUTANT => {
                return mutex::take(Foreign::checked(self.address()), thread);
            }
            _ => {}
        }
        Taken::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::super::foreign::leak;
    use super::*;

    #[test]
    fn object_is_known_by_its_type_and_its_own_wait_list() {
        const EVENTS: [ObjectType; 2] = [
            ObjectType::NOTIFICATION_EVENT,
            ObjectType::SYNCHRONIZATION_EVENT,
        ];
        let zeroed = leak(DispatcherHeader::default());
        assert!(!zeroed.is_one_of(&EVENTS), "type 0 alone is not enough");
        zeroed.initialize(ObjectType::SYNCHRONIZATION_EVENT, 0x18, 0);
        assert!(zeroed.is_one_of(&EVENTS));
        zeroed.initialize(ObjectType::SEMAPHORE, 0x20, 0);
        assert!(!zeroed.is_one_of(&EVENTS));
    }
}
