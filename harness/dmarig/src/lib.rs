//! The harness: arguments in, exit code out; one run from start to verdict.
