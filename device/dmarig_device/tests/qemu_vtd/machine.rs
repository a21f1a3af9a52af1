//! [`Machine`]: a q35 with VT-d, our device in it, and nobody at the CPU.

use std::cell::RefCell;
use std::process::Command;

use control_api::request::{DmaOp, DmaPath, DmaSubmit, MappingsList};
use control_api::response::{DmaStatus, MappingRun};
use control_api::{Client, FunctionName};
use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use iommu::vtd::{RemappingUnit, UnitConfig};

use crate::child::{DeviceProcess, PATIENCE};
use crate::qtest::QTest;

/// Memory, all of it below the hole; the file's offset is the address.
pub const RAM_BYTES: u64 = 2 << 30;
/// Where the root table lies.
pub const ROOT: u64 = 0x10_0000;
/// Our device, behind the root port.
pub const REQUESTER: RequesterId = RequesterId::from_raw(0x0100);

const FUNCTION: FunctionName = FunctionName::DUT0;
const CONFIG_ADDRESS: u16 = 0xcf8;
const CONFIG_DATA: u16 = 0xcfc;
/// Device number of the root port on bus 0.
const ROOT_PORT: u32 = 2;
/// Memory enable and bus master.
const COMMAND: u32 = 6;

/// VT-d's registers (section 11.4) and what is written to them.
const VTD: u64 = 0xfed9_0000;
const CAPABILITY: u64 = 0x08;
const EXTENDED_CAPABILITY: u64 = 0x10;
const GLOBAL_COMMAND: u64 = 0x18;
const GLOBAL_STATUS: u64 = 0x1c;
const ROOT_TABLE: u64 = 0x20;
const CONTEXT_COMMAND: u64 = 0x28;
const FAULT_STATUS: u64 = 0x34;
const SET_ROOT_TABLE: u32 = 1 << 30;
const ENABLE_TRANSLATION: u32 = 1 << 31;
const INVALIDATE_ALL_CONTEXTS: u64 = 1 << 63 | 1 << 61;
const INVALIDATE_ALL_PAGES: u64 = 1 << 63 | 1 << 60;
const RECORD_IS_VALID: u64 = 1 << 63;

pub struct Machine {
    pub qtest: QTest,
    harness: RefCell<Client>,
    capability: u64,
    extended_capability: u64,
    address_bits: u8,
    // Behind QEMU, so that it goes last.
    _process: DeviceProcess,
}

/// What QEMU's unit recorded of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub reason: u8,
    pub requester: RequesterId,
    pub page: u64,
    pub is_write: bool,
}

impl Machine {
    /// Starts a machine whose VT-d has 39 or 48 address bits. Translation is off.
    pub fn start(address_bits: u8) -> Self {
        let process = DeviceProcess::start(&[]);
        let qemu = std::env::var_os("DMARIG_QEMU").expect("asked for before the test is run");
        let mut command = Command::new(qemu);
        let mib = RAM_BYTES >> 20;
        let socket = process.path("dut");
        command
            .args(["-machine", "q35,memory-backend=ram"])
            .args(["-m", &format!("{mib}M")])
            .args(["-object", &format!("memory-backend-memfd,id=ram,size={mib}M,share=on")])
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-device", &format!("intel-iommu,caching-mode=on,intremap=off,aw-bits={address_bits}")])
            .args(["-device", &format!("pcie-root-port,id=port1,chassis=1,slot=1,addr={ROOT_PORT:#x}")])
            .args(["-device", &format!(
                r#"{{"driver":"vfio-user-pci","bus":"port1","socket":{{"type":"unix","path":"{}"}}}}"#,
                socket.display()
            )]);
        let qtest = QTest::start(command);
        let harness = RefCell::new(process.harness());
        let machine = Self {
            capability: qtest.read_u64(VTD + CAPABILITY),
            extended_capability: qtest.read_u64(VTD + EXTENDED_CAPABILITY),
            qtest,
            harness,
            address_bits,
            _process: process,
        };
        // Bus numbers of the port: 0 above it, 1 below.
        machine.write_config(0, ROOT_PORT, 0x18, 0x0001_0100);
        machine.write_config(0, ROOT_PORT, 0x04, COMMAND);
        machine.write_config(1, 0, 0x04, COMMAND);
        machine
    }

    fn write_config(&self, bus: u32, device: u32, register: u32, value: u32) {
        let address = 1 << 31 | bus << 16 | device << 11 | register;
        self.qtest.out_u32(CONFIG_ADDRESS, address);
        self.qtest.out_u32(CONFIG_DATA, value);
    }

