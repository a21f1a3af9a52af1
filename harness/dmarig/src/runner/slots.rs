//! The slots of a boot: who sits in them, and whether the guest sees them.

use std::path::{Path, PathBuf};

use control_api::FunctionName;
use qemu::command_line::{VfioUserFunction, root_port};
use qemu::qmp::Plugged;

use super::boot::Boot;

/// The first device under test, behind the root port next to the control function's, where it may come and go.
pub(super) fn pluggable(boot: &Boot<'_>, sockets: &[PathBuf]) -> Option<Plugged> {
    let socket = sockets.first().filter(|_| boot.profile.hot_plug)?;
    let named = boot.plan.devices.first();
    Some(Plugged {
        function: function(FunctionName::DUT0, socket),
        port: root_port(1),
        has_msix: named.is_some_and(|device| device.has_msix),
    })
}

/// Whether the guest sees slots. Where a device has MSI-X it must not: it would take the power of one that is gone, and
/// QEMU would abort.
pub(super) fn shows_slots(boot: &Boot<'_>) -> bool {
    boot.profile.hot_plug && boot.plan.devices.iter().all(|device| !device.has_msix)
}

/// A function of ours with its socket, as QEMU is told of it.
pub(super) fn function(name: FunctionName, socket: &Path) -> VfioUserFunction {
    VfioUserFunction {
        id: name.to_string(),
        socket: socket.into(),
    }
}
