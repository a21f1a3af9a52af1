//! The device under a case leaves the machine and comes back.

use crate::bench::Bench;
use crate::finding::{CaseEnd, Finding};
use crate::rig::{PnpRequest, Pull, RigError};

impl Bench<'_> {
    /// An orderly removal, to which the driver must agree.
    pub(crate) fn unplug(&mut self) -> Result<(), CaseEnd> {
        let seen = self.rig.unplug()?;
        expect_requests(
            "an orderly removal",
            &["QUERY_REMOVE_DEVICE", "REMOVE_DEVICE"],
            &seen,
        )
    }

    /// The device is gone from one moment to the next; the driver is told.
    pub(crate) fn pull(&mut self, how: Pull) -> Result<(), CaseEnd> {
        self.rig.pull(how)?;
        self.expect_pulled()
    }

    /// The device was pulled out: the driver is told.
    pub(crate) fn expect_pulled(&mut self) -> Result<(), CaseEnd> {
        let seen = self.rig.await_pulled()?;
        expect_requests(
            "a surprise removal",
            &["SURPRISE_REMOVAL", "REMOVE_DEVICE"],
            &seen,
        )
    }

    /// The device comes back and is started; its mapping set is that of the case's start.
    pub(crate) fn plug(&mut self) -> Result<(), CaseEnd> {
        let seen = self.rig.plug()?;
        let what = "the return of the device";
        expect_requests(what, &["AddDevice", "START_DEVICE"], &seen)?;
        let station = self.here();
        station.before = station.start.clone();
        self.check_unchanged(what)
    }

    /// After a case that ended while the device was out: the next one finds it in its place.
    pub(crate) fn bring_back(&mut self) -> Result<(), RigError> {
        if !self.rig.is_plugged() {
            self.rig.plug()?;
        }
        Ok(())
    }
}

/// The driver got these requests, in this order, and agreed to each.
fn expect_requests(what: &str, expected: &[&str], seen: &[PnpRequest]) -> Result<(), CaseEnd> {
    let agrees = seen.iter().all(|request| request.status.is_success());
    if agrees && seen.iter().map(|request| &request.irp).eq(expected) {
        return Ok(());
    }
    let list = |words: Vec<String>| words.join(", ");
    Err(Finding {
        view: "driver",
        what: format!("the PnP requests of {what}"),
        buffer: None,
        logical_address: None,
        expected: format!(
            "{}, each with success",
            list(expected.iter().map(ToString::to_string).collect())
        ),
        seen: list(seen.iter().map(ToString::to_string).collect()),
    }
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nt_status::NtStatus;

    fn request(irp: &str, status: u32) -> PnpRequest {
        PnpRequest {
            irp: irp.into(),
            status: NtStatus(status),
        }
    }

    #[test]
    fn other_request_order_or_status_is_told() {
        let expected = ["SURPRISE_REMOVAL", "REMOVE_DEVICE"];
        let check = |seen: &[PnpRequest]| expect_requests("x", &expected, seen);
        let (gone, removed) = (request("SURPRISE_REMOVAL", 0), request("REMOVE_DEVICE", 0));
        assert!(check(&[gone.clone(), removed.clone()]).is_ok());
        for seen in [
            vec![removed.clone(), gone.clone()],
            vec![removed.clone()],
            vec![gone.clone(), request("REMOVE_DEVICE", 0xC000_0001)],
        ] {
            let Err(CaseEnd::Failed(finding)) = check(&seen) else {
                panic!("{seen:?} is taken");
            };
            assert!(finding.seen.contains("REMOVE_DEVICE ("), "{}", finding.seen);
        }
    }
}
