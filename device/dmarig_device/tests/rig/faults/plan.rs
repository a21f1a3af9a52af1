//! Loading, status, counting of points; and that rules which never strike change nothing.

use control_api::FunctionName;
use control_api::request::{FaultsLoad, FaultsPoints, FaultsRecord};
use dmarig_abi::descriptor::{DMA_OP_COPY, DMA_OP_FILL};

use super::driver::{Driver, folder, rule_text};

const DUT0: FunctionName = FunctionName::DUT0;

#[test]
fn every_committed_rule_file_is_valid_and_explains_itself() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder()).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = rule_text(&name);
        assert!(
            text.starts_with("# "),
            "{name}: the first line says what it is"
        );
        fault_injection::rule_file::parse(&path, &text).unwrap_or_else(|error| panic!("{error}"));
        names.push(name);
    }
    assert!(names.len() >= 37, "{names:?}");
}

#[test]
fn rules_that_are_wrong_are_refused_and_the_old_ones_stay() {
    let mut driver = Driver::new(Some("interrupt-lost"));
    let load = FaultsLoad {
        function: DUT0,
        rules: "[[rule]]\nname = \"a\"\nevent = \"msix\"\neffect = \"poison\"\n".into(),
    };
    let (code, text) = driver.harness.refused(&mut driver.bench, &load);
    assert_eq!(code, control_api::rpc::CODE_BAD_PARAMS);
    for wanted in [
        "line 4, column 10",
        "`poison` cannot happen at `msix`",
        "help:",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in {text}");
    }
    assert_eq!(driver.rules()[0].name, "interrupt-lost");
}

#[test]
fn status_tells_where_a_rule_struck() {
    let mut driver = Driver::with_rules(Some(
        "[[rule]]\nname = \"second read\"\nevent = \"dma-read\"\nnth = 2\ntimes = 1\n\
         optional = true\neffect = \"drop\"\n"
            .replace("dma-read", "dma-write")
            .as_str(),
    ));
    driver.command(DMA_OP_FILL, 0, 0x2000, 0x200);
    let rules = driver.rules();
    let [rule] = rules.as_slice() else {
        panic!("{rules:?}");
    };
    assert_eq!(
        (rule.event.as_str(), rule.effect.as_str()),
        ("dma-write", "drop")
    );
    assert_eq!((rule.hits, rule.fired, rule.optional), (4, 1, true));
    let channel = rule.channels[0];
    assert_eq!((channel.channel, channel.last_fired_hit), (Some(0), 2));
}

#[test]
fn points_of_a_golden_run_are_counted() {
    let mut driver = Driver::new(None);
    let record = |on| FaultsRecord { function: DUT0, on };
    driver.harness.call(&mut driver.bench, &record(true));
    driver.ring(2);
    let ask = FaultsPoints { function: DUT0 };
    let points = driver.harness.call(&mut driver.bench, &ask).points;
    let points = points.expect("counting is on");
    let hits = |name: &str| {
        let point = points.iter().find(|point| point.point == name);
        point.map(|point| (point.channel, point.hits))
    };
    assert_eq!(hits("descriptor-fetch"), Some((Some(0), 2)));
    assert_eq!(hits("payload"), Some((Some(0), 2)));
    assert_eq!(hits("completion-entry"), Some((Some(0), 2)));
    assert_eq!(hits("doorbell"), Some((Some(0), 1)));
    assert_eq!(hits("msix"), Some((None, 2)));
    assert_eq!(hits("dma-write"), Some((Some(0), 4)));
    driver.harness.call(&mut driver.bench, &record(false));
    assert_eq!(driver.harness.call(&mut driver.bench, &ask).points, None);
}

/// The canonical trace of the same work with other rules.
fn trace(rules: Option<&str>) -> String {
    let mut driver = Driver::with_rules(rules);
    driver.ring(3);
    driver.command(DMA_OP_COPY, 0x1000, 0x4000, 0x2345);
    driver.command(DMA_OP_FILL, 0, 0x2000, 0x1800);
    driver.command(DMA_OP_FILL, 0, 0x10_0000, 0x40);
    driver.qemu.reset(&mut driver.bench);
    driver.bench.rig.shut_down();
    let path = driver.bench.recording().join("dut0.trace.jsonl");
    std::fs::read_to_string(path).expect("the trace")
}

#[test]
fn plan_that_never_matches_has_the_trace_of_the_empty_plan() {
    let everywhere: String = fault_injection::Point::ALL
        .iter()
        .filter_map(|point| {
            let effect = [
                "drop",
                "all-ones",
                "iommu-fault",
                "surprise-removal",
                "poison",
            ]
            .into_iter()
            .find(|effect| {
                let text = never(point.name(), effect);
                fault_injection::rule_file::parse("x".as_ref(), &text).is_ok()
            })?;
            Some(never(point.name(), effect))
        })
        .collect();
    assert_eq!(everywhere.matches("[[rule]]").count(), 16);
    assert_eq!(trace(Some(&everywhere)), trace(Some("")));
    assert_ne!(trace(Some(&rule_text("bit-flip"))), trace(Some("")));
}

/// A rule that counts every hit at a point and never strikes.
fn never(point: &str, effect: &str) -> String {
    format!(
        "[[rule]]\nname = \"{point}\"\nevent = \"{point}\"\nnth = 1000000\neffect = \"{effect}\"\n"
    )
}
