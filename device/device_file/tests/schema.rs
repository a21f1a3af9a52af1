//! The committed schema is that of the types.

use std::fs;
use std::path::Path;

use device_file::DeviceDescription;

/// Set to write the schema anew instead of comparing it.
const UPDATE_VARIABLE: &str = "DMARIG_UPDATE_SCHEMA";

#[test]
fn committed_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/device.json");
    let schema = schemars::schema_for!(DeviceDescription);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    if std::env::var_os(UPDATE_VARIABLE).is_some() {
        fs::write(&path, &text).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is not that of the types; set {UPDATE_VARIABLE}=1 to write it anew",
        path.display()
    );
}
