//! Structures of KMDF as the driver passes them on: [`EnablerConfig`], [`ObjectAttributes`] and the
//! configuration of a common buffer. Sizes are fields, so that wrong ones can be tried.

use dmarig_abi::operation_kmdf as op;

/// Size of WDF_DMA_ENABLER_CONFIG of a client of KMDF 1.11 or newer.
pub const ENABLER_CONFIG_SIZE: u32 = 0x50;
/// Size of WDF_OBJECT_ATTRIBUTES.
pub const OBJECT_ATTRIBUTES_SIZE: u32 = 0x38;
/// Size of WDF_COMMON_BUFFER_CONFIG.
pub const COMMON_BUFFER_CONFIG_SIZE: u32 = 8;

/// Any other value than NULL where a structure has a callback: the driver puts its own there.
const CALLBACK: u64 = 1;

/// WDF_DMA_PROFILE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaProfile {
    /// WdfDmaProfilePacket.
    Packet,
    /// WdfDmaProfileScatterGather.
    ScatterGather,
    /// WdfDmaProfilePacket64.
    Packet64,
    /// WdfDmaProfileScatterGather64.
    ScatterGather64,
    /// WdfDmaProfileScatterGatherDuplex.
    ScatterGatherDuplex,
    /// WdfDmaProfileScatterGather64Duplex.
    ScatterGather64Duplex,
    /// A value that the enumeration lacks, or one of no use for a PCI device.
    Raw(u32),
}

impl DmaProfile {
    const fn raw(self) -> u32 {
        match self {
            Self::Packet => 1,
            Self::ScatterGather => 2,
            Self::Packet64 => 3,
            Self::ScatterGather64 => 4,
            Self::ScatterGatherDuplex => 5,
            Self::ScatterGather64Duplex => 6,
            Self::Raw(value) => value,
        }
    }
}

/// WDF_DMA_ENABLER_CONFIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnablerConfig {
    /// Size in bytes.
    pub size: u32,
    /// Profile.
    pub profile: DmaProfile,
    /// MaximumLength of a transfer in bytes.
    pub maximum_length_bytes: u64,
    /// Whether the driver sets the six EvtDmaEnabler callbacks, which it logs.
    pub callbacks: bool,
    /// AddressWidthOverride in bits; 0 is none.
    pub address_width_override: u32,
    /// WdmDmaVersionOverride; 0 is none.
    pub wdm_dma_version_override: u32,
    /// Flags.
    pub flags: u32,
}

impl EnablerConfig {
    /// What WDF_DMA_ENABLER_CONFIG_INIT makes, for transfers up to 64 KiB.
    #[must_use]
    pub const fn new(profile: DmaProfile) -> Self {
        Self {
            size: ENABLER_CONFIG_SIZE,
            profile,
            maximum_length_bytes: 0x1_0000,
            callbacks: false,
            address_width_override: 0,
            wdm_dma_version_override: 0,
            flags: 0,
        }
    }

    /// The same with an adapter of version 3.
    #[must_use]
    pub const fn version_3(self) -> Self {
        Self {
            wdm_dma_version_override: 3,
            ..self
        }
    }

    /// The structure as the driver passes it.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![0_u8; op::KMDF_ENABLER_CONFIG_SIZE_BYTES];
        bytes[0x00..0x04].copy_from_slice(&self.size.to_le_bytes());
        bytes[0x04..0x08].copy_from_slice(&self.profile.raw().to_le_bytes());
        bytes[0x08..0x10].copy_from_slice(&self.maximum_length_bytes.to_le_bytes());
        if self.callbacks {
            for callback in bytes[0x10..0x40].chunks_exact_mut(8) {
                callback.copy_from_slice(&CALLBACK.to_le_bytes());
            }
        }
        bytes[0x40..0x44].copy_from_slice(&self.address_width_override.to_le_bytes());
        bytes[0x44..0x48].copy_from_slice(&self.wdm_dma_version_override.to_le_bytes());
        bytes[0x48..0x4c].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }
}

/// What an object lies below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// NULL: the framework decides.
    Default,
    /// The device object of a DUT.
    Device(u32),
    /// The framework object in a slot.
    Slot(u32),
}

/// WDF_OBJECT_ATTRIBUTES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectAttributes {
    /// Size in bytes.
    pub size: u32,
    /// Whether the driver sets EvtCleanupCallback and EvtDestroyCallback, which it logs.
    pub callbacks: bool,
    /// ExecutionLevel; 1 is "as the parent".
    pub execution_level: u32,
    /// SynchronizationScope; 1 is "as the parent".
    pub synchronization_scope: u32,
    /// ParentObject.
    pub parent: Parent,
    /// ContextSizeOverride in bytes; 0 is none.
    pub context_size_override_bytes: u64,
    /// The driver's context type, 1 to 3; 0 is none.
    pub context_type: u32,
}

