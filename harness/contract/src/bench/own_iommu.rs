//! [`OwnIommu`]: the device's own remapping unit as a driver builds tables for it and programs it.
//!
//! All tables and pages lie in one common buffer. Addresses in them are logical addresses of the device:
//! what the unit has translated the platform translates once more, where remapping is on.

use dmarig_abi::Iova;
use dmarig_abi::operation::SLOT_NONE;
use iommu::vtd::register_layout::{
    CAPABILITIES, COMMAND_BUSY, CONTEXT_COMMAND, EXTENDED_CAPABILITIES, FAULT_STATUS,
    GLOBAL_COMMAND, GLOBAL_STATUS, ROOT_ADDRESS, SET_ROOT_TABLE, TRANSLATION_ENABLE, VERSION,
    VERSION_1_0,
};

use crate::bench::{Bench, Buffer, expect, transfer_status};
use crate::finding::{CaseEnd, Finding};
use crate::profile::OWN_IOMMU_PLACE;
use crate::step::{Step, Transfer, TransferMode};

/// Where the unit's registers begin in the BAR that the driver has mapped.
const WINDOW: u64 = OWN_IOMMU_PLACE.1;
/// The IOVAs that the tables map; nobody else has ever had them.
const IOVA: u64 = 0x55_0000_0000;
/// The domain of the tables.
const DOMAIN: u64 = 9;
/// Where the tables lie in the buffer: root, context, and three levels.
const ROOT: u64 = 0;
const CONTEXT: u64 = 0x1000;
const TOP: u64 = 0x2000;
const MIDDLE: u64 = 0x3000;
const LEAVES: u64 = 0x4000;
/// Pages that the tables lead to.
const PAGES: u64 = 0x8000;
const BUFFER_BYTES: u64 = 0x1_0000;
const PAGE: u64 = 0x1000;
/// IOTLB: granularities.
const GLOBAL: u64 = 1 << 60;
const BY_DOMAIN: u64 = 2 << 60;
const BY_PAGES: u64 = 3 << 60;
/// CCMD: all context entries.
const CONTEXTS: u64 = 1 << 61;
/// Uppermost word of a fault recording register: writing it frees the register.
const FAULT_VALID: u64 = 1 << 31;
/// CAP.NFR has 8 bits.
const FAULT_REGISTERS_MAX: usize = 256;
/// How often the busy bit of an order is looked at.
const LOOKS: usize = 100;

/// A leaf of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Number of the page in the buffer that it leads to.
    pub(crate) page: u64,
    /// Bits beside the address.
    pub(crate) bits: u64,
}

impl Entry {
    /// May be read and written.
    pub(crate) const fn to(page: u64) -> Self {
        Self { page, bits: 3 }
    }
}

/// What an invalidation names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Invalidate {
    /// Everything.
    Global,
    /// The domain of the tables.
    Domain,
    /// Another domain.
    OtherDomain,
    /// One page.
    Page(u64),
}

/// The unit and its tables; on from the begin of [`Bench::with_own_iommu`] to its end.
pub(crate) struct OwnIommu {
    buffer: Buffer,
    /// Offsets of the invalidation and the fault recording registers, as the capabilities tell.
    invalidation: u64,
    faults: u64,
}

/// What a fault recording register holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnFault {
    low: u64,
    high: u64,
}

impl Bench<'_> {
    /// Builds tables with these leaves from the first IOVA on, turns the unit on, and does something; turns
    /// it off again whatever comes of that.
    pub(crate) fn with_own_iommu(
        &mut self,
        leaves: &[Entry],
        body: impl FnOnce(&mut Self, &OwnIommu) -> Result<(), CaseEnd>,
    ) -> Result<(), CaseEnd> {
        let unit = OwnIommu::build(self, leaves)?;
        let ended = unit.turn_on(self).and_then(|()| body(self, &unit));
        let off = [
            unit.write_32(GLOBAL_COMMAND, 0),
            Step::write_register_64(0, WINDOW + unit.invalidation + 8, COMMAND_BUSY | GLOBAL),
            Step::read_register_64(0, WINDOW + unit.invalidation + 8),
        ];
        let is_off = self.require_all("turning the remapping unit off", &off);
        ended.and(is_off)
    }
}

