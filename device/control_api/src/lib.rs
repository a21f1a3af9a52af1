//! What the harness may say and ask over the control socket; trace and ledger records.
