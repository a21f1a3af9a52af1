//! [`GuestPhysAddr`]: an address in the guest's physical memory.

crate::address::address_newtype! {
    /// An address in the guest's physical memory, as the guest's page tables yield it.
    GuestPhysAddr
}
