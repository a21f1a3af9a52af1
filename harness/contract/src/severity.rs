//! [`Severity`]: what real Windows makes of an operation or of a broken rule.

/// How far the documents tell what comes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The outcome is documented, be it a success or a failure.
    #[default]
    Defined,
    /// It fails or harms in a way that the documents leave open.
    Undefined,
    /// Real Windows may stop with a bug check, or memory is lost.
    Fatal,
}

impl Severity {
    /// The word in lists and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Defined => "defined",
            Self::Undefined => "undefined",
            Self::Fatal => "fatal",
        }
    }
}