impl OwnIommu {
    fn build(bench: &mut Bench<'_>, leaves: &[Entry]) -> Result<Self, CaseEnd> {
        let version = register_32(bench, VERSION)?;
        expect(
            "version of the device's own remapping unit",
            VERSION_1_0,
            version,
        )?;
        let offset = |capability: u64, at: u32| (capability >> at & 0x3ff) * 16;
        let invalidation = offset(register_64(bench, EXTENDED_CAPABILITIES)?, 8);
        let faults = offset(register_64(bench, CAPABILITIES)?, 24);
        let adapter = bench.adapter(64)?;
        let buffer = bench.allocate_ok(adapter, BUFFER_BYTES, None, None)?;
        let unit = Self {
            buffer,
            invalidation,
            faults,
        };
        unit.free_faults(bench)?;
        // What the device accesses is judged by the address that it puts on the bus.
        bench.declare(&unit.seen(), true, true)?;
        bench.declare(&unit.buffer, true, true)?;
        let zeros = vec![0; 0x1000];
        for page in 0..BUFFER_BYTES / PAGE {
            bench.require(
                "clearing a page",
                Step::cpu_write(unit.buffer.slot, page * PAGE, &zeros),
            )?;
        }
        let index = |level: u32| (IOVA >> (12 + 9 * level) & 511) * 8;
        let present = 1;
        let read_write = 3;
        for (at, to, bits) in [
            (ROOT, CONTEXT, present),
            (CONTEXT, TOP, present),
            (TOP + index(2), MIDDLE, read_write),
            (MIDDLE + index(1), LEAVES, read_write),
        ] {
            unit.write_word(bench, at, unit.buffer.at(to).raw() | bits)?;
        }
        // Three levels.
        unit.write_word(bench, CONTEXT + 8, DOMAIN << 8 | 1)?;
        for (number, leaf) in (0..).zip(leaves) {
            unit.set_leaf(bench, number, *leaf)?;
        }
        Ok(unit)
    }

    fn turn_on(&self, bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
        let root = self.buffer.at(ROOT).raw();
        let steps = [
            Step::write_register_64(0, WINDOW + ROOT_ADDRESS, root),
            self.write_32(GLOBAL_COMMAND, SET_ROOT_TABLE.into()),
            Step::write_register_64(0, WINDOW + CONTEXT_COMMAND, COMMAND_BUSY | CONTEXTS),
            Step::read_register_64(0, WINDOW + CONTEXT_COMMAND),
        ];
        bench.require_all("setting the root table", &steps)?;
        self.invalidate(bench, Invalidate::Global)?;
        self.await_invalidation(bench)?;
        bench.require(
            "turning the remapping unit on",
            self.write_32(GLOBAL_COMMAND, TRANSLATION_ENABLE.into()),
        )?;
        let expected = SET_ROOT_TABLE | TRANSLATION_ENABLE;
        expect(
            "global status of the remapping unit",
            expected.into(),
            register_32(bench, GLOBAL_STATUS)?,
        )
    }

    /// Turns the unit off.
    pub(crate) fn turn_off(&self, bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
        let step = self.write_32(GLOBAL_COMMAND, 0);
        bench.require("turning the remapping unit off", step)?;
        let status = register_32(bench, GLOBAL_STATUS)?;
        let what = "global status of the remapping unit that is off";
        expect(what, SET_ROOT_TABLE.into(), status)
    }

    /// The mapped IOVAs, as a buffer to declare and to name in findings.
    fn seen(&self) -> Buffer {
        Buffer {
            name: format!("the IOVAs over {}", self.buffer.name),
            logical_address: Iova::new(IOVA),
            length_bytes: 512 * PAGE,
            ..self.buffer.clone()
        }
    }

    /// The address of a mapped page on the device's bus.
    pub(crate) const fn iova(page: u64) -> u64 {
        IOVA + page * PAGE
    }

    /// The platform's address of a page of the buffer.
    pub(crate) fn untranslated(&self, page: u64) -> u64 {
        self.buffer.at(PAGES + page * PAGE).raw()
    }

    /// Changes a leaf, and tells nobody.
    pub(crate) fn set_leaf(
        &self,
        bench: &mut Bench<'_>,
        number: u64,
        leaf: Entry,
    ) -> Result<(), CaseEnd> {
        let word = self.untranslated(leaf.page) | leaf.bits;
        self.write_word(bench, LEAVES + number * 8, word)
    }

    /// Changes bits 3:2 of the context entry, and tells nobody.
    pub(crate) fn set_translation_type(
        &self,
        bench: &mut Bench<'_>,
        kind: u64,
    ) -> Result<(), CaseEnd> {
        self.write_word(bench, CONTEXT, self.buffer.at(TOP).raw() | kind << 2 | 1)
    }

    fn write_word(&self, bench: &mut Bench<'_>, at: u64, word: u64) -> Result<(), CaseEnd> {
        let step = Step::cpu_write(self.buffer.slot, at, &word.to_le_bytes());
        bench
            .require("writing a table of the remapping unit", step)
            .map(drop)
    }

    fn write_32(&self, register: u64, value: u64) -> Step {
        Step::write_register(0, WINDOW + register, value)
    }

    /// Orders an invalidation of the IOTLB, and does not look whether it is done.
    pub(crate) fn invalidate(
        &self,
        bench: &mut Bench<'_>,
        what: Invalidate,
    ) -> Result<(), CaseEnd> {
        let (command, address) = match what {
            Invalidate::Global => (GLOBAL, 0),
            Invalidate::Domain => (BY_DOMAIN | DOMAIN << 32, 0),
            Invalidate::OtherDomain => (BY_DOMAIN | (DOMAIN + 1) << 32, 0),
            Invalidate::Page(page) => (BY_PAGES | DOMAIN << 32, Self::iova(page)),
        };
        let at = WINDOW + self.invalidation;
        let steps = [
            Step::write_register_64(0, at, address),
            Step::write_register_64(0, at + 8, COMMAND_BUSY | command),
        ];
        bench.require_all("ordering an invalidation", &steps)
    }

