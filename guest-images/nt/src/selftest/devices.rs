//! PCI and VT-d, with QEMU's `edu` (a device that does DMA) on bus 0 and an NVMe controller behind a root
//! port.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use super::Test;
use crate::arch::mmio::Registers;
use crate::ke::interrupt::{self, Connection, Service};
use crate::ke::wait;
use crate::memory::{
    self, Cache, GuestPhysAddr, PAGE_SIZE, PageLayout, PageRequest, Pfn, Protection, VirtAddr,
};
use crate::pci::{self, Function, command};
use crate::vtd::{self, Domain, DomainError, Iova, Permissions};

pub(super) const TESTS: &[Test] = &[
    ("dma_goes_where_it_is_mapped", dma_goes_where_it_is_mapped),
    ("unmapped_dma_is_a_fault", unmapped_dma_is_a_fault),
    (
        "write_to_a_read_only_page_is_a_fault",
        write_to_a_read_only_page_is_a_fault,
    ),
    (
        "domain_refuses_what_cannot_be",
        domain_refuses_what_cannot_be,
    ),
    ("line_interrupt_arrives", line_interrupt_arrives),
    (
        "device_behind_a_root_port_is_reached",
        device_behind_a_root_port_is_reached,
    ),
    ("device_moves_and_answers", device_moves_and_answers),
];

const EDU: (u16, u16) = (0x1234, 0x11E8);
const NVME: (u16, u16) = (0x1B36, 0x0010);
/// `edu` reaches 28 bits.
const PAGE_A: u64 = 0x0ABC_D000;
const PAGE_B: u64 = 0x0ABC_E000;
/// Where its buffer lies, in its own addresses.
pub(super) const EDU_BUFFER: u64 = 0x4_0000;

// Registers of `edu` (QEMU, docs/specs/edu.rst).
const IDENTITY: u64 = 0x00;
const RAISE_INTERRUPT: u64 = 0x60;
const ACKNOWLEDGE: u64 = 0x64;
const DMA_SOURCE: u64 = 0x80;
const DMA_DESTINATION: u64 = 0x88;
const DMA_COUNT: u64 = 0x90;
const DMA_COMMAND: u64 = 0x98;
const START: u32 = 1;
pub(super) const TO_MEMORY: u32 = 2;

fn find((vendor_id, device_id): (u16, u16)) -> Function {
    let mut devices = pci::devices().into_iter();
    let found =
        devices.find(|function| function.vendor_id == vendor_id && function.device_id == device_id);
    found.expect("the machine of the test has the device")
}

fn map_bar(function: &Function) -> Registers {
    let bar = function.bars.first().expect("the device has a BAR");
    let address = bar.address.expect("there was room for it");
    Registers::map(address, bar.len_bytes).expect("room")
}

pub(super) struct Edu {
    pub(super) function: Function,
    registers: Registers,
}

impl Edu {
    pub(super) fn start() -> Self {
        let function = find(EDU);
        pci::update_command(function.id, command::MEMORY | command::BUS_MASTER, 0);
        let registers = map_bar(&function);
        assert_eq!(registers.read::<u32>(IDENTITY), 0x0100_00ED);
        Self {
            function,
            registers,
        }
    }

    /// Moves bytes; the device does so after 100 ms.
    pub(super) fn dma(&self, from: u64, to: u64, count: u64, direction: u32) {
        self.registers.write(DMA_SOURCE, from);
        self.registers.write(DMA_DESTINATION, to);
        self.registers.write(DMA_COUNT, count);
        self.registers.write(DMA_COMMAND, START | direction);
        while self.registers.read::<u32>(DMA_COMMAND) & START != 0 {
            wait::delay(-50_000);
        }
    }
}

/// Two frames that are no neighbors, and a view of them.
struct Buffer {
    frames: Vec<Pfn>,
    view: VirtAddr,
}

impl Buffer {
    fn new() -> Self {
        let frames = memory::allocate_pages(&PageRequest {
            pages: 2,
            low: GuestPhysAddr::new(0),
            high: GuestPhysAddr::new(u64::MAX),
            layout: PageLayout::Scattered,
        });
        let view = memory::map_pages(&frames, Cache::Cached, Protection::ReadWrite).expect("room");
        memory::zero_pages(&frames);
        Self { frames, view }
    }

