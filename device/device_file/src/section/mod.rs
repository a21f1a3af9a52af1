//! The sections of a device file, a module each: a plain type, its default, and `check`, which notes
//! what the type alone does not rule out.

pub(crate) mod action;
pub(crate) mod bar;
pub(crate) mod behavior;
pub(crate) mod capabilities;
pub(crate) mod dma;
pub(crate) mod identity;
pub(crate) mod interrupts;
pub(crate) mod iommu;
pub(crate) mod pcie;
pub(crate) mod power;
pub(crate) mod register;
pub(crate) mod ring;
