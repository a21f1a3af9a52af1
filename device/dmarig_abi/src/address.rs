//! The pattern of the address newtypes: one byte address in one address space.

/// Defines an address newtype with hexadecimal `Debug` and `Display`.
///
/// There are no operators on purpose: arithmetic is checked, and two address spaces do not mix.
macro_rules! address_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a raw address; every 64-bit value is a legal address.
            #[must_use]
            pub const fn new(raw: u64) -> Self {
                Self(raw)
            }

            /// The raw address, for the wire and for tables.
            #[must_use]
            pub const fn raw(self) -> u64 {
                self.0
            }

            /// The address `len_bytes` further on, or `None` where that would pass 2^64 - 1.
            #[must_use]
            pub const fn checked_add(self, len_bytes: u64) -> Option<Self> {
                match self.0.checked_add(len_bytes) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }

            /// How many bytes this address lies above `base`, or `None` if it lies below.
            #[must_use]
            pub const fn checked_offset_from(self, base: Self) -> Option<u64> {
                self.0.checked_sub(base.0)
            }

            /// The address rounded down to a multiple of `alignment`, which must be a power of two.
            #[must_use]
            pub const fn align_down(self, alignment: u64) -> Self {
                debug_assert!(alignment.is_power_of_two());
                Self(self.0 & !(alignment - 1))
            }

            /// Whether the address is a multiple of `alignment`, which must be a power of two.
            #[must_use]
            pub const fn is_aligned(self, alignment: u64) -> bool {
                debug_assert!(alignment.is_power_of_two());
                self.0 & (alignment - 1) == 0
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}({:#x})", stringify!($name), self.0)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl core::fmt::LowerHex for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

pub(crate) use address_newtype;
