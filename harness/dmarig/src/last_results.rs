//! [`LastResults`]: what the event stream of the last run says of each case.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use contract::Remapping;
use serde::Deserialize;
use serde_json::Value;

/// Why the results cannot be had. That there are none is no error.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file cannot be read.
    #[error("cannot read the results in {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is none of ours.
    #[error("{}, line {line}: no event of a run\nhelp: --results names the folder that a run wrote", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// How one case ended in one mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastResult {
    /// `passed`, `failed`, ...: the kind of verdict.
    pub kind: String,
    /// Facts for the record.
    pub observations: Vec<String>,
}

/// The cases' results, by id and mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastResults(BTreeMap<(String, String), LastResult>);

#[derive(Deserialize)]
struct CaseEnded {
    id: String,
    remapping: String,
    verdict: Kind,
    #[serde(default)]
    observations: Vec<String>,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

impl LastResults {
    /// Reads an event stream; a file that is not there has no results. A last line that is cut short, as a
    /// killed run leaves it, is passed over.
    ///
    /// # Errors
    /// [`ResultsError`].
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(ResultsError::Read {
                    path: path.into(),
                    source,
                });
            }
        };
        Self::parse(&text).map_err(|(line, source)| ResultsError::Line {
            path: path.into(),
            line,
            source,
        })
    }

    fn parse(text: &str) -> Result<Self, (usize, serde_json::Error)> {
        let mut results = BTreeMap::new();
        for (line, event) in (1..).zip(text.split_inclusive('\n')) {
            if !event.ends_with('\n') {
                break;
            }
            let event: Value = serde_json::from_str(event).map_err(|error| (line, error))?;
            if event["event"] != "case-ended" {
                continue;
            }
            let case = CaseEnded::deserialize(event).map_err(|error| (line, error))?;
            let result = LastResult {
                kind: case.verdict.kind,
                observations: case.observations,
            };
            results.insert((case.id, case.remapping), result);
        }
        Ok(Self(results))
    }

    /// Whether no case has a result.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How a case ended in a mode, if it was run.
    #[must_use]
    pub fn of(&self, id: &str, mode: Remapping) -> Option<&LastResult> {
        self.0.get(&(id.to_owned(), mode.as_str().to_owned()))
    }

    /// Whether it passed.
    #[must_use]
    pub fn has_passed(&self, id: &str, mode: Remapping) -> bool {
        self.of(id, mode)
            .is_some_and(|result| result.kind == "passed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: &str = r#"{"event":"case-ended","id":"CM-1/a","remapping":"on","verdict":{"kind":"passed"},"observations":["seen: x"]}"#;

    #[test]
    fn results_are_read_by_case_and_mode() {
        let text = format!("{{\"event\":\"note\",\"text\":\"x\"}}\n{ENDED}\n{{\"event\":\"case-en");
        let results = LastResults::parse(&text).expect("sound");
        assert!(results.has_passed("CM-1/a", Remapping::On));
        assert!(results.of("CM-1/a", Remapping::Off).is_none());
        let observed = results.of("CM-1/a", Remapping::On).expect("there");
        assert_eq!(observed.observations, ["seen: x"]);
    }

    #[test]
    fn line_that_is_no_event_is_named() {
        let text = format!("{ENDED}\nno json\n");
        let (line, _) = LastResults::parse(&text).expect_err("broken");
        assert_eq!(line, 2);
    }

    #[test]
    fn folder_without_a_run_has_no_results() {
        let results = LastResults::read(Path::new("/nowhere/events.jsonl")).expect("no error");
        assert!(results.is_empty());
    }
}
