//! `cargo xtask header`: writes the C header of the test driver from the ABI crate.
//!
//! cbindgen translates constants and structures; the sizes and offsets that Rust itself computes
//! follow as `_Static_assert`s, so that a C compiler that lays something out otherwise stops.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use dmarig_abi::{
    CompletionEntry, Descriptor, KmdfElement, KmdfLogEntry, ListElement, MailboxHeader, Operation,
    OperationResult, ProgramHeader, ResponseHeader,
};

use crate::paths;

/// Modules of the ABI crate that hold constants or structures for C.
const MODULES: [&str; 11] = [
    "registers",
    "descriptor",
    "completion",
    "mailbox",
    "operation",
    "operation_adapter",
    "operation_kmdf",
    "operation_kmdf_io",
    "operation_transfer",
    "operation_kmdf_transaction",
    "pattern",
];

/// Prefix of every name in the header.
const PREFIX: &str = "DMARIG_";

/// First lines of the header.
const BANNER: &str = "/* Generated from device/dmarig_abi by `cargo xtask header`. Do not edit. */";

/// Arguments of `cargo xtask header`: none.
#[derive(Args, Debug)]
pub struct HeaderArgs {}

/// Writes the header into the test driver's sources and prints its path.
///
/// # Errors
/// The ABI crate does not parse, or the file cannot be written.
pub fn run(_args: &HeaderArgs) -> Result<()> {
    let path = path();
    fs::write(&path, generate()?).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

/// Where the committed header lies.
#[must_use]
pub fn path() -> PathBuf {
    paths::test_driver().join("include/dmarig_abi.h")
}

/// Makes the text of the header.
///
/// # Errors
/// The ABI crate does not parse.
pub fn generate() -> Result<String> {
    let mut text = translate()?;
    text.push_str("\n/* The layout as Rust has it. */\n");
    for layout in layouts() {
        layout.write_asserts(&mut text);
    }
    Ok(text)
}

/// cbindgen's part of the header.
fn translate() -> Result<String> {
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(BANNER.to_owned()),
        pragma_once: true,
        style: cbindgen::Style::Type,
        documentation_style: cbindgen::DocumentationStyle::C99,
        usize_is_size_t: true,
        no_includes: true,
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        ..cbindgen::Config::default()
    };
    config.export.prefix = Some(PREFIX.to_owned());
    config.export.include = layouts().iter().map(|l| l.name.to_owned()).collect();
    let sources = paths::repository().join("device/dmarig_abi/src");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for module in MODULES {
        builder = builder.with_src(sources.join(module).with_extension("rs"));
    }
    let bindings = builder
        .generate()
        .context("cbindgen cannot read device/dmarig_abi")?;
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    String::from_utf8(bytes).context("cbindgen wrote no UTF-8")
}

/// Size of a structure and offsets of its fields, as Rust computes them.
struct Layout {
    name: &'static str,
    size: usize,
    fields: Vec<(&'static str, usize)>,
}

impl Layout {
    fn write_asserts(&self, text: &mut String) {
        let name = format!("{PREFIX}{}", self.name);
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "_Static_assert(sizeof({name}) == {}, \"size of {name}\");",
            self.size
        );
        for (field, offset) in &self.fields {
            let _ = writeln!(
                text,
                "_Static_assert(offsetof({name}, {field}) == {offset}, \"{name}.{field}\");"
            );
        }
    }
}

/// Builds a [`Layout`] from the type itself; naming every field, so that a new one is not forgotten.
macro_rules! layout {
    ($type:ident { $($field:ident),* $(,)? }) => {{
        // Fails to compile when a field is missing here.
        let _complete = |value: $type| { let $type { $($field: _),* } = value; };
        Layout {
            name: stringify!($type),
            size: size_of::<$type>(),
            fields: vec![$((stringify!($field), std::mem::offset_of!($type, $field))),*],
        }
    }};
}

/// Every structure that C shares with Rust.
fn layouts() -> Vec<Layout> {
    vec![
        layout!(Descriptor {
            opcode,
            flags,
            source_elements,
            destination_elements,
            tag,
            source,
            destination,
            length_bytes,
            seed,
            next,
            reserved0,
        }),
        layout!(ListElement { iova, length_bytes }),
        layout!(CompletionEntry {
            tag,
            status,
            flags,
            crc32c,
            done_bytes,
            mismatch_offset,
            expected,
            seen,
            reserved0,
            epoch,
            chained,
            reserved1,
            reserved2,
        }),
        layout!(MailboxHeader {
            magic,
            version,
            guest_state,
            reserved0,
            request_sequence,
            request_length_bytes,
            reserved1,
            response_sequence,
            response_length_bytes,
            reserved2,
        }),
        layout!(ProgramHeader {
            magic,
            version,
            context,
            n_operations,
            total_length_bytes
        }),
        layout!(ResponseHeader {
            magic,
            version,
            outcome,
            n_results,
            total_length_bytes,
            error_offset,
            irql,
        }),
        layout!(Operation {
            opcode,
            flags,
            data_length_bytes,
            dst,
            a,
            b,
            c,
            arg
        }),
        layout!(OperationResult {
            opcode,
            outcome,
            data_length_bytes,
            status,
            reserved0,
            virtual_address,
            logical_address,
            length,
            value,
            epoch,
            reserved1,
        }),
        layout!(KmdfElement {
            address,
            length_bytes
        }),
        layout!(KmdfLogEntry {
            sequence,
            event,
            device,
            slot,
            value,
        }),
    ]
}
