//! Whether remapping is on, or off, as asked: seen with the device's own eyes, never assumed.

use contract::{IommuFault, Remapping, Rig, RigError};
use control_api::ClientError;
use control_api::request::{DmaOp, DmaPath, LedgerClear, MappingsSummary};
use control_api::response::DmaStatus;
use dmarig_abi::Iova;

use crate::rig::MachineRig;

/// An address in the middle of guest memory: with remapping off the device reaches it, with remapping
/// on nothing is mapped there, since `nt` never hands out a logical address that is a physical one.
const WITNESS: Iova = Iova::new(0x20_0000);
const WITNESS_LENGTH_BYTES: u64 = 64;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// What was seen contradicts what was asked.
    #[error("remapping {asked} was asked for, but {seen}", asked = .asked.as_str())]
    NotAsAsked {
        /// What was asked.
        asked: Remapping,
        /// What was seen.
        seen: String,
    },
    /// The device process does not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The rig broke.
    #[error(transparent)]
    Rig(#[from] RigError),
}

/// Proves the mode, and says by what.
///
/// # Errors
/// The mode is another one, or the rig broke.
pub fn prove(rig: &mut MachineRig) -> Result<String, ProofError> {
    match rig.remapping() {
        Remapping::On => prove_on(rig),
        Remapping::Off => prove_off(rig),
    }
}

fn prove_on(rig: &mut MachineRig) -> Result<String, ProofError> {
    let not_on = |seen: String| ProofError::NotAsAsked {
        asked: Remapping::On,
        seen,
    };
    let function = rig.function();
    if !rig.call(&MappingsSummary { function })?.first_unmap_seen {
        return Err(not_on("guest memory was never unmapped".into()));
    }
    let probe = witness(rig, DmaPath::Probe)?;
    if probe != DmaStatus::Unmapped {
        let seen = format!("the mapping table answers {probe:?} at {WITNESS}");
        return Err(not_on(seen));
    }
    rig.take_faults(false)?;
    let read = witness(rig, DmaPath::Message)?;
    if read == DmaStatus::Success {
        return Err(not_on(format!("a read of the unmapped {WITNESS} succeeds")));
    }
    let faults = rig.take_faults(true)?;
    let Some(fault) = faults.iter().find(|fault| is_ours(fault)) else {
        let seen = format!(
            "a read of the unmapped {WITNESS} ended with {read:?} and left no fault in the guest"
        );
        return Err(not_on(seen));
    };
    rig.set_requester(fault.requester);
    rig.call(&LedgerClear {})?;
    Ok(format!(
        "memory was unmapped; a read of {WITNESS} by {} left fault reason {:#x}",
        fault.requester, fault.reason
    ))
}

fn prove_off(rig: &mut MachineRig) -> Result<String, ProofError> {
    let probe = witness(rig, DmaPath::Probe)?;
    if probe != DmaStatus::Success {
        return Err(ProofError::NotAsAsked {
            asked: Remapping::Off,
            seen: format!("the mapping table answers {probe:?} at guest physical {WITNESS}"),
        });
    }
    rig.call(&LedgerClear {})?;
    Ok(format!("guest physical {WITNESS} is mapped to itself"))
}

fn witness(rig: &mut MachineRig, path: DmaPath) -> Result<DmaStatus, ClientError> {
    let outcome = rig.submit(DmaOp::Crc, path, WITNESS, WITNESS_LENGTH_BYTES, 0)?;
    Ok(outcome.status)
}

fn is_ours(fault: &IommuFault) -> bool {
    fault.page == WITNESS && !fault.is_write
}
