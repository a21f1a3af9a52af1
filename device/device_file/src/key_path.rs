//! [`KeyPath`]: which key of a file, and where it stands in the text.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

/// The way from the root of a file to a key, like `bar[1].size`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(&'static str),
    Item(usize),
}

impl KeyPath {
    /// The file as a whole.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// A key of the table at this path.
    #[must_use]
    pub fn key(&self, name: &'static str) -> Self {
        self.then(Step::Key(name))
    }

    /// An item of the array at this path, from 0.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        self.then(Step::Item(index))
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// Where the value stands; for a key that was left out, the nearest table that is there.
    pub(crate) fn span(&self, root: &Spanned<DeValue<'_>>) -> Range<usize> {
        let mut value = root;
        // The root's span is the whole text; its first place is what is shown.
        let mut span = 0..0;
        for step in &self.0 {
            let next = match step {
                Step::Key(name) => value.get_ref().as_table().and_then(|keys| keys.get(*name)),
                Step::Item(index) => value.get_ref().get(*index),
            };
            let Some(next) = next else {
                break;
            };
            value = next;
            span = value.span();
        }
        span
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(name) if index == 0 => f.write_str(name)?,
                Step::Key(name) => write!(f, ".{name}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}