    fn pages(&self) -> Vec<GuestPhysAddr> {
        self.frames.iter().map(|frame| frame.start()).collect()
    }

    #[expect(unsafe_code, reason = "memory that a device writes")]
    fn word(&self, offset: u64) -> u64 {
        // SAFETY: inside the view; the device writes there, so volatile.
        unsafe { (self.view + offset).as_ptr::<u64>().read_volatile() }
    }

    #[expect(unsafe_code, reason = "memory that a device reads")]
    fn set_word(&self, offset: u64, value: u64) {
        // SAFETY: inside the view; the device reads there, so volatile.
        unsafe {
            (self.view + offset)
                .as_mut_ptr::<u64>()
                .write_volatile(value)
        }
    }
}

fn dma_goes_where_it_is_mapped() {
    let edu = Edu::start();
    let buffer = Buffer::new();
    let mut domain = Domain::attach(edu.function.id).expect("free");
    domain
        .map(Iova::new(PAGE_A), &buffer.pages(), Permissions::ReadWrite)
        .expect("free");
    let (found, permissions) = domain.translate(Iova::new(PAGE_B)).expect("mapped");
    assert_eq!(
        (found, permissions),
        (buffer.pages()[1], Permissions::ReadWrite)
    );

    // Out of the end of the first page into the second, then back into the second alone.
    buffer.set_word(PAGE_SIZE - 8, 0x1122_3344_5566_7788);
    buffer.set_word(PAGE_SIZE, 0x99AA_BBCC_DDEE_FF00);
    edu.dma(PAGE_B - 8, EDU_BUFFER, 16, 0);
    edu.dma(EDU_BUFFER, PAGE_B + 0x100, 16, TO_MEMORY);

    assert_eq!(buffer.word(PAGE_SIZE + 0x100), 0x1122_3344_5566_7788);
    assert_eq!(buffer.word(PAGE_SIZE + 0x108), 0x99AA_BBCC_DDEE_FF00);
    assert_eq!(vtd::fault_count(), 0);
    domain.unmap(Iova::new(PAGE_A), 2).expect("mapped");
    assert_eq!(domain.translate(Iova::new(PAGE_A)), None);
}

fn unmapped_dma_is_a_fault() {
    let edu = Edu::start();
    let buffer = Buffer::new();
    let mut domain = Domain::attach(edu.function.id).expect("free");
    domain
        .map(Iova::new(PAGE_A), &buffer.pages(), Permissions::ReadWrite)
        .expect("free");
    edu.dma(EDU_BUFFER, PAGE_A, 8, TO_MEMORY);
    assert_eq!(vtd::fault_count(), 0);
    domain.unmap(Iova::new(PAGE_A), 1).expect("mapped");

    buffer.set_word(0, 0x5555);
    edu.dma(EDU_BUFFER, PAGE_A + 8, 8, TO_MEMORY);

    let faults = vtd::faults();
    let [fault] = faults[..] else {
        panic!("{faults:?}");
    };
    assert_eq!(fault.requester, edu.function.id);
    assert_eq!((fault.iova, fault.is_write), (Iova::new(PAGE_A), true));
    assert_eq!(buffer.word(0), 0x5555, "nothing was written");

    // The unit goes on reporting: the neighbor is still mapped, another page never was.
    edu.dma(EDU_BUFFER, PAGE_B, 8, TO_MEMORY);
    assert_eq!(vtd::fault_count(), 1);
    edu.dma(0x0123_4000, EDU_BUFFER, 8, 0);
    assert_eq!(vtd::fault_count(), 2);
    let last = vtd::faults().pop().expect("just counted");
    assert_eq!((last.iova, last.is_write), (Iova::new(0x0123_4000), false));
    edu.dma(0x0123_4000, EDU_BUFFER, 8, 0);
    assert_eq!(vtd::fault_count(), 3, "the same page again");
}

/// The write comes before any read: QEMU refuses a write to a page whose translation it has cached for a read,
/// but records no fault.
fn write_to_a_read_only_page_is_a_fault() {
    let edu = Edu::start();
    let buffer = Buffer::new();
    let mut domain = Domain::attach(edu.function.id).expect("free");
    let pages = &buffer.pages()[..1];
    domain
        .map(Iova::new(PAGE_A), pages, Permissions::Read)
        .expect("free");
    buffer.set_word(0, 0x5555);
    edu.dma(EDU_BUFFER, PAGE_A, 8, TO_MEMORY);
    assert_eq!(vtd::fault_count(), 1);
    assert!(vtd::faults()[0].is_write);
    assert_eq!(buffer.word(0), 0x5555, "nothing was written");
    edu.dma(PAGE_A, EDU_BUFFER, 8, 0);
    assert_eq!(vtd::fault_count(), 1, "it may be read");
}

