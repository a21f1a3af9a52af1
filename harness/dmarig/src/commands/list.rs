//! `dmarig list`: cases with their rules and modes, suites, sabotages.

use std::fmt::Write;

use contract::{Case, Remapping, SUITES};
use serde_json::{Value, json};

use crate::cli::ListArgs;
use crate::entry::{complain, print_error};
use crate::exit_code::Exit;
use crate::sabotage::{Place, SABOTAGES};
use crate::selection;

/// Version of what `--json` prints.
const SCHEMA_VERSION: u32 = 1;

/// Prints the list.
pub fn run(arguments: &ListArgs) -> Exit {
    if arguments.sabotages {
        return super::print(&sabotages(arguments.json), Exit::Success);
    }
    if arguments.suites {
        return super::print(&suites(arguments.json), Exit::Success);
    }
    match selection::select(&arguments.selection) {
        Err(error) => {
            print_error(&error);
            Exit::Usage
        }
        Ok(selected) if selected.is_empty() => {
            complain("no case matches");
            Exit::NothingRan
        }
        Ok(selected) => super::print(&cases(&selected, arguments.json), Exit::Success),
    }
}

fn cases(cases: &[&Case], as_json: bool) -> String {
    if as_json {
        let list: Vec<Value> = cases.iter().map(|case| case_json(case)).collect();
        return document("cases", list);
    }
    let width = cases.iter().map(|case| case.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for case in cases {
        let modes = words(case.modes.iter().map(|mode| mode.as_str()));
        let tags = words(case.tags.iter().map(|tag| tag.as_str()));
        let marks = if tags.is_empty() {
            String::new()
        } else {
            format!(" [{tags}]")
        };
        let _ = writeln!(
            text,
            "{:width$}  {modes:<6}  {}{marks}",
            case.id, case.title
        );
    }
    text
}

fn case_json(case: &Case) -> Value {
    let rule = contract::rule(case.rule());
    json!({
        "id": case.id,
        "rule": case.rule(),
        "rule_sentence": rule.map(|rule| rule.sentence),
        "rule_source": rule.map(|rule| rule.source),
        "title": case.title,
        "remapping": case.modes.iter().map(|mode: &Remapping| mode.as_str()).collect::<Vec<_>>(),
        "profile": case.profile.name,
        "stop": case.stop.map(|stop| stop.to_string()),
        "also": case.also,
        "severity": case.severity().as_str(),
        "tags": case.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(),
    })
}

fn suites(as_json: bool) -> String {
    if as_json {
        let list = SUITES
            .iter()
            .map(|suite| json!({ "name": suite.name, "title": suite.title, "cases": suite.cases().count() }))
            .collect();
        return document("suites", list);
    }
    let mut text = String::new();
    for suite in SUITES {
        let count = suite.cases().count();
        let _ = writeln!(text, "{}  {count} cases  {}", suite.name, suite.title);
    }
    text
}

fn sabotages(as_json: bool) -> String {
    let place = |place| match place {
        Place::Device(_) => "device",
        Place::Guest => "guest",
    };
    if as_json {
        let list = SABOTAGES
            .iter()
            .map(|it| json!({ "name": it.name, "title": it.title, "place": place(it.place) }))
            .collect();
        return document("sabotages", list);
    }
    let mut text = String::new();
    for sabotage in SABOTAGES {
        let _ = writeln!(text, "{:<22}  {}", sabotage.name, sabotage.title);
    }
    text
}

fn document(name: &str, list: Vec<Value>) -> String {
    let mut document = json!({ "schema_version": SCHEMA_VERSION });
    document[name] = list.into();
    format!("{document:#}\n")
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(",")
}
