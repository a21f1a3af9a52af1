//! The nt guest: a small NT-compatible kernel that loads Windows driver binaries.