impl ObjectAttributes {
    /// What WDF_OBJECT_ATTRIBUTES_INIT makes.
    pub const INIT: Self = Self {
        size: OBJECT_ATTRIBUTES_SIZE,
        callbacks: false,
        execution_level: 1,
        synchronization_scope: 1,
        parent: Parent::Default,
        context_size_override_bytes: 0,
        context_type: 0,
    };

    /// The structure as the driver passes it.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let parent = match self.parent {
            Parent::Default => 0,
            Parent::Device(dut) => op::KMDF_PARENT_DEVICE + u64::from(dut),
            Parent::Slot(slot) => u64::from(slot) + 1,
        };
        let callback = if self.callbacks { CALLBACK } else { 0 };
        let mut bytes = vec![0_u8; op::KMDF_ATTRIBUTES_SIZE_BYTES];
        bytes[0x00..0x04].copy_from_slice(&self.size.to_le_bytes());
        bytes[0x08..0x10].copy_from_slice(&callback.to_le_bytes());
        bytes[0x10..0x18].copy_from_slice(&callback.to_le_bytes());
        bytes[0x18..0x1c].copy_from_slice(&self.execution_level.to_le_bytes());
        bytes[0x1c..0x20].copy_from_slice(&self.synchronization_scope.to_le_bytes());
        bytes[0x20..0x28].copy_from_slice(&parent.to_le_bytes());
        bytes[0x28..0x30].copy_from_slice(&self.context_size_override_bytes.to_le_bytes());
        bytes[0x30..0x38].copy_from_slice(&u64::from(self.context_type).to_le_bytes());
        bytes
    }
}

/// WDF_COMMON_BUFFER_CONFIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonBufferConfig {
    /// Size in bytes.
    pub size: u32,
    /// AlignmentRequirement: a mask, the alignment less one.
    pub alignment_mask: u32,
}

impl CommonBufferConfig {
    /// What WDF_COMMON_BUFFER_CONFIG_INIT makes.
    #[must_use]
    pub const fn new(alignment_mask: u32) -> Self {
        Self {
            size: COMMON_BUFFER_CONFIG_SIZE,
            alignment_mask,
        }
    }

    /// The structure as the driver passes it.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        [self.size.to_le_bytes(), self.alignment_mask.to_le_bytes()].concat()
    }
}

/// WDF_IO_QUEUE_DISPATCH_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueDispatch {
    /// One request at a time.
    Sequential,
    /// As many as there are.
    Parallel,
    /// None: the driver retrieves them.
    Manual,
}

/// WDF_IO_QUEUE_CONFIG with the driver's callbacks for new requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// How requests are handed out.
    pub dispatch: QueueDispatch,
    /// Whether it is the device's default queue.
    pub is_default: bool,
    /// Whether requests wait while the device is not in D0; `None` is the framework's choice.
    pub power_managed: Option<bool>,
}

impl QueueConfig {
    /// A queue that the device's power does not hold up.
    #[must_use]
    pub const fn new(dispatch: QueueDispatch, is_default: bool) -> Self {
        Self {
            dispatch,
            is_default,
            power_managed: Some(false),
        }
    }

    /// The structure as the driver passes it; a manual queue has no callbacks for new requests.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        const SIZE: u32 = 0x60;
        let dispatch: u32 = match self.dispatch {
            QueueDispatch::Sequential => 1,
            QueueDispatch::Parallel => 2,
            QueueDispatch::Manual => 3,
        };
        let power_managed: u32 = match self.power_managed {
            Some(false) => 0,
            Some(true) => 1,
            None => 2,
        };
        let mut bytes = vec![0_u8; SIZE as usize];
        bytes[0x00..0x04].copy_from_slice(&SIZE.to_le_bytes());
        bytes[0x04..0x08].copy_from_slice(&dispatch.to_le_bytes());
        bytes[0x08..0x0c].copy_from_slice(&power_managed.to_le_bytes());
        bytes[0x0d] = u8::from(self.is_default);
        if self.dispatch != QueueDispatch::Manual {
            // EvtIoRead, EvtIoWrite, EvtIoDeviceControl, EvtIoInternalDeviceControl.
            for callback in bytes[0x18..0x38].chunks_exact_mut(8) {
                callback.copy_from_slice(&CALLBACK.to_le_bytes());
            }
        }
        if self.power_managed != Some(false) {
            // EvtIoStop, EvtIoResume.
            for callback in bytes[0x38..0x48].chunks_exact_mut(8) {
                callback.copy_from_slice(&CALLBACK.to_le_bytes());
            }
        }
        // EvtIoCanceledOnQueue.
        bytes[0x48..0x50].copy_from_slice(&CALLBACK.to_le_bytes());
        if self.dispatch == QueueDispatch::Parallel {
            // NumberOfPresentedRequests: no limit.
            bytes[0x50..0x54].copy_from_slice(&u32::MAX.to_le_bytes());
        }
        bytes
    }
}
