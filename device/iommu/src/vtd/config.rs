//! [`UnitConfig`]: what a unit can do, as its capability registers would tell.

use thiserror::Error;

use super::invalidation::InvalidationMode;

/// Most entries of a cache.
const MAX_CACHE_ENTRIES: usize = 1 << 16;
/// Most fault recording registers (CAP.NFR has 8 bits).
const MAX_FAULT_RECORDS: usize = 256;

/// What a unit can do and how large its caches are. The default is what QEMU's `intel-iommu` shows with
/// `aw-bits=48`, with an IOTLB of 1024 entries and invalidation at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitConfig {
    /// HAW: bits of a guest physical address, 36 to 52. Address bits above are reserved.
    pub host_address_bits: u8,
    /// CAP.MGAW: bits of an IOVA, 30 to 48.
    pub guest_address_bits: u8,
    /// CAP.SAGAW: tables of 3 levels, for 39 bits.
    pub has_3_levels: bool,
    /// CAP.SAGAW: tables of 4 levels, for 48 bits.
    pub has_4_levels: bool,
    /// CAP.SSLPS: leaves of 2 MiB.
    pub has_2_mib_leaves: bool,
    /// CAP.SSLPS: leaves of 1 GiB.
    pub has_1_gib_leaves: bool,
    /// ECAP.PT: context entries may let requests pass untranslated.
    pub has_pass_through: bool,
    /// ECAP.DT: context entries may allow device TLBs, and leaves have the TM bit.
    pub has_device_tlb: bool,
    /// ECAP.SC: leaves have the SNP bit.
    pub has_snoop_control: bool,
    /// Entries of the context cache: 0, or a power of two.
    pub context_entries: usize,
    /// Entries of the IOTLB: 0, or a power of two.
    pub iotlb_entries: usize,
    /// When an invalidation takes effect.
    pub invalidation: InvalidationMode,
    /// CAP.NFR: fault recording registers, 1 to 256.
    pub fault_records: usize,
    /// Whether further faults of a requester are dropped while one of its records is pending.
    pub compresses_faults: bool,
}

impl Default for UnitConfig {
    fn default() -> Self {
        Self {
            host_address_bits: 48,
            guest_address_bits: 48,
            has_3_levels: true,
            has_4_levels: true,
            has_2_mib_leaves: true,
            has_1_gib_leaves: true,
            has_pass_through: true,
            has_device_tlb: false,
            has_snoop_control: false,
            context_entries: 64,
            iotlb_entries: 1024,
            invalidation: InvalidationMode::Immediate,
            fault_records: 16,
            compresses_faults: false,
        }
    }
}

/// A setting that no unit can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{setting} is {value}; it must be {permitted}")]
pub struct ConfigError {
    /// The field's name.
    pub setting: &'static str,
    /// What it was set to.
    pub value: usize,
    /// What it may be.
    pub permitted: &'static str,
}

impl UnitConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that no unit can have.
    pub fn check(&self) -> Result<(), ConfigError> {
        let entries = "0, or a power of two up to 65536";
        let is_cache = |n: usize| n == 0 || (n.is_power_of_two() && n <= MAX_CACHE_ENTRIES);
        let host = usize::from(self.host_address_bits);
        let guest = usize::from(self.guest_address_bits);
        let checks = [
            (
                "host_address_bits",
                host,
                (36..=52).contains(&host),
                "36 to 52",
            ),
            (
                "guest_address_bits",
                guest,
                (30..=48).contains(&guest),
                "30 to 48",
            ),
            (
                "context_entries",
                self.context_entries,
                is_cache(self.context_entries),
                entries,
            ),
            (
                "iotlb_entries",
                self.iotlb_entries,
                is_cache(self.iotlb_entries),
                entries,
            ),
            (
                "fault_records",
                self.fault_records,
                (1..=MAX_FAULT_RECORDS).contains(&self.fault_records),
                "1 to 256",
            ),
        ];
        let wrong = checks.into_iter().find(|(.., is_right, _)| !is_right);
        wrong.map_or(Ok(()), |(setting, value, _, permitted)| {
            Err(ConfigError {
                setting,
                value,
                permitted,
            })
        })
    }

    /// The bits that a guest physical address may have.
    pub(super) const fn address_mask(&self) -> u64 {
        (1 << self.host_address_bits) - 1
    }
}
