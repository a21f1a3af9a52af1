//! [`HotPlug`]: the device under test goes out of the machine and comes back, by order or by surprise.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use contract::{NtStatus, PnpRequest, Pull, RigError};
use control_api::FunctionName;
use control_api::request::{FunctionDisconnect, LinkSet, LinkState, Status};
use qemu::Qmp;
use qemu::qmp::{Plugged, QmpError};

use super::{MachineRig, Trouble};

/// How long the guest may take to let go of the device, or to take it in.
const GUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long QEMU may take to let go of a device that the guest has let go of.
const QEMU_DEADLINE: Duration = Duration::from_secs(5);
/// How often the device process is asked whether QEMU has hung up.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// The device under test as QEMU knows it, in a boot in which it may come and go.
pub struct HotPlug {
    /// QEMU. The main thread needs it at the end of a boot, when no case runs any more.
    pub qmp: Arc<Mutex<Qmp>>,
    /// The device.
    pub plugged: Plugged,
    /// Whether it is in the machine.
    pub is_in: bool,
}

impl HotPlug {
    fn with_qmp<T>(
        &self,
        ask: impl FnOnce(&mut Qmp, &Plugged) -> Result<T, QmpError>,
    ) -> Result<T, QmpError> {
        let mut qmp = self.qmp.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&mut qmp, &self.plugged)
    }
}

impl MachineRig {
    pub(super) fn is_plugged_in(&self) -> bool {
        self.hot_plug.as_ref().is_none_or(|it| it.is_in)
    }

    /// Presses the attention button, and waits for what the guest makes of it.
    pub(super) fn unplug_in_order(&mut self) -> Result<Vec<PnpRequest>, RigError> {
        self.ask_qemu(Qmp::press_attention_button)?;
        let requests = self.await_requests(&["REMOVE_DEVICE", "CANCEL_REMOVE_DEVICE"])?;
        if requests.last().is_some_and(|it| it.irp == "REMOVE_DEVICE") {
            self.ask_qemu(|qmp, plugged| qmp.await_deleted(plugged, QEMU_DEADLINE))?;
            self.await_hang_up()?;
        }
        Ok(requests)
    }

    pub(super) fn pull_out(&mut self, how: Pull) -> Result<(), RigError> {
        // Afterwards QEMU could not be asked to let go without ending.
        let can_go = self.hot_plug()?.plugged.check_can_go();
        can_go.map_err(|error| self.remember(Trouble::Unfit, &error))?;
        let function = FunctionName::DUT0;
        // Also before it hangs up: a device that is pulled out has no driver that could have stopped it in time.
        let down = LinkSet {
            function,
            link: LinkState::Down,
        };
        self.call(&down)
            .map_err(|error| self.client_trouble(&error))?;
        if how == Pull::HangUp {
            let qmp = Arc::clone(&self.hot_plug()?.qmp);
            let mut qmp = qmp.lock().unwrap_or_else(PoisonError::into_inner);
            qmp.while_stopped(|| self.call(&FunctionDisconnect { function }))
                .map_err(|error| self.remember(Trouble::Device, &error))?
                .map_err(|error| self.client_trouble(&error))?;
        }
        Ok(())
    }

    /// The guest notices, lets go, and takes the slot's power away, with which QEMU lets go.
    pub(super) fn await_removal(&mut self) -> Result<Vec<PnpRequest>, RigError> {
        let can_go = self.hot_plug()?.plugged.check_can_go();
        can_go.map_err(|error| self.remember(Trouble::Unfit, &error))?;
        let requests = self.await_requests(&["REMOVE_DEVICE"])?;
        self.ask_qemu(|qmp, plugged| qmp.await_absent(plugged, QEMU_DEADLINE))?;
        self.await_hang_up()?;
        Ok(requests)
    }

    pub(super) fn plug_in(&mut self) -> Result<Vec<PnpRequest>, RigError> {
        // A link that is down shows QEMU no device.
        let up = LinkSet {
            function: FunctionName::DUT0,
            link: LinkState::Up,
        };
        self.call(&up)
            .map_err(|error| self.client_trouble(&error))?;
        self.ask_qemu(Qmp::add_device)?;
        if let Some(hot_plug) = &mut self.hot_plug {
            hot_plug.is_in = true;
        }
        self.await_requests(&["START_DEVICE"])
    }

    fn hot_plug(&mut self) -> Result<&mut HotPlug, RigError> {
        if self.hot_plug.is_none() {
            self.trouble = Some(Trouble::Ours);
        }
        self.hot_plug
            .as_mut()
            .ok_or_else(|| RigError("in this boot the device cannot come and go".into()))
    }

    fn ask_qemu<T>(
        &mut self,
        ask: impl FnOnce(&mut Qmp, &Plugged) -> Result<T, QmpError>,
    ) -> Result<T, RigError> {
        let answer = self.hot_plug()?.with_qmp(ask);
        answer.map_err(|error| {
            let trouble = match error {
                QmpError::HasMsix { .. } => Trouble::Unfit,
                QmpError::Device(_) => Trouble::Ours,
                QmpError::StillThere { .. } => Trouble::GuestSilent,
                // QEMU waits for a guest that has kept the device before.
                QmpError::Refused { ref command, .. } if command == "device_del" => {
                    Trouble::GuestSilent
                }
                _ => Trouble::Device,
            };
            self.remember(trouble, &error)
        })
    }

    /// The PnP requests that the device has got since the last time, up to one of these or to one that failed.
    fn await_requests(&mut self, last: &[&str]) -> Result<Vec<PnpRequest>, RigError> {
        let is_last = |request: &PnpRequest| {
            last.contains(&request.irp.as_str())
                || (request.irp == "AddDevice" && request.status != NtStatus::SUCCESS)
        };
        self.inbox
            .take_requests(is_last, GUEST_DEADLINE)
            .map_err(|came| {
                self.trouble = Some(Trouble::GuestSilent);
                let seconds = GUEST_DEADLINE.as_secs();
                let came: Vec<String> = came.iter().map(ToString::to_string).collect();
                RigError(format!(
                    "waited {seconds} s for the device to get {}, seen: [{}]",
                    last.join(" or "),
                    came.join(", ")
                ))
            })
    }

    /// QEMU's connection ends last; the device process serves one at a time.
    fn await_hang_up(&mut self) -> Result<(), RigError> {
        let start = Instant::now();
        loop {
            let status = self
                .call(&Status {})
                .map_err(|error| self.client_trouble(&error))?;
            let dut = status.functions.get(&FunctionName::DUT0);
            if dut.is_none_or(|dut| !dut.connected) {
                break;
            }
            if start.elapsed() >= QEMU_DEADLINE {
                self.trouble = Some(Trouble::Device);
                let text = "QEMU let go of the device and did not hang up";
                return Err(RigError(text.into()));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        self.hot_plug()?.is_in = false;
        Ok(())
    }
}
