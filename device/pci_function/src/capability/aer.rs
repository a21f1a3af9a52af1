//! Advanced error reporting. Section 7.8.4.
//!
//! QEMU passes these registers through and attaches nothing to them: the guest hears of an error
//! when the harness injects it on the QEMU side, and then reads here what it was.

use super::extended::ExtendedList;
use crate::registers::{Behavior, Registers};

const ID: u16 = 0x0001;
const VERSION: u32 = 2;
const LEN: usize = 0x2c;

const UNCORRECTABLE_STATUS: usize = 0x04;
const UNCORRECTABLE_MASK: usize = 0x08;
const UNCORRECTABLE_SEVERITY: usize = 0x0c;
const CORRECTABLE_STATUS: usize = 0x10;
const CORRECTABLE_MASK: usize = 0x14;
const CONTROL: usize = 0x18;
const HEADER_LOG: usize = 0x1c;

/// Uncorrectable errors of an endpoint: data link protocol, and poisoned TLP to internal error.
const UNCORRECTABLE: u32 = 1 << 4 | 0x007f_f000;
/// Initial mask: internal errors.
const UNCORRECTABLE_MASK_INITIAL: u32 = 1 << 22;
/// Initial severity, 1 for fatal: data link and flow control protocol, receiver overflow,
/// malformed TLP, internal error.
const UNCORRECTABLE_SEVERITY_INITIAL: u32 = 1 << 4 | 1 << 13 | 1 << 17 | 1 << 18 | 1 << 22;
/// Correctable errors of an endpoint.
const CORRECTABLE: u32 = 0x0000_71c1;
/// Initial mask: advisory non-fatal and corrected internal errors.
const CORRECTABLE_MASK_INITIAL: u32 = 1 << 13 | 1 << 14;
/// First error pointer in control.
const FIRST_ERROR_MASK: u32 = 0x1f;

/// An uncorrectable error that the function can detect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UncorrectableError {
    /// A TLP with the poison bit was received.
    PoisonedTlp,
    /// A completion did not come in time.
    CompletionTimeout,
    /// The function aborted a request.
    CompleterAbort,
    /// A completion answers nothing.
    UnexpectedCompletion,
    /// A TLP breaks the rules of its format.
    MalformedTlp,
    /// A request is not supported.
    UnsupportedRequest,
    /// The function failed inside.
    Internal,
}

impl UncorrectableError {
    const fn bit_number(self) -> u32 {
        match self {
            Self::PoisonedTlp => 12,
            Self::CompletionTimeout => 14,
            Self::CompleterAbort => 15,
            Self::UnexpectedCompletion => 16,
            Self::MalformedTlp => 18,
            Self::UnsupportedRequest => 20,
            Self::Internal => 22,
        }
    }
}

/// A correctable error that the function can detect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CorrectableError {
    /// The receiver saw a broken symbol.
    Receiver,
    /// A TLP failed its link check.
    BadTlp,
    /// A link packet failed its check.
    BadDllp,
    /// The replay counter rolled over.
    ReplayRollover,
    /// The replay timer ran out.
    ReplayTimeout,
    /// An uncorrectable error that needs no action.
    AdvisoryNonFatal,
}

impl CorrectableError {
    const fn bit_number(self) -> u32 {
        match self {
            Self::Receiver => 0,
            Self::BadTlp => 6,
            Self::BadDllp => 7,
            Self::ReplayRollover => 8,
            Self::ReplayTimeout => 12,
            Self::AdvisoryNonFatal => 13,
        }
    }
}

/// How grave an uncorrectable error is, as software has set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    NonFatal,
    Fatal,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct AerCapability {
    offset: usize,
}

impl AerCapability {
    pub(super) fn install(registers: &mut Registers, list: &mut ExtendedList) -> Self {
        let offset = list.add(registers, ID, VERSION, LEN);
        let status = |bits| Behavior {
            write_one_clears: bits,
            sticky: bits,
            ..Behavior::READ_ONLY
        };
        let setting = |bits| Behavior {
            sticky: bits,
            ..Behavior::writable(bits)
        };
        let log = Behavior {
            sticky: u32::MAX,
            ..Behavior::READ_ONLY
        };
        for (register, initial, behavior) in [
            (UNCORRECTABLE_STATUS, 0, status(UNCORRECTABLE)),
            (
                UNCORRECTABLE_MASK,
                UNCORRECTABLE_MASK_INITIAL,
                setting(UNCORRECTABLE),
            ),
            (
                UNCORRECTABLE_SEVERITY,
                UNCORRECTABLE_SEVERITY_INITIAL,
                setting(UNCORRECTABLE),
            ),
            (CORRECTABLE_STATUS, 0, status(CORRECTABLE)),
            (
                CORRECTABLE_MASK,
                CORRECTABLE_MASK_INITIAL,
                setting(CORRECTABLE),
            ),
            (CONTROL, 0, log),
            (HEADER_LOG, 0, log),
            (HEADER_LOG + 4, 0, log),
            (HEADER_LOG + 8, 0, log),
            (HEADER_LOG + 12, 0, log),
        ] {
            registers.define_u32(offset + register, initial, behavior);
        }
        Self { offset }
    }

    /// Sets the status bit, and for the first unmasked error its number and the header of its
    /// TLP.
    pub(crate) fn record_uncorrectable(
        &self,
        registers: &mut Registers,
        error: UncorrectableError,
        tlp_header: [u32; 4],
    ) -> Severity {
        let bit = 1 << error.bit_number();
        let mask = registers.get_u32(self.offset + UNCORRECTABLE_MASK);
        let status = registers.get_u32(self.offset + UNCORRECTABLE_STATUS);
        let is_first = status & !mask == 0;
        registers.set_u32(self.offset + UNCORRECTABLE_STATUS, status | bit);
        if is_first && mask & bit == 0 {
            let control = registers.get_u32(self.offset + CONTROL) & !FIRST_ERROR_MASK;
            registers.set_u32(self.offset + CONTROL, control | error.bit_number());
            for (index, word) in tlp_header.into_iter().enumerate() {
                registers.set_u32(self.offset + HEADER_LOG + 4 * index, word);
            }
        }
        if registers.get_u32(self.offset + UNCORRECTABLE_SEVERITY) & bit == 0 {
            Severity::NonFatal
        } else {
            Severity::Fatal
        }
    }

    pub(crate) fn record_correctable(&self, registers: &mut Registers, error: CorrectableError) {
        let status = registers.get_u32(self.offset + CORRECTABLE_STATUS);
        registers.set_u32(
            self.offset + CORRECTABLE_STATUS,
            status | 1 << error.bit_number(),
        );
    }
}
