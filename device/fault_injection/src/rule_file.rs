//! Rule files: their text to a checked [`FaultPlan`], or an error with line, column and a way to mend.

mod form;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::Spanned;

use crate::call::{CallRule, CallSite, is_routine};
use crate::condition::Condition;
use crate::plan::{FaultPlan, INITIAL_STATE, MAX_FUNCTIONS, MAX_RULES};
use crate::point::Point;
use crate::rule::{Rule, Trigger};
use form::{CallForm, File, RuleForm};

/// Largest rule file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// Longest name of a rule or a state, in bytes.
pub const MAX_NAME_BYTES: usize = 80;

/// Most calls of the driver that one file lets fail: as many as the guest's command line takes.
pub const MAX_CALLS: usize = 16;

/// All that a rule file tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleFile {
    /// What the device does.
    pub plan: FaultPlan,
    /// Calls that the guest lets fail.
    pub calls: Vec<CallRule>,
}

/// Why a rule file cannot be used.
#[derive(Debug, Error)]
pub enum RuleFileError {
    /// It cannot be read.
    #[error("rule file {}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is larger than any rule file.
    #[error("rule file {}: larger than {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Something in it is wrong.
    #[error("rule file {}, line {line}, column {column}: {message}\nhelp: {help}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
        /// How to mend it.
        help: String,
    },
}

/// Reads and checks the rule file at `path`.
///
/// # Errors
/// Any [`RuleFileError`].
pub fn read(path: &Path) -> Result<FaultPlan, RuleFileError> {
    let text = read_text(path)?;
    parse(path, &text)
}

/// Reads the text of the rule file at `path`, unchecked.
///
/// # Errors
/// `Read` and `TooLarge`.
pub fn read_text(path: &Path) -> Result<String, RuleFileError> {
    use std::io::Read as _;

    let read_error = |source| RuleFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(read_error)?;
    let mut text = String::new();
    let n_bytes = file
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(read_error)?;
    if n_bytes as u64 > MAX_FILE_BYTES {
        return Err(RuleFileError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(text)
}

/// Checks the text of a rule file for the device, which leaves the calls to the guest; `path` is for
/// messages alone.
///
/// # Errors
/// `TooLarge` and `Invalid`.
pub fn parse(path: &Path, text: &str) -> Result<FaultPlan, RuleFileError> {
    parse_all(path, text).map(|file| file.plan)
}

/// Checks the text of a rule file; `path` is for messages alone.
///
/// # Errors
/// `TooLarge` and `Invalid`.
pub fn parse_all(path: &Path, text: &str) -> Result<RuleFile, RuleFileError> {
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(RuleFileError::TooLarge {
            path: path.to_owned(),
        });
    }
    check_file(text).map_err(|problem| {
        let (line, column) = place(text, problem.span.start);
        RuleFileError::Invalid {
            path: path.to_owned(),
            line,
            column,
            message: problem.message,
            help: problem.help,
        }
    })
}

/// The JSON schema of rule files.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(File)
}

/// Something wrong in the text.
struct Problem {
    span: Range<usize>,
    message: String,
    help: String,
}

impl Problem {
    fn new(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            help: help.into(),
        }
    }
}

fn check_file(text: &str) -> Result<RuleFile, Problem> {
    let file: File = toml::from_str(text).map_err(|error| {
        let message = error.message().trim().replace('\n', ", ");
        let help =
            "docs/faults.md shows every word of a rule, and JSON schema rule-file.json has them";
        Problem::new(error.span().unwrap_or(0..0), message, help)
    })?;
    if let Some(rule) = file.rule.get(MAX_RULES) {
        let message = format!("{} rules are more than {MAX_RULES}", file.rule.len());
        return Err(Problem::new(rule.span(), message, "leave rules out"));
    }
    if let Some(call) = file.call.get(MAX_CALLS) {
        let message = format!("{} calls are more than {MAX_CALLS}", file.call.len());
        return Err(Problem::new(call.span(), message, "leave calls out"));
    }
    check_names(&file)?;
    check_states(&file.rule)?;
    let rules: Result<Vec<_>, _> = file.rule.into_iter().map(check_rule).collect();
    let calls: Result<Vec<_>, _> = file.call.into_iter().map(check_call).collect();
    Ok(RuleFile {
        plan: FaultPlan {
            seed: file.seed.map_or(0, |seed| seed.0),
            state_scope: file.state_scope,
            rules: rules?,
        },
        calls: calls?,
    })
}

fn check_call(form: Spanned<CallForm>) -> Result<CallRule, Problem> {
    let form = form.into_inner();
    if !is_routine(form.routine.get_ref()) {
        return Err(Problem::new(
            form.routine.span(),
            format!("{:?} is no name of a routine", form.routine.get_ref()),
            "write it as the header does, such as IoAllocateMdl",
        ));
    }
    let location = form.location.map(|location| {
        CallSite::parse(location.get_ref()).ok_or_else(|| {
            Problem::new(
                location.span(),
                format!("{:?} is no call site", location.get_ref()),
                "write the driver's file and an offset in it, such as dmarig.sys+0x1a2b",
            )
        })
    });
    Ok(CallRule {
        name: form.name.into_inner(),
        routine: form.routine.into_inner(),
        location: location.transpose()?,
        nth: positive("nth", form.nth)?.unwrap_or(1),
        is_optional: form.optional,
    })
}

