//! WDF_OBJECT_ATTRIBUTES: read once, judged in the framework's order (fxvalidatefunctions.cpp; KD-10).

use core::cell::Cell;

use super::object::{self, Handle};
use crate::ntoskrnl::shared::{read_u64, shared};
use crate::ntoskrnl::status::{self, NtStatus};

/// Size of WDF_OBJECT_ATTRIBUTES.
const ATTRIBUTES_BYTES: u32 = 0x38;
/// Size of WDF_OBJECT_CONTEXT_TYPE_INFO, and of its form before KMDF 1.1, which ends before UniqueType.
const TYPE_INFO_BYTES: u32 = 0x28;
const OLD_TYPE_INFO_BYTES: u32 = 0x18;

/// WDF_EXECUTION_LEVEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionLevel {
    /// That of the parent.
    Inherit,
    /// Callbacks come at PASSIVE_LEVEL.
    Passive,
    /// Callbacks come at DISPATCH_LEVEL or below.
    Dispatch,
}

/// WDF_SYNCHRONIZATION_SCOPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// That of the parent.
    Inherit,
    /// The device's lock.
    Device,
    /// The queue's lock.
    Queue,
    /// None.
    None,
}

/// What a family lets a driver say of a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentRule {
    /// It may name one.
    Optional,
    /// It must name one, and must give attributes.
    Required,
    /// It must not name one: STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED.
    NotAllowed,
}

/// What a family lets a driver say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Of the parent.
    pub parent: ParentRule,
    /// Of the execution level.
    pub execution_level: bool,
    /// Of the synchronization scope.
    pub scope: bool,
}

impl Rules {
    /// An optional parent, neither execution level nor scope: the rules of most families.
    pub const PLAIN: Self = Self {
        parent: ParentRule::Optional,
        execution_level: false,
        scope: false,
    };
    /// No parent, neither execution level nor scope.
    pub const NO_PARENT: Self = Self {
        parent: ParentRule::NotAllowed,
        execution_level: false,
        scope: false,
    };
}

/// A context that a driver asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextType {
    /// Address that is the type's identity: UniqueType, or that of the type information itself.
    pub identity: u64,
    /// Bytes of the context.
    pub len_bytes: u64,
}

/// Attributes that have been found valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// EvtCleanupCallback; 0 for none.
    pub cleanup: u64,
    /// EvtDestroyCallback; 0 for none.
    pub destroy: u64,
    /// ExecutionLevel.
    pub execution_level: ExecutionLevel,
    /// SynchronizationScope.
    pub scope: Scope,
    /// ParentObject as given: not yet checked to be a handle; 0 for none.
    pub parent: u64,
    /// The context, if any.
    pub context: Option<ContextType>,
}

impl Attributes {
    /// WDF_NO_OBJECT_ATTRIBUTES.
    pub const NONE: Self = Self {
        cleanup: 0,
        destroy: 0,
        execution_level: ExecutionLevel::Inherit,
        scope: Scope::Inherit,
        parent: 0,
        context: None,
    };

    /// Reads and judges attributes; a null pointer gives [`Attributes::NONE`] where no parent is required.
    ///
    /// # Errors
    /// STATUS_WDF_PARENT_NOT_SPECIFIED, STATUS_INFO_LENGTH_MISMATCH, STATUS_WDF_OBJECT_ATTRIBUTES_INVALID,
    /// STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED, STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID,
    /// STATUS_WDF_EXECUTION_LEVEL_INVALID, in this order.
    pub fn read(at: u64, rules: Rules) -> Result<Self, NtStatus> {
        if at == 0 {
            return match rules.parent {
                ParentRule::Required => Err(status::WDF_PARENT_NOT_SPECIFIED),
                _ => Ok(Self::NONE),
            };
        }
        let word = |offset: u64| shared::<Cell<u32>>(at.wrapping_add(offset)).get();
        let long = |offset: u64| read_u64(at.wrapping_add(offset));
        if word(0) != ATTRIBUTES_BYTES {
            return Err(status::INFO_LENGTH_MISMATCH);
        }
        let context = context_type(long(0x30), long(0x28))?;
        let parent = long(0x20);
        match rules.parent {
            ParentRule::NotAllowed if parent != 0 => {
                return Err(status::WDF_PARENT_ASSIGNMENT_NOT_ALLOWED);
            }
            ParentRule::Required if parent == 0 => return Err(status::WDF_PARENT_NOT_SPECIFIED),
            _ => {}
        }
        let execution_level = match word(0x18) {
            1 => ExecutionLevel::Inherit,
            2 => ExecutionLevel::Passive,
            3 => ExecutionLevel::Dispatch,
            _ => return Err(status::WDF_OBJECT_ATTRIBUTES_INVALID),
        };
        let scope = match word(0x1C) {
            1 => Scope::Inherit,
            2 => Scope::Device,
            3 => Scope::Queue,
            4 => Scope::None,
            _ => return Err(status::WDF_OBJECT_ATTRIBUTES_INVALID),
        };
        if !rules.scope && !matches!(scope, Scope::Inherit | Scope::None) {
            return Err(status::WDF_SYNCHRONIZATION_SCOPE_INVALID);
        }
        if !rules.execution_level && execution_level != ExecutionLevel::Inherit {
            return Err(status::WDF_EXECUTION_LEVEL_INVALID);
        }
        Ok(Self {
            cleanup: long(0x08),
            destroy: long(0x10),
            execution_level,
            scope,
            parent,
            context,
        })
    }

    /// The parent that the driver named, checked (bug check 0x10D/5 for what is no handle), or `default`.
    #[must_use]
    pub fn parent_or(&self, function: &str, default: Handle) -> Handle {
        match self.parent {
            0 => default,
            parent => object::check_any(function, parent),
        }
    }
}

/// The context that type information and ContextSizeOverride ask for.
fn context_type(type_info: u64, override_bytes: u64) -> Result<Option<ContextType>, NtStatus> {
    if type_info == 0 {
        return match override_bytes {
            0 => Ok(None),
            _ => Err(status::WDF_OBJECT_ATTRIBUTES_INVALID),
        };
    }
    let size = shared::<Cell<u32>>(type_info).get();
    if !matches!(size, TYPE_INFO_BYTES | OLD_TYPE_INFO_BYTES) {
        return Err(status::INFO_LENGTH_MISMATCH);
    }
    let name = read_u64(type_info.wrapping_add(0x08));
    let len_bytes = read_u64(type_info.wrapping_add(0x10));
    if len_bytes > 0 && name == 0 {
        return Err(status::WDF_OBJECT_ATTRIBUTES_INVALID);
    }
    if override_bytes > 0 && override_bytes < len_bytes {
        return Err(status::WDF_OBJECT_ATTRIBUTES_INVALID);
    }
    Ok(Some(ContextType {
        identity: type_identity(type_info),
        len_bytes: override_bytes.max(len_bytes),
    }))
}

/// What two mentions of one context type have in common: UniqueType where the type information has one.
#[must_use]
pub fn type_identity(type_info: u64) -> u64 {
    if shared::<Cell<u32>>(type_info).get() != TYPE_INFO_BYTES {
        return type_info;
    }
    match read_u64(type_info.wrapping_add(0x18)) {
        0 => type_info,
        unique => unique,
    }
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