fn domain_refuses_what_cannot_be() {
    let requester = find(EDU).id;
    let buffer = Buffer::new();
    let pages = buffer.pages();
    let mut domain = Domain::attach(requester).expect("free");
    let other = Domain::attach(requester).map(|_| ());
    assert_eq!(other, Err(DomainError::AlreadyMapped));
    let mut map = |iova| domain.map(Iova::new(iova), &pages, Permissions::ReadWrite);
    assert_eq!(map(PAGE_A + 1), Err(DomainError::BadAddress));
    assert_eq!(map(!0xFFF), Err(DomainError::BadAddress));
    assert_eq!(map(PAGE_A), Ok(()));
    assert_eq!(map(PAGE_B), Err(DomainError::AlreadyMapped));
    assert_eq!(
        domain.unmap(Iova::new(PAGE_A), 3),
        Err(DomainError::NotMapped)
    );
    assert!(
        domain.translate(Iova::new(PAGE_A)).is_some(),
        "nothing changed"
    );
    drop(domain);
    drop(Domain::attach(requester).expect("free again"));
}

static LINE_COUNT: AtomicU64 = AtomicU64::new(0);

fn line_interrupt_arrives() {
    LINE_COUNT.store(0, Ordering::Relaxed);
    let edu = Edu::start();
    let vector = pci::enable_line(edu.function.id, 7).expect("it has a pin");
    // Takes the line back inside the service routine, or it would come for ever.
    let serve = |registers: u64| {
        LINE_COUNT.fetch_add(1, Ordering::Relaxed);
        acknowledge(registers);
    };
    let interrupt = interrupt::connect(&Connection {
        vector,
        synchronize_irql: 7,
        service: Service::Kernel(serve),
        context: (&raw const edu.registers).expose_provenance() as u64,
        lock: None,
    })
    .expect("sane");
    pci::update_command(edu.function.id, 0, command::INTX_DISABLE);
    for count in 1..=3 {
        edu.registers.write(RAISE_INTERRUPT, 1u32);
        wait::delay(-20_000);
        assert_eq!(LINE_COUNT.load(Ordering::Relaxed), count);
    }
    assert!(interrupt::disconnect(interrupt));
    pci::disable_line(edu.function.id);
}

#[expect(unsafe_code, reason = "the context of a service routine is an address")]
fn acknowledge(registers: u64) {
    // SAFETY: the address of the registers in `line_interrupt_arrives`, which outlive the connection.
    let registers = unsafe { &*VirtAddr::new(registers).as_ptr::<Registers>() };
    registers.write(ACKNOWLEDGE, 1u32);
}

fn device_behind_a_root_port_is_reached() {
    let nvme = find(NVME);
    assert!(nvme.id.bus() > 0);
    let registers = map_bar(&nvme);
    // The version register of NVMe: 1.x.
    assert_eq!(registers.read::<u32>(8) >> 16, 1);
    let messages = pci::reserve_messages(nvme.id, 4, 8).expect("it has MSI-X");
    pci::program_messages(nvme.id).expect("decoding is on");
    assert_eq!(messages.vectors.len(), 4);
    assert!(messages.vectors.iter().all(|vector| vector >> 4 == 8));
    pci::disable_messages(nvme.id);
    let many = pci::reserve_messages(nvme.id, 17, 8).expect("there are more levels");
    assert!(many.vectors.iter().any(|vector| vector >> 4 == 7));
    pci::disable_messages(nvme.id);
}

fn device_moves_and_answers() {
    let nvme = find(NVME);
    let before = nvme.bars[0].address;
    pci::update_command(nvme.id, 0, command::MEMORY);
    pci::reassign(nvme.id).expect("there is room");
    pci::update_command(nvme.id, command::MEMORY, 0);
    let moved = find(NVME);
    assert_ne!(moved.bars[0].address, before);
    assert_eq!(map_bar(&moved).read::<u32>(8) >> 16, 1);
}
