//! The chores as a library, so that tests can call them; `main.rs` only parses. Each verb of
//! `cargo xtask` is a module with its arguments and a `run`.

pub mod check_redzone;
pub mod driver;
pub mod header;
pub mod nt;
pub mod paths;
pub mod portable_executable;
pub mod toolchain;
