//! The whole device process without its thread: a mock QEMU and a mock harness drive a rig by its
//! public face, step by step, with a clock of the test's own.

mod control;
mod described_board;
mod dma;
mod engine;
mod faults;
mod front;
mod hostile_guest;
mod iommu;
mod ledger;
mod lifecycle;
mod mailbox;
mod mappings;
mod own_iommu;
mod replay;
mod sabotage;
mod several;
mod stopped_messages;
mod support;
