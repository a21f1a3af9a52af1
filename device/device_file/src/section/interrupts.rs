//! `[interrupts]`: how the device interrupts.

use dmarig_abi::registers::{DUT_MSIX_BAR, DUT_MSIX_VECTORS, MSIX_TABLE_OFFSET};
use pci_function::{BarDefinition, InterruptPin, MsiConfig, MsixConfig, MsixError, MsixTarget};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key_path::KeyPath;
use crate::problem::Problems;

/// Bytes of an MSI-X table entry.
const MSIX_ENTRY_BYTES: u32 = 16;
/// Where pending bits go that nobody has placed: to the next page behind the table.
const PAGE_BYTES: u32 = 0x1000;
/// Most MSI-X vectors.
const MAX_MSIX_VECTORS: u16 = 2048;

/// How the device interrupts: by what the guest has enabled of the following.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Interrupts {
    /// Interrupt pin.
    pub pin: Pin,
    /// MSI vectors: 0 for no MSI capability, 1, 2, 4, 8, 16 or 32.
    #[schemars(range(max = 32))]
    pub msi_vectors: u16,
    /// The address of MSI has 64 bits.
    pub msi_64_bit: bool,
    /// MSI vectors can be masked one by one.
    pub msi_maskable: bool,
    /// MSI-X vectors, 0 for no MSI-X capability.
    #[schemars(range(max = 2048))]
    pub msix_vectors: u16,
    /// BAR with the vector table; must be given where there is a `[[bar]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 5))]
    pub msix_table_bar: Option<u8>,
    /// Offset of the table in its BAR, a multiple of 8.
    pub msix_table_offset: u32,
    /// BAR with the pending bits; that of the table if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 5))]
    pub msix_pba_bar: Option<u8>,
    /// Offset of the pending bits in their BAR, a multiple of 8; the next page behind the table if left
    /// out, or 0 in a BAR of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msix_pba_offset: Option<u32>,
}

/// Interrupt pin of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Pin {
    /// No pin: MSI, MSI-X, or none at all.
    #[serde(rename = "none")]
    None,
    /// INTA.
    #[default]
    A,
    /// INTB.
    B,
    /// INTC.
    C,
    /// INTD.
    D,
}

impl Default for Interrupts {
    fn default() -> Self {
        Self {
            pin: Pin::A,
            msi_vectors: 0,
            msi_64_bit: true,
            msi_maskable: false,
            msix_vectors: DUT_MSIX_VECTORS,
            msix_table_bar: None,
            msix_table_offset: MSIX_TABLE_OFFSET,
            msix_pba_bar: None,
            msix_pba_offset: None,
        }
    }
}

impl Interrupts {
    /// The pin as configuration space wants it.
    #[must_use]
    pub const fn interrupt_pin(&self) -> InterruptPin {
        match self.pin {
            Pin::None => InterruptPin::None,
            Pin::A => InterruptPin::A,
            Pin::B => InterruptPin::B,
            Pin::C => InterruptPin::C,
            Pin::D => InterruptPin::D,
        }
    }

    /// MSI as configuration space wants it; `None` without vectors.
    #[must_use]
    pub fn msi(&self) -> Option<MsiConfig> {
        (self.msi_vectors > 0).then_some(MsiConfig {
            n_vectors: self.msi_vectors,
            address_64: self.msi_64_bit,
            per_vector_masking: self.msi_maskable,
        })
    }

    /// MSI-X as configuration space wants it; `None` without vectors. Where no BAR is named it lies in
    /// that of the built-in device.
    #[must_use]
    pub fn msix(&self) -> Option<MsixConfig> {
        let built_in = u8::try_from(DUT_MSIX_BAR).expect("the ABI's BAR numbers are below 6");
        let table_bar = self.msix_table_bar.unwrap_or(built_in);
        let pba_bar = self.msix_pba_bar.unwrap_or(table_bar);
        (self.msix_vectors > 0).then_some(MsixConfig {
            n_vectors: self.msix_vectors,
            table_bar,
            table_offset: self.msix_table_offset,
            pba_bar,
            pba_offset: self.pba_offset(table_bar == pba_bar),
        })
    }

    fn pba_offset(&self, is_behind_table: bool) -> u32 {
        self.msix_pba_offset.unwrap_or_else(|| {
            if !is_behind_table {
                return 0;
            }
            let table_bytes = u32::from(self.msix_vectors) * MSIX_ENTRY_BYTES;
            let end = self.msix_table_offset.saturating_add(table_bytes);
            end.checked_next_multiple_of(PAGE_BYTES).unwrap_or(u32::MAX)
        })
    }

    /// Notes what cannot be with these BARs; `has_own_bars` if they are the file's.
    pub(crate) fn check(
        &self,
        at: &KeyPath,
        bars: &[BarDefinition],
        has_own_bars: bool,
        problems: &mut Problems,
    ) {
        if let Some(Err(error)) = self.msi().map(|msi| msi.check()) {
            problems.error(&at.key("msi_vectors"), &error);
        }
        let vectors = at.key("msix_vectors");
        if self.msix_vectors > MAX_MSIX_VECTORS {
            problems.range(&vectors, self.msix_vectors, 0..=MAX_MSIX_VECTORS);
            return;
        }
        let Some(msix) = self.msix() else {
            return;
        };
        if has_own_bars && self.msix_table_bar.is_none() {
            problems.note(
                &vectors,
                format!("is {}, but no BAR is named for their table", msix.n_vectors),
                "give msix_table_bar, or msix_vectors = 0 for a device without MSI-X",
            );
            return;
        }
        let bar_of = |index| bars.iter().find(|bar| bar.index == index).copied();
        if let Err(error) = msix.check(bar_of) {
            let key = match error {
                MsixError::Count { .. } => "msix_vectors",
                MsixError::Place {
                    target: MsixTarget::Table,
                    ..
                } => "msix_table_bar",
                MsixError::Place { .. } | MsixError::Overlap => "msix_pba_offset",
            };
            problems.error(&at.key(key), &error);
        }
    }
}
