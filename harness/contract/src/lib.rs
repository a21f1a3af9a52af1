//! Rules, cases, expectations and the verdict with its evidence; no I/O.
