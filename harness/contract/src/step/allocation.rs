//! Steps of the routines that allocate common buffers of the HAL's own memory, and [`Routine`]: which one.

use dmarig_abi::operation as op;

use super::{Step, step};

/// A routine that allocates a common buffer, with its arguments besides the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routine {
    /// AllocateCommonBuffer.
    Plain {
        /// CacheEnabled, which means nothing on x64 (AC-3).
        cache_enabled: bool,
    },
    /// AllocateCommonBufferEx.
    Ex {
        /// CacheEnabled.
        cache_enabled: bool,
        /// MaximumAddress; `None` passes NULL.
        maximum: Option<u64>,
        /// PreferredNode.
        node: u32,
    },
    /// AllocateCommonBufferWithBounds.
    WithBounds {
        /// MinimumAddress; `None` passes NULL.
        minimum: Option<u64>,
        /// MaximumAddress; `None` passes NULL.
        maximum: Option<u64>,
        /// Flags.
        flags: u32,
        /// MEMORY_CACHING_TYPE; `None` passes NULL.
        cache_type: Option<u32>,
        /// PreferredNode.
        node: u32,
    },
}

impl Routine {
    /// AllocateCommonBuffer, cached.
    pub const PLAIN: Self = Self::Plain {
        cache_enabled: true,
    };
    /// AllocateCommonBufferEx, cached, anywhere.
    pub const EX: Self = Self::Ex {
        cache_enabled: true,
        maximum: None,
        node: 0,
    };
    /// AllocateCommonBufferWithBounds with neither bounds, flags nor a cache type.
    pub const WITH_BOUNDS: Self = Self::WithBounds {
        minimum: None,
        maximum: None,
        flags: 0,
        cache_type: None,
        node: 0,
    };

    /// The routine's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain { .. } => "AllocateCommonBuffer",
            Self::Ex { .. } => "AllocateCommonBufferEx",
            Self::WithBounds { .. } => "AllocateCommonBufferWithBounds",
        }
    }

    /// Lowest and highest address that the caller allows.
    #[must_use]
    pub const fn bounds(self) -> (Option<u64>, Option<u64>) {
        match self {
            Self::Plain { .. } => (None, None),
            Self::Ex { maximum, .. } => (None, maximum),
            Self::WithBounds {
                minimum, maximum, ..
            } => (minimum, maximum),
        }
    }
}

impl Step {
    /// Allocates a common buffer by one of the three routines.
    #[must_use]
    pub fn buffer_allocate(dst: u32, adapter: u32, length_bytes: u64, routine: Routine) -> Self {
        let new = |opcode, arg| step(opcode, dst, adapter, 0, arg);
        let (mut step, cache_flag) = match routine {
            Routine::Plain { cache_enabled } => {
                let arg = [length_bytes, cache_enabled.into(), 0, 0, 0];
                (new(op::OP_BUFFER_ALLOCATE, arg), 0)
            }
            Routine::Ex {
                cache_enabled,
                maximum,
                node,
            } => {
                let maximum = maximum.unwrap_or(0);
                let arg = [length_bytes, cache_enabled.into(), maximum, node.into(), 0];
                (new(op::OP_BUFFER_ALLOCATE_EX, arg), 0)
            }
            Routine::WithBounds {
                minimum,
                maximum,
                flags,
                cache_type,
                node,
            } => {
                let kind = u64::from(flags) | u64::from(cache_type.unwrap_or(0)) << 32;
                let (minimum, maximum) = (minimum.unwrap_or(0), maximum.unwrap_or(0));
                let arg = [length_bytes, minimum, maximum, kind, node.into()];
                let flag = cache_type.map_or(0, |_| op::OP_FLAG_CACHE_TYPE);
                (new(op::OP_BUFFER_ALLOCATE_WITH_BOUNDS, arg), flag)
            }
        };
        let (minimum, maximum) = routine.bounds();
        step.operation.flags = cache_flag
            | minimum.map_or(0, |_| op::OP_FLAG_MINIMUM)
            | maximum.map_or(0, |_| op::OP_FLAG_MAXIMUM);
        step
    }
}
