//! The program itself: its exit codes, its signals, and stock QEMU on its sockets.

mod child;
mod exits;
mod stock_qemu;
