//! The methods `iommu.*`: a remapping unit of the DUT's own.

use control_api::RpcError;
use control_api::request::{IommuDisable, IommuEnable, IommuFaults, IommuInvalidate, IommuWait};
use control_api::response::Empty;
use control_api::rpc::{CODE_BAD_PARAMS, CODE_LIMIT};
use iommu::vtd::InvalidationError;

use crate::dut::IommuCallError;
use crate::methods::{Outcome, done, dut, dut_mut, not_connected};
use crate::rig::Rig;

pub(crate) fn enable(rig: &mut Rig, ask: &IommuEnable) -> Outcome {
    if !dut(rig, ask.function)?.is_connected() {
        return Err(not_connected(ask.function));
    }
    dut_mut(rig, ask.function)?
        .enable_iommu(ask)
        .map_err(refused)?;
    done::<IommuEnable>(Empty {})
}

pub(crate) fn disable(rig: &mut Rig, ask: &IommuDisable) -> Outcome {
    dut_mut(rig, ask.function)?.disable_iommu();
    done::<IommuDisable>(Empty {})
}

pub(crate) fn invalidate(rig: &mut Rig, ask: &IommuInvalidate) -> Outcome {
    let pending = dut_mut(rig, ask.function)?.invalidate_iommu(ask.order);
    done::<IommuInvalidate>(pending.map_err(refused)?)
}

pub(crate) fn wait(rig: &mut Rig, ask: &IommuWait) -> Outcome {
    let pending = dut_mut(rig, ask.function)?.wait_iommu();
    done::<IommuWait>(pending.map_err(refused)?)
}

pub(crate) fn faults(rig: &mut Rig, ask: &IommuFaults) -> Outcome {
    let faults = dut_mut(rig, ask.function)?.take_iommu_faults();
    done::<IommuFaults>(faults.map_err(refused)?)
}

fn refused(error: IommuCallError) -> RpcError {
    let code = match error {
        IommuCallError::Invalidation(InvalidationError::QueueFull) => CODE_LIMIT,
        _ => CODE_BAD_PARAMS,
    };
    RpcError::new(code, error.to_string())
}
