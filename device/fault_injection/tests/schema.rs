//! The committed schema is that of the code.

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rule-file.schema.json");

#[test]
fn committed_schema_is_that_of_the_code() {
    let mut schema = serde_json::to_string_pretty(&fault_injection::rule_file::schema())
        .expect("a schema is JSON");
    schema.push('\n');
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(PATH, &schema).expect("the schema can be written");
    }
    let committed = std::fs::read_to_string(PATH).unwrap_or_default();
    // As values: the order of keys hangs on the features that other crates ask of serde_json.
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    assert!(
        value(&committed) == value(&schema),
        "{PATH} is not the schema of the rule file: run this test with UPDATE_SCHEMA=1"
    );
}
