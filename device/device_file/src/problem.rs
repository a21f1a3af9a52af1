//! [`Problems`]: what is wrong with a file, key by key.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::key_path::KeyPath;

/// Most problems that are kept of one file.
const MAX_PROBLEMS: usize = 16;

/// What is wrong with one key, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which key.
    pub at: KeyPath,
    /// What is wrong, to be read after the key.
    pub what: String,
    /// How to mend it; may be empty if that is plain.
    pub help: String,
}

/// The problems of one file, in the order found.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem; those beyond a bound are dropped.
    pub fn note(&mut self, at: &KeyPath, what: impl Into<String>, help: impl Into<String>) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push(Problem {
                at: at.clone(),
                what: what.into(),
                help: help.into(),
            });
        }
    }

    /// Notes an error that brings its mend along, in the way of this workspace: behind "help: ".
    pub fn error(&mut self, at: &KeyPath, error: &dyn std::error::Error) {
        let text = error.to_string();
        let (what, help) = text.split_once("\nhelp: ").unwrap_or((&text, ""));
        self.note(at, format!("cannot be: {what}"), help);
    }

    /// Notes a value outside of its range.
    pub fn range<N: PartialOrd + Display>(
        &mut self,
        at: &KeyPath,
        value: N,
        range: RangeInclusive<N>,
    ) {
        if !range.contains(&value) {
            let what = format!(
                "is {value}, but must be {} to {}",
                range.start(),
                range.end()
            );
            self.note(at, what, "");
        }
    }

    /// Whether nothing was noted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems.
    #[must_use]
    pub fn into_inner(self) -> Vec<Problem> {
        self.0
    }
}
