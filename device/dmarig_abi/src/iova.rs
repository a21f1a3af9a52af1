//! [`Iova`]: the address that the device puts on the bus.

crate::address::address_newtype! {
    /// An address that the device puts on the bus. Windows documents call it *logical address*, Linux
    /// `dma_addr_t`; it equals a [`GuestPhysAddr`](crate::GuestPhysAddr) only while no remapping is on.
    Iova
}
