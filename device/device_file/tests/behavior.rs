//! Registers, actions and rings of a device file: what is refused, and where it is said to be.

use std::path::Path;

use device_file::parse;

fn refused(text: &str) -> String {
    parse(Path::new("x.toml"), text)
        .expect_err("bad file")
        .to_string()
}

#[test]
fn committed_example_is_valid() {
    let text = include_str!("../devices/nic-like.toml");
    let device = parse(Path::new("nic-like.toml"), text).expect("valid");
    let counts = (
        device.registers.len(),
        device.actions.len(),
        device.rings.len(),
    );
    assert_eq!(counts, (26, 3, 2));
}

#[test]
fn registers_that_overlap_are_refused_with_their_place() {
    let text = "[[register]]\nname = \"A\"\noffset = 0x10\nwidth = 64\n\n\
                [[register]]\nname = \"B\"\noffset = 0x14\n";
    assert_eq!(
        refused(text),
        "device file x.toml, line 8, column 10: register[1].offset is 0x14, which overlaps A\n\
         help: registers may touch, not overlap"
    );
}

#[test]
fn what_cannot_be_is_refused_with_place_and_reason() {
    let register = "[[register]]\nname = \"A\"\noffset = 0\n";
    let check = |text: &str, part: &str| {
        let error = refused(text);
        assert!(error.contains(part), "{error}\nlacks {part}");
    };
    check(
        &format!("{register}\n{register}"),
        "line 6, column 8: register[1].name is \"A\", as another register's is",
    );
    check(
        "[[register]]\nname = \"A\"\noffset = 2\n",
        "line 3, column 10: register[0].offset is 0x2, no multiple of the width",
    );
    check(
        "[[register]]\nname = \"A\"\noffset = 0\nwidth = 24\n",
        "line 4, column 9: register[0].width is 24",
    );
    check(
        "[[register]]\nname = \"A\"\noffset = 0x10000\n",
        "line 3, column 10: register[0].offset is 0x10000, outside of BAR 0",
    );
    check(
        "[[register]]\nname = \"A\"\nbar = 5\noffset = 0\n",
        "line 3, column 7: register[0].bar is 5, and there is no such BAR",
    );
    check(
        "[[register]]\nname = \"A\"\noffset = 0\nwidth = 8\nreset = 0x100\n",
        "line 5, column 9: register[0].reset is 0x100",
    );
    check(
        "[[register]]\nname = \"A B\"\noffset = 0\n",
        "line 2, column 8: register[0].name is \"A B\"",
    );
    check(
        &format!("{register}access = \"ro\"\nwrite_mask = 1\n"),
        "line 5, column 14: register[0].write_mask means nothing here\nhelp: it belongs to",
    );
    check(
        &format!("{register}access = \"counter\"\n"),
        "register[0].counts is missing",
    );
    check(
        &format!(
            "{register}fields = [{{ name = \"X\", mask = 3 }}, {{ name = \"Y\", mask = 2 }}]\n"
        ),
        "line 4, column 58: register[0].fields[1].mask is 0x2, which overlaps a field in front",
    );
    check(
        &format!("{register}[[action]]\non_write = \"B\"\n"),
        "line 5, column 12: action[0].on_write is \"B\", and there is no such register",
    );
    check(
        &format!("{register}access = \"ro\"\n[[action]]\non_write = \"A\"\n"),
        "line 6, column 12: action[0].on_write is \"A\", which no driver can write",
    );
    check(
        &format!(
            "{register}[[action]]\non_write = \"A\"\ndone = {{ interrupt = {{ vector = 9, cause = \"A\", bits = 1 }} }}\n"
        ),
        "action[0].done.interrupt.vector is 9",
    );
    check(
        &format!("{register}[[action]]\non_write = \"A\"\nwhen = {{ mask = 1, value = 2 }}\n"),
        "action[0].when.value is 0x2, and mask is 0x1",
    );
    check(
        &format!(
            "{register}[[ring]]\nname = \"r\"\ndirection = \"to-device\"\nbase = \"A\"\nsize = \"A\"\n\
             descriptor = {{ size = 16, address = {{ offset = 12, width = 64 }}, length = {{ offset = 0, width = 16 }} }}\n"
        ),
        "ring[0].descriptor.address.offset is 0xc, outside of the descriptor",
    );
    check(
        &format!("{register}behaviour = \"rw\"\n"),
        "line 4, column 1: unknown field `behaviour`",
    );
}
