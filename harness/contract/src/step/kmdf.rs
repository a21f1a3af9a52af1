//! Steps that only the KMDF driver knows.

use dmarig_abi::operation as op;
use dmarig_abi::operation_kmdf as kmdf;

use super::{Step, step};
use crate::framework::{CommonBufferConfig, EnablerConfig, ObjectAttributes};

/// What a creation of a framework object passes besides its configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Creation {
    /// Attributes; `None` is WDF_NO_OBJECT_ATTRIBUTES.
    pub attributes: Option<ObjectAttributes>,
    /// NULL for the configuration.
    pub null_config: bool,
    /// NULL for the pointer that receives the handle.
    pub null_out: bool,
    /// This for the handle of the object to create on, whatever it is.
    pub handle: Option<u64>,
}

impl Creation {
    /// With these attributes, and nothing else out of the ordinary.
    #[must_use]
    pub const fn with(attributes: ObjectAttributes) -> Self {
        Self {
            attributes: Some(attributes),
            null_config: false,
            null_out: false,
            handle: None,
        }
    }

    pub(super) fn apply(self, mut step: Step) -> Step {
        let flags = [
            (self.attributes.is_some(), kmdf::KMDF_FLAG_ATTRIBUTES),
            (self.null_config, kmdf::KMDF_FLAG_NULL_CONFIG),
            (self.null_out, kmdf::KMDF_FLAG_NULL_OUT),
            (self.handle.is_some(), kmdf::KMDF_FLAG_HANDLE),
        ];
        for (is_set, flag) in flags {
            if is_set {
                step.operation.flags |= flag;
            }
        }
        if let Some(attributes) = self.attributes {
            step.data.extend(attributes.to_bytes());
        }
        step.operation.arg[4] = self.handle.unwrap_or(0);
        step
    }
}

/// A step on one object.
pub(super) fn on(opcode: u16, object: u32, arg: [u64; 5]) -> Step {
    step(opcode, op::SLOT_NONE, object, 0, arg)
}

impl Step {
    /// WdfDmaEnablerCreate.
    #[must_use]
    pub fn enabler_create(
        dst: u32,
        device: u32,
        config: EnablerConfig,
        creation: Creation,
    ) -> Self {
        let mut step = step(kmdf::OP_KMDF_ENABLER_CREATE, dst, device, 0, [0; 5]);
        step.data = config.to_bytes();
        creation.apply(step)
    }

    /// The enabler's getters; the fragment length is that of `direction`.
    #[must_use]
    pub fn enabler_query(enabler: u32, direction: u32) -> Self {
        let arg = [direction.into(), 0, 0, 0, 0];
        on(kmdf::OP_KMDF_ENABLER_QUERY, enabler, arg)
    }

    /// WdfDmaEnablerSetMaximumScatterGatherElements.
    #[must_use]
    pub fn enabler_set_maximum_elements(enabler: u32, elements: u64) -> Self {
        let arg = [elements, 0, 0, 0, 0];
        on(kmdf::OP_KMDF_ENABLER_SET_MAXIMUM_ELEMENTS, enabler, arg)
    }

    /// WdfDmaEnablerWdmGetDmaAdapter; the adapter counts as one of that table version.
    #[must_use]
    pub fn enabler_adapter(dst: u32, enabler: u32, direction: u32, version: u32) -> Self {
        let arg = [direction.into(), version.into(), 0, 0, 0];
        step(kmdf::OP_KMDF_ENABLER_ADAPTER, dst, enabler, 0, arg)
    }

    /// WdfCommonBufferCreate, or WdfCommonBufferCreateWithConfig if there is a configuration.
    #[must_use]
    pub fn common_buffer_create(
        dst: u32,
        enabler: u32,
        length_bytes: u64,
        config: Option<CommonBufferConfig>,
        creation: Creation,
    ) -> Self {
        let opcode = match config {
            None => kmdf::OP_KMDF_COMMON_BUFFER_CREATE,
            Some(_) => kmdf::OP_KMDF_COMMON_BUFFER_CREATE_WITH_CONFIG,
        };
        let mut step = step(opcode, dst, enabler, 0, [length_bytes, 0, 0, 0, 0]);
        step.data = config.map_or_else(Vec::new, CommonBufferConfig::to_bytes);
        creation.apply(step)
    }

    /// The getters of a common buffer.
    #[must_use]
    pub fn common_buffer_query(buffer: u32) -> Self {
        on(kmdf::OP_KMDF_COMMON_BUFFER_QUERY, buffer, [0; 5])
    }

    /// WdfDeviceSetAlignmentRequirement.
    #[must_use]
    pub fn set_alignment(device: u32, mask: u32) -> Self {
        let arg = [mask.into(), 0, 0, 0, 0];
        on(kmdf::OP_KMDF_SET_ALIGNMENT, device, arg)
    }

    /// WdfDeviceGetAlignmentRequirement.
    #[must_use]
    pub fn get_alignment(device: u32) -> Self {
        on(kmdf::OP_KMDF_GET_ALIGNMENT, device, [0; 5])
    }

    /// WdfObjectCreate.
    #[must_use]
    pub fn object_create(dst: u32, device: u32, creation: Creation) -> Self {
        let step = step(kmdf::OP_KMDF_OBJECT_CREATE, dst, device, 0, [0; 5]);
        creation.apply(step)
    }

    /// WdfObjectDelete.
    #[must_use]
    pub fn object_delete(object: u32) -> Self {
        on(kmdf::OP_KMDF_OBJECT_DELETE, object, [0; 5])
    }

    /// WdfObjectReferenceActual.
    #[must_use]
    pub fn object_reference(object: u32) -> Self {
        on(kmdf::OP_KMDF_OBJECT_REFERENCE, object, [0; 5])
    }

    /// WdfObjectDereferenceActual.
    #[must_use]
    pub fn object_dereference(object: u32) -> Self {
        on(kmdf::OP_KMDF_OBJECT_DEREFERENCE, object, [0; 5])
    }

    /// WdfObjectAllocateContext.
    #[must_use]
    pub fn context_allocate(object: u32, attributes: ObjectAttributes) -> Self {
        let step = on(kmdf::OP_KMDF_CONTEXT_ALLOCATE, object, [0; 5]);
        Creation::with(attributes).apply(step)
    }

    /// The first bytes of an object's context.
    #[must_use]
    pub fn context_read(object: u32, context_type: u32, length_bytes: u64) -> Self {
        let arg = [context_type.into(), length_bytes, 0, 0, 0];
        on(kmdf::OP_KMDF_CONTEXT_READ, object, arg)
    }

    /// Writes into an object's context.
    #[must_use]
    pub fn context_write(object: u32, context_type: u32, data: Vec<u8>) -> Self {
        let arg = [context_type.into(), 0, 0, 0, 0];
        let mut step = on(kmdf::OP_KMDF_CONTEXT_WRITE, object, arg);
        step.data = data;
        step
    }

    /// The log of callbacks from an entry on.
    #[must_use]
    pub fn log_read(first: u64) -> Self {
        let arg = [first, 0, 0, 0, 0];
        on(kmdf::OP_KMDF_LOG_READ, op::SLOT_NONE, arg)
    }

    /// Empties the log.
    #[must_use]
    pub fn log_clear() -> Self {
        on(kmdf::OP_KMDF_LOG_CLEAR, op::SLOT_NONE, [0; 5])
    }

    /// What the binding gave.
    #[must_use]
    pub fn binding() -> Self {
        on(kmdf::OP_KMDF_BINDING, op::SLOT_NONE, [0; 5])
    }
}
