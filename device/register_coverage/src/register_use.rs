//! [`RegisterUse`]: how often a register and its fields were touched.

use endpoint::{FieldInfo, RegisterInfo};

/// A register, or all that share its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterUse {
    /// Name.
    pub name: String,
    /// BAR of the first of them.
    pub bar: u8,
    /// Offset of the first of them.
    pub offset: u64,
    /// Width in bytes.
    pub width_bytes: u8,
    /// Whether reads have a meaning.
    pub is_readable: bool,
    /// Whether writes have a meaning.
    pub is_writable: bool,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Its fields.
    pub fields: Vec<FieldUse>,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldUse {
    /// Name.
    pub name: String,
    /// The bits.
    pub mask: u64,
    /// Reads in which a bit of it was 1.
    pub reads_set: u64,
    /// Writes in which a bit of it was 1.
    pub writes_set: u64,
}

impl RegisterUse {
    pub(crate) fn new(info: &RegisterInfo) -> Self {
        let field = |field: &FieldInfo| FieldUse {
            name: field.name.to_string(),
            mask: field.mask,
            reads_set: 0,
            writes_set: 0,
        };
        Self {
            name: info.name.to_string(),
            bar: info.bar,
            offset: info.offset,
            width_bytes: info.width_bytes,
            is_readable: info.is_readable,
            is_writable: info.is_writable,
            reads: 0,
            writes: 0,
            fields: info.fields.iter().map(field).collect(),
        }
    }

    /// Notes a read that brought `value`.
    pub(crate) fn read(&mut self, value: u64) {
        self.reads += 1;
        for field in self
            .fields
            .iter_mut()
            .filter(|field| field.mask & value != 0)
        {
            field.reads_set += 1;
        }
    }

    /// Notes a write of `value`.
    pub(crate) fn written(&mut self, value: u64) {
        self.writes += 1;
        for field in self
            .fields
            .iter_mut()
            .filter(|field| field.mask & value != 0)
        {
            field.writes_set += 1;
        }
    }
}
