//! `dmarig rules`: the rules with their cases, what the last run made of them, and how many are covered.

use std::fmt::Write;
use std::path::Path;

use contract::{Case, Certainty, FAMILIES, Remapping, Rule, SUITES};
use serde_json::{Value, json};

use crate::cli::RulesArgs;
use crate::entry::{complain, print_error};
use crate::exit_code::Exit;
use crate::last_results::LastResults;
use crate::report::EVENTS_FILE;
use crate::selection;

/// Version of what `--json` prints.
const SCHEMA_VERSION: u32 = 1;

/// A rule and the cases that show it.
struct Row {
    rule: &'static Rule,
    cases: Vec<&'static Case>,
}

/// Prints the rules.
pub fn run(arguments: &RulesArgs) -> Exit {
    let filters = match selection::globs(&arguments.filter) {
        Ok(filters) => filters,
        Err(error) => {
            print_error(&error);
            return Exit::Usage;
        }
    };
    let results = match LastResults::read(&arguments.results.join(EVENTS_FILE)) {
        Ok(results) => results,
        Err(error) => {
            print_error(&error);
            return Exit::EnvironmentMissing;
        }
    };
    let rows: Vec<Row> = contract::rules()
        .filter(|rule| filters.is_empty() || filters.is_match(rule.id))
        .map(|rule| Row {
            rule,
            cases: cases_of(rule, arguments.suite.as_deref()),
        })
        .collect();
    if rows.is_empty() {
        complain("no rule matches");
        return Exit::NothingRan;
    }
    let text = if arguments.json {
        document(&rows, &results)
    } else {
        human(&rows, &results, &arguments.results)
    };
    super::print(&text, Exit::Success)
}

fn cases_of(rule: &Rule, suite: Option<&str>) -> Vec<&'static Case> {
    SUITES
        .iter()
        .filter(|known| {
            suite.is_none_or(|name| name == selection::ALL_SUITES || name == known.name)
        })
        .flat_map(contract::Suite::cases)
        .filter(|case| case.rules().any(|id| id == rule.id))
        .collect()
}

fn human(rows: &[Row], results: &LastResults, folder: &Path) -> String {
    let mut text = String::new();
    for family in FAMILIES {
        let members: Vec<&Row> = rows
            .iter()
            .filter(|row| family.rules.iter().any(|rule| rule.id == row.rule.id))
            .collect();
        if members.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{} ({})", family.title, family.prefix);
        for row in members {
            write_row(&mut text, row, results);
        }
        text.push('\n');
    }
    if results.is_empty() {
        let _ = writeln!(
            text,
            "no results in {}: run the cases first",
            folder.display()
        );
    }
    for (name, certainty) in [
        ("documented", Certainty::Documented),
        ("derived", Certainty::Derived),
    ] {
        let [on, off] =
            [Remapping::On, Remapping::Off].map(|mode| coverage(rows, results, certainty, mode));
        let _ = writeln!(
            text,
            "{name} rules with a passing case: remapping on {} of {}, off {} of {}",
            on.0, on.1, off.0, off.1
        );
    }
    text
}

fn write_row(text: &mut String, row: &Row, results: &LastResults) {
    let rule = row.rule;
    let _ = writeln!(
        text,
        "  {:<9} {:<10} {}",
        rule.id,
        rule.certainty.as_str(),
        rule.sentence
    );
    let _ = writeln!(
        text,
        "            {} (breaking it: {})",
        rule.source,
        rule.breach.as_str()
    );
    for case in &row.cases {
        for mode in case.modes {
            let result = results.of(case.id, *mode);
            let kind = result.map_or("not run", |result| result.kind.as_str());
            let _ = writeln!(
                text,
                "            {kind:>7} {:>3}  {}",
                mode.as_str(),
                case.id
            );
            if rule.certainty == Certainty::Unknown {
                for seen in result.into_iter().flat_map(|result| &result.observations) {
                    let _ = writeln!(text, "                         {seen}");
                }
            }
        }
    }
    if row.cases.is_empty() {
        let reason = contract::awaiting(rule.id).unwrap_or("none was written");
        let _ = writeln!(text, "            no case: {reason}");
    }
}

/// Rules of this certainty with a case that passed in this mode, and how many apply there.
fn coverage(
    rows: &[Row],
    results: &LastResults,
    certainty: Certainty,
    mode: Remapping,
) -> (usize, usize) {
    let applicable = rows
        .iter()
        .filter(|row| row.rule.certainty == certainty && row.rule.modes.contains(&mode));
    let passed = |row: &&Row| {
        let mut cases = row.cases.iter().filter(|case| case.modes.contains(&mode));
        cases.any(|case| results.has_passed(case.id, mode))
    };
    (
        applicable.clone().filter(passed).count(),
        applicable.count(),
    )
}

fn document(rows: &[Row], results: &LastResults) -> String {
    let list: Vec<Value> = rows.iter().map(|row| row_json(row, results)).collect();
    let counts = |certainty| {
        let of = |mode| {
            let (passed, applicable) = coverage(rows, results, certainty, mode);
            json!({ "passed": passed, "rules": applicable })
        };
        json!({ "on": of(Remapping::On), "off": of(Remapping::Off) })
    };
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "rules": list,
        "coverage": {
            "documented": counts(Certainty::Documented),
            "derived": counts(Certainty::Derived),
        },
    });
    format!("{document:#}\n")
}

fn row_json(row: &Row, results: &LastResults) -> Value {
    let rule = row.rule;
    let modes = |modes: &[Remapping]| modes.iter().map(|mode| mode.as_str()).collect::<Vec<_>>();
    let cases: Vec<Value> = row
        .cases
        .iter()
        .map(|case| {
            let last: serde_json::Map<String, Value> = case
                .modes
                .iter()
                .map(|mode| {
                    let result = results.of(case.id, *mode);
                    let value = json!({
                        "result": result.map_or("not-run", |result| result.kind.as_str()),
                        "observations": result.map_or(&[][..], |result| &result.observations),
                    });
                    (mode.as_str().to_owned(), value)
                })
                .collect();
            json!({ "id": case.id, "severity": case.severity().as_str(), "last": last })
        })
        .collect();
    json!({
        "id": rule.id,
        "sentence": rule.sentence,
        "source": rule.source,
        "certainty": rule.certainty.as_str(),
        "remapping": modes(rule.modes),
        "breach": rule.breach.as_str(),
        "waits_for": contract::awaiting(rule.id),
        "cases": cases,
    })
}
