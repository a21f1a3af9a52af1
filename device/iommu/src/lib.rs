//! Translates (IOVA, length, access) to mapped ranges or a fault; pure, no I/O.