fn check_names(file: &File) -> Result<(), Problem> {
    let mut names = BTreeSet::new();
    let rules = file.rule.iter().map(|rule| &rule.get_ref().name);
    for name in rules.chain(file.call.iter().map(|call| &call.get_ref().name)) {
        check_name("rule", name)?;
        if !names.insert(name.get_ref().as_str()) {
            return Err(Problem::new(
                name.span(),
                format!("two rules are called {:?}", name.get_ref()),
                "reports tell rules apart by their names: give each its own",
            ));
        }
    }
    Ok(())
}

/// A state that nothing leads to is a misspelling.
fn check_states(rules: &[Spanned<RuleForm>]) -> Result<(), Problem> {
    let reached: Vec<_> = rules
        .iter()
        .filter_map(|rule| rule.get_ref().new_state.as_ref())
        .map(|state| state.get_ref().as_str())
        .chain([INITIAL_STATE])
        .collect();
    for rule in rules {
        let RuleForm {
            state, new_state, ..
        } = rule.get_ref();
        for state in [state, new_state].into_iter().flatten() {
            check_name("state", state)?;
        }
        let Some(state) = state else { continue };
        if !reached.contains(&state.get_ref().as_str()) {
            return Err(Problem::new(
                state.span(),
                format!("no rule leads to the state {:?}", state.get_ref()),
                format!(
                    "a plan begins in {INITIAL_STATE:?}, and a rule's `new-state` leads on; there are {}",
                    reached.join(", ")
                ),
            ));
        }
    }
    Ok(())
}

fn check_name(what: &str, name: &Spanned<String>) -> Result<(), Problem> {
    let text = name.get_ref();
    let is_printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !text.is_empty() && text.len() <= MAX_NAME_BYTES && is_printable {
        return Ok(());
    }
    Err(Problem::new(
        name.span(),
        format!("{text:?} is no name of a {what}"),
        format!("a name has 1 to {MAX_NAME_BYTES} printable ASCII characters"),
    ))
}

fn check_rule(form: Spanned<RuleForm>) -> Result<Rule, Problem> {
    let form = form.into_inner();
    let event = form.event;
    form.effect
        .get_ref()
        .check(event)
        .map_err(|(message, help)| Problem::new(form.effect.span(), message, help))?;
    let condition = check_condition(event, form.condition)?;
    let default = Trigger::default();
    let trigger = Trigger {
        nth: positive("nth", form.nth)?.unwrap_or(default.nth),
        interval: positive("interval", form.interval)?.unwrap_or(default.interval),
        times: positive("times", form.times)?,
        probability: probability(form.probability)?.unwrap_or(default.probability),
    };
    Ok(Rule {
        name: form.name.into_inner(),
        event,
        condition,
        trigger,
        state: form.state.map(Spanned::into_inner),
        new_state: form.new_state.map(Spanned::into_inner),
        is_optional: form.optional,
        effect: form.effect.into_inner(),
    })
}

fn check_condition(
    event: Point,
    condition: Option<Spanned<Condition>>,
) -> Result<Condition, Problem> {
    let Some(condition) = condition else {
        return Ok(Condition::default());
    };
    if let (Some(channel), false) = (condition.get_ref().channel, event.has_channel()) {
        return Err(Problem::new(
            condition.span(),
            format!("`{event}` belongs to no channel, so none is channel {channel}"),
            "match by `offset`, `value` or `vector`, or leave `channel` out",
        ));
    }
    if let Some(function) = condition.get_ref().function
        && function >= MAX_FUNCTIONS
    {
        return Err(Problem::new(
            condition.span(),
            format!("no device under test is number {function}"),
            format!(
                "they are 0 to {} at most, in the order of --device",
                MAX_FUNCTIONS - 1
            ),
        ));
    }
    Ok(condition.into_inner())
}

fn positive(key: &str, value: Option<Spanned<i64>>) -> Result<Option<u64>, Problem> {
    let Some(value) = value else { return Ok(None) };
    match u64::try_from(*value.get_ref()) {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(Problem::new(
            value.span(),
            format!("`{key}` is {}", value.get_ref()),
            "hits and strikes are counted from 1",
        )),
    }
}

fn probability(value: Option<Spanned<f64>>) -> Result<Option<f64>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let number = *value.get_ref();
    if number > 0.0 && number <= 1.0 {
        return Ok(Some(number));
    }
    Err(Problem::new(
        value.span(),
        format!("`probability` is {number}"),
        "it must be above 0 and at most 1",
    ))
}

/// Line and column, from 1, of a byte of the text.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests;
