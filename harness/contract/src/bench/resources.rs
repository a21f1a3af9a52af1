//! Orders about the guest's resources.

use crate::bench::Bench;
use crate::finding::CaseEnd;
use crate::nt_status::NtStatus;

impl Bench<'_> {
    /// Ends the order `low-resources N`; whether an allocation was made to fail.
    pub(crate) fn has_struck(&mut self) -> Result<bool, CaseEnd> {
        const NOT_FOUND: NtStatus = NtStatus(0xC000_0225);
        let line = "low-resources end";
        let status = self.rig.command(line)?;
        match status {
            NtStatus::SUCCESS => Ok(true),
            NOT_FOUND => Ok(false),
            _ => {
                let text = format!("the guest answers the order {line} with {status}");
                Err(crate::rig::RigError(text).into())
            }
        }
    }
}
