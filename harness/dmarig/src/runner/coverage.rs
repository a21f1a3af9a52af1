//! What a boot's driver has touched of the registers of a device under test. For the record alone: that it cannot be
//! had is no finding.

use std::path::Path;
use std::time::Duration;

use control_api::request::RegistersCoverage;
use control_api::{Client, ClientError, FunctionName, Method};

use crate::event::RegisterCoverage;
use crate::rig::MachineRig;

/// How long one call over a connection of our own may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// Asks over the rig's connection.
///
/// # Errors
/// No answer, or a device that knows no such method.
pub fn of_rig(
    rig: &mut MachineRig,
    function: FunctionName,
) -> Result<RegisterCoverage, ClientError> {
    collect(function, |ask| rig.call(ask))
}

/// Asks over a connection of its own, where the rig's belongs to a worker that is not back: of a boot that ended under
/// a case.
///
/// # Errors
/// As [`of_rig`].
pub fn read(socket: &Path, function: FunctionName) -> Result<RegisterCoverage, ClientError> {
    let mut client = Client::connect(socket)?;
    collect(function, |ask| client.call(ask, DEADLINE))
}

type Page = <RegistersCoverage as Method>::Result;

fn collect(
    function: FunctionName,
    mut call: impl FnMut(&RegistersCoverage) -> Result<Page, ClientError>,
) -> Result<RegisterCoverage, ClientError> {
    let mut coverage = RegisterCoverage::default();
    let mut from = Some(0);
    while let Some(start) = from {
        let page = call(&RegistersCoverage {
            function,
            from: start,
        })?;
        // A device that goes back or stands still would hold us.
        from = page.next.filter(|next| *next > start);
        coverage.add_page(page);
    }
    Ok(coverage)
}