    /// Our unit, with what QEMU's says it can do, and without caches.
    pub fn our_unit(&self) -> RemappingUnit {
        let has = |word: u64, bit: u32| word >> bit & 1 == 1;
        let (capability, extended) = (self.capability, self.extended_capability);
        let guest_address_bits = u8::try_from((capability >> 16 & 0x3f) + 1).expect("6 bits");
        let config = UnitConfig {
            host_address_bits: self.address_bits,
            guest_address_bits,
            has_3_levels: has(capability, 9),
            has_4_levels: has(capability, 10),
            has_2_mib_leaves: has(capability, 34),
            has_1_gib_leaves: has(capability, 35),
            has_pass_through: has(extended, 6),
            has_device_tlb: has(extended, 2),
            has_snoop_control: has(extended, 7),
            context_entries: 0,
            iotlb_entries: 0,
            ..UnitConfig::default()
        };
        RemappingUnit::try_new(config, GuestPhysAddr::new(ROOT)).expect("QEMU's is possible")
    }

    /// Levels of the largest tables that the unit takes.
    pub fn levels(&self) -> u64 {
        if self.address_bits > 39 { 4 } else { 3 }
    }

    /// Turns translation on.
    pub fn enable(&self) {
        self.qtest.write_u64(VTD + ROOT_TABLE, ROOT);
        self.command(SET_ROOT_TABLE);
        self.invalidate();
        self.command(ENABLE_TRANSLATION);
        let status = self.qtest.read_u32(VTD + GLOBAL_STATUS);
        assert_ne!(status & ENABLE_TRANSLATION, 0, "status {status:#x}");
    }

    fn command(&self, bit: u32) {
        let status = self.qtest.read_u32(VTD + GLOBAL_STATUS);
        let persistent = status & 0x96ff_ffff;
        self.qtest.write_u32(VTD + GLOBAL_COMMAND, persistent | bit);
    }

    /// Lets QEMU's unit forget everything; it announces what changed before this returns.
    pub fn invalidate(&self) {
        self.qtest
            .write_u64(VTD + CONTEXT_COMMAND, INVALIDATE_ALL_CONTEXTS);
        let iotlb = (self.extended_capability >> 8 & 0x3ff) * 16;
        self.qtest.write_u64(VTD + iotlb + 8, INVALIDATE_ALL_PAGES);
    }

    /// Takes QEMU's fault records.
    pub fn take_recorded(&self) -> Vec<Recorded> {
        let first = VTD + (self.capability >> 24 & 0x3ff) * 16;
        let count = (self.capability >> 40 & 0xff) + 1;
        let mut recorded = Vec::new();
        for at in (0..count).map(|number| first + number * 16) {
            let (low, high) = (self.qtest.read_u64(at), self.qtest.read_u64(at + 8));
            if high & RECORD_IS_VALID == 0 {
                continue;
            }
            let [requester_low, requester_high, _, _, reason, ..] = high.to_le_bytes();
            recorded.push(Recorded {
                reason,
                requester: RequesterId::from_raw(u16::from_le_bytes([
                    requester_low,
                    requester_high,
                ])),
                page: low & !0xfff,
                is_write: high >> 62 & 1 == 0,
            });
            self.qtest.write_u64(at + 8, RECORD_IS_VALID);
        }
        self.qtest.write_u32(VTD + FAULT_STATUS, 1);
        recorded
    }

    /// What QEMU has announced to the device.
    pub fn mappings(&self) -> Vec<MappingRun> {
        let mut mappings = Vec::new();
        let mut next = Some(Iova::new(0));
        while let Some(start) = next {
            let ask = MappingsList {
                function: FUNCTION,
                start,
                limit: 400,
            };
            let page = self
                .harness
                .borrow_mut()
                .call(&ask, PATIENCE)
                .expect("mappings.list");
            mappings.extend(page.mappings);
            next = page.next;
        }
        mappings
    }

    /// Lets the device send one message: 8 bytes read, or 8 bytes of pattern written.
    pub fn message(&self, iova: u64, is_write: bool) -> (DmaStatus, u32) {
        let ask = DmaSubmit {
            function: FUNCTION,
            op: if is_write {
                DmaOp::WritePattern
            } else {
                DmaOp::Crc
            },
            path: DmaPath::Message,
            iova: Iova::new(iova),
            destination: None,
            length: 8,
            seed: iova,
        };
        let outcome = self
            .harness
            .borrow_mut()
            .call(&ask, PATIENCE)
            .expect("dma.submit");
        (outcome.status, outcome.crc32c)
    }
}