    /// Looks at the order until it is done, and then at the granularity that was invalidated.
    pub(crate) fn await_invalidation(&self, bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
        for _ in 0..LOOKS {
            let command = register_64(bench, self.invalidation + 8)?;
            if command & COMMAND_BUSY == 0 {
                let (asked, done) = (command >> 60 & 3, command >> 57 & 3);
                return expect("granularity of the invalidation", asked, done);
            }
        }
        expect(
            &format!("busy bit of an invalidation after {LOOKS} looks"),
            0,
            1,
        )
    }

    /// Forgets every context entry.
    pub(crate) fn invalidate_contexts(&self, bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
        let at = WINDOW + CONTEXT_COMMAND;
        let order = Step::write_register_64(0, at, COMMAND_BUSY | CONTEXTS);
        let look = Step::read_register_64(0, at);
        bench.require_all("invalidating the context entries", &[order, look])
    }

    /// The driver lets the device work at an address; the `DMA_STATUS_*`.
    pub(crate) fn transfer(
        &self,
        bench: &mut Bench<'_>,
        (opcode, flags): (u16, u16),
        iova: u64,
        seed: u64,
    ) -> Result<u16, CaseEnd> {
        let step = Step::device_transfer(Transfer {
            device: 0,
            channel: 0,
            opcode,
            flags,
            mode: TransferMode::RegisterPoll,
            buffer: SLOT_NONE,
            offset: iova,
            length_bytes: PAGE,
            seed,
        });
        let result = bench.require("a transfer through the remapping unit", step)?;
        Ok(transfer_status(&result))
    }

    /// The CPU finds the pattern in a page of the buffer, or does not, as it must be.
    pub(crate) fn check_page(
        &self,
        bench: &mut Bench<'_>,
        what: &str,
        page: u64,
        seed: u64,
        is_there: bool,
    ) -> Result<(), CaseEnd> {
        let at = PAGES + page * PAGE;
        let step = Step::cpu_check(self.buffer.slot, at, PAGE, seed);
        let checked = bench.require("comparing with the pattern", step)?;
        let is_equal = checked.result.value[1] == u64::MAX;
        if is_equal == is_there {
            return Ok(());
        }
        let words = |is_there| {
            if is_there {
                "the pattern"
            } else {
                "not the pattern"
            }
        };
        Err(Finding {
            view: "device",
            what: format!("page {page} behind the remapping unit, {what}"),
            buffer: Some(self.buffer.name.clone()),
            logical_address: Some(self.buffer.at(at)),
            expected: words(is_there).into(),
            seen: words(is_equal).into(),
        }
        .into())
    }

    /// Frees what an earlier case has left.
    fn free_faults(&self, bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
        for _ in 0..FAULT_REGISTERS_MAX {
            let status = register_32(bench, FAULT_STATUS)?;
            if status & 0b10 == 0 {
                break;
            }
            let at = self.faults + (status >> 8 & 0xff) * 16 + 12;
            bench.require("freeing a fault register", self.write_32(at, FAULT_VALID))?;
        }
        let clear = self.write_32(FAULT_STATUS, 1);
        bench
            .require("clearing the overflow bit of the fault status", clear)
            .map(drop)
    }

    /// Takes the one fault that is pending, and frees its register.
    pub(crate) fn take_fault(&self, bench: &mut Bench<'_>) -> Result<OwnFault, CaseEnd> {
        let status = register_32(bench, FAULT_STATUS)?;
        expect(
            "pending and overflow bit of the fault status",
            0b10,
            status & 0b11,
        )?;
        let at = self.faults + (status >> 8 & 0xff) * 16;
        let fault = OwnFault {
            low: register_64(bench, at)?,
            high: register_64(bench, at + 8)?,
        };
        bench.require(
            "freeing a fault register",
            self.write_32(at + 12, FAULT_VALID),
        )?;
        expect(
            "fault status after its register was freed",
            0,
            register_32(bench, FAULT_STATUS)?,
        )?;
        Ok(fault)
    }
}

impl OwnFault {
    /// The fault is that of the device's function, at this page, for this reason.
    pub(crate) fn check(self, page: u64, is_write: bool, reason: u64) -> Result<(), CaseEnd> {
        expect(
            "reason in the fault register",
            reason,
            self.high >> 32 & 0xff,
        )?;
        expect("page in the fault register", page, self.low)?;
        expect(
            "type in the fault register",
            u64::from(!is_write),
            self.high >> 62 & 1,
        )?;
        expect("function in the fault register", 0, self.high & 0xffff)
    }
}

fn register_32(bench: &mut Bench<'_>, register: u64) -> Result<u64, CaseEnd> {
    let step = Step::read_register(0, WINDOW + register);
    let read = bench.require("reading a register of the remapping unit", step)?;
    Ok(read.result.value[0])
}

fn register_64(bench: &mut Bench<'_>, register: u64) -> Result<u64, CaseEnd> {
    let step = Step::read_register_64(0, WINDOW + register);
    let read = bench.require("reading a register of the remapping unit", step)?;
    Ok(read.result.value[0])
}
