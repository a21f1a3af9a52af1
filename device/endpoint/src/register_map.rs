//! [`RegisterInfo`]: what a register is, for those who count accesses.

use std::borrow::Cow;

/// A register and its named bits. Several may share a name: those that each channel has are one to
/// whoever asks what a driver has touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterInfo {
    /// Name.
    pub name: Cow<'static, str>,
    /// BAR.
    pub bar: u8,
    /// Offset in bytes.
    pub offset: u64,
    /// Width in bytes, 1 to 8.
    pub width_bytes: u8,
    /// Whether reads have a meaning.
    pub is_readable: bool,
    /// Whether writes have a meaning.
    pub is_writable: bool,
    /// Whether accesses to a part, or over several registers, are in order.
    pub is_partial: bool,
    /// Named bits.
    pub fields: Vec<FieldInfo>,
}

/// Named bits of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// Name.
    pub name: Cow<'static, str>,
    /// The bits.
    pub mask: u64,
}
