//! The committed schema is that of the types.

use std::fs;
use std::path::Path;

use super::*;

/// Set to write the schema anew instead of comparing it.
const UPDATE_VARIABLE: &str = "DMARIG_UPDATE_SCHEMA";

#[test]
fn committed_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/events.json");
    let schema = schemars::schema_for!(Record);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    if std::env::var_os(UPDATE_VARIABLE).is_some() {
        fs::write(&path, &text).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is not that of event.rs; set {UPDATE_VARIABLE}=1 to write it anew, and raise \
         SCHEMA_VERSION if an old consumer would go wrong",
        path.display()
    );
}

#[test]
fn record_is_one_flat_object() {
    let record = Record {
        time_ms: 12,
        event: Event::CaseEnded(CaseResult {
            boot: 1,
            id: "CM-1/pool".into(),
            rule: "CM-1".into(),
            title: "a case".into(),
            remapping: Mode::On,
            verdict: Verdict::Broken {
                reason: "bug check 0xe6".into(),
            },
            duration_ms: 1.5,
            observations: Vec::new(),
            buffer_history: None,
        }),
    };
    insta::assert_json_snapshot!(record);
}
