//! [`Rule`]: one numbered statement of the documents, in our words.

/// How well a rule is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// Stated by the named page.
    Documented,
    /// Follows from documented layouts or from published source.
    Derived,
    /// Not documented: observed and reported, never asserted.
    Unknown,
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Number, such as `CM-9`.
    pub id: &'static str,
    /// The statement.
    pub sentence: &'static str,
    /// The documentation page's file name.
    pub source: &'static str,
    /// How well it is founded.
    pub certainty: Certainty,
}

const FROM_MDL: &str = "nc-wdm-pcreate-common-buffer-from-mdl";
const WITH_BOUNDS: &str = "nc-wdm-pallocate_common_buffer_with_bounds";

const fn documented(id: &'static str, source: &'static str, sentence: &'static str) -> Rule {
    Rule {
        id,
        sentence,
        source,
        certainty: Certainty::Documented,
    }
}

const fn derived(id: &'static str, source: &'static str, sentence: &'static str) -> Rule {
    Rule {
        id,
        sentence,
        source,
        certainty: Certainty::Derived,
    }
}

/// The rules that have cases today, in the order of the documents.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    documented("CM-1", FROM_MDL, "a page-aligned, whole-page MDL over nonpaged pool, built with MmBuildMdlForNonPagedPool, makes a common buffer; without remapping if it is physically contiguous"),
    documented("CM-2", FROM_MDL, "an MDL locked by MmProbeAndLockPages and mapped to system space makes a common buffer"),
    documented("CM-3", FROM_MDL, "an MDL of MmAllocatePagesForMdlEx mapped to system space makes a common buffer; with remapping even of scattered pages, as one contiguous logical range"),
    documented("CM-4", FROM_MDL, "an MDL that is not mapped to system space is refused"),
    documented("CM-5", FROM_MDL, "an MDL whose pages are neither locked nor built is refused"),
    documented("CM-6", FROM_MDL, "an MDL that does not start on a page is refused"),
    documented("CM-7", FROM_MDL, "an MDL whose length is not a multiple of the page size is refused"),
    documented("CM-8", FROM_MDL, "a chained MDL is refused without a SubSection"),
    documented("CM-9", FROM_MDL, "pages that are not contiguous are refused without remapping, and made contiguous for the device with it"),
    documented("CM-11", FROM_MDL, "a SubSection of whole pages inside one MDL makes a common buffer of just that part"),
    documented("CM-12", FROM_MDL, "a SubSection of a chain that lies inside one MDL of it makes a common buffer"),
    documented("CM-13", FROM_MDL, "a SubSection that spans two MDLs of a chain is refused"),
    documented("CM-14", FROM_MDL, "a SubSection that is not page aligned, is empty, or passes the end of the MDL is refused"),
    documented("CM-15", FROM_MDL, "LogicalAddressLimits that can be met are met, both ends inclusive"),
    documented("CM-17", FROM_MDL, "hardware access ReadWrite is always possible"),
    documented("CM-18", FROM_MDL, "hardware access ReadOnly or WriteOnly needs remapping, and is then enforced by the IOMMU"),
    documented("CM-19", FROM_MDL, "two configurations of the same type are refused"),
    documented("CM-21", FROM_MDL, "no configuration means the whole MDL anywhere within the adapter's reach"),
    documented("CM-25", FROM_MDL, "FreeCommonBuffer with the MDL's system address removes the common buffer"),
    documented("CM-26", FROM_MDL, "after FreeCommonBuffer the MDL and its pages are untouched, and the logical range no longer translates"),
    documented("AB-1", WITH_BOUNDS, "AllocateCommonBufferWithBounds returns memory that CPU and device both reach, with its logical address"),
    documented("AB-2", WITH_BOUNDS, "the buffer's logical address is not below the minimum"),
    documented("AB-3", WITH_BOUNDS, "the buffer lies below the maximum"),
    derived("AB-9", WITH_BOUNDS, "bounds that cannot be met give NULL"),
    documented("AB-10", WITH_BOUNDS, "FreeCommonBuffer frees the buffer and ends its translation"),
];

/// Finds a rule by its number.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}
