//! Taking a function of ours out of the running machine, and putting it back.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Qmp, QmpError};
use crate::command_line::VfioUserFunction;

/// How often QEMU is asked whether it still has a device.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// How long the guest stays stopped after a device has hung up. QEMU tells nobody that it has noticed.
const SETTLE_TIME: Duration = Duration::from_millis(50);

/// A function that may be taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugged {
    /// It, with its socket, on which the device process goes on listening.
    pub function: VfioUserFunction,
    /// The root port that it is behind.
    pub port: String,
    /// Whether it has an MSI-X capability. Then QEMU 11.1 aborts when it goes.
    pub has_msix: bool,
}

impl Qmp {
    /// Asks for the removal of a device: its slot's attention button is pressed. It goes when the guest has let go of
    /// it ([`Self::await_deleted`]).
    ///
    /// # Errors
    /// [`QmpError::HasMsix`] before QEMU is asked; QEMU refuses, as it does while a removal is under way, or does not
    /// answer.
    pub fn press_attention_button(&mut self, plugged: &Plugged) -> Result<(), QmpError> {
        plugged.check_can_go()?;
        let id = &plugged.function.id;
        self.execute("device_del", json!({ "id": id })).map(drop)
    }

    /// Waits for `DEVICE_DELETED`, which follows [`Self::press_attention_button`] and nothing else.
    ///
    /// # Errors
    /// [`QmpError::StillThere`] when the time is over; QEMU is gone.
    pub fn await_deleted(&mut self, plugged: &Plugged, limit: Duration) -> Result<(), QmpError> {
        let id = &plugged.function.id;
        let is_it = |event: &Value| {
            event.get("event").and_then(Value::as_str) == Some("DEVICE_DELETED")
                && event.pointer("/data/device").and_then(Value::as_str) == Some(id)
        };
        match self.await_event("DEVICE_DELETED", is_it, limit) {
            Err(QmpError::Timeout { waited, .. }) => Err(QmpError::StillThere {
                id: id.clone(),
                waited,
            }),
            other => other,
        }
    }

    /// Waits until QEMU knows no device of that id: a slot whose power goes off lets go of its device without an event.
    ///
    /// # Errors
    /// [`QmpError::StillThere`] when the time is over; QEMU does not answer.
    pub fn await_absent(&mut self, plugged: &Plugged, limit: Duration) -> Result<(), QmpError> {
        let id = &plugged.function.id;
        let start = Instant::now();
        while self.has_device(id)? {
            if start.elapsed() >= limit {
                return Err(QmpError::StillThere {
                    id: id.clone(),
                    waited: limit,
                });
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Stops the guest while a device process hangs up. QEMU 11.1 aborts (`error_setv: Assertion *errp == NULL`) when the
    /// socket closes under an access of the guest.
    ///
    /// # Errors
    /// QEMU does not answer or refuses.
    pub fn while_stopped<T>(&mut self, hang_up: impl FnOnce() -> T) -> Result<T, QmpError> {
        self.execute("stop", json!({}))?;
        let done = hang_up();
        thread::sleep(SETTLE_TIME);
        self.execute("cont", json!({}))?;
        Ok(done)
    }

    /// Puts the device back; the guest hears of it by its slot.
    ///
    /// # Errors
    /// QEMU refuses, for instance because the device process does not listen, or does not answer.
    pub fn add_device(&mut self, plugged: &Plugged) -> Result<(), QmpError> {
        let device = plugged.function.device(&plugged.port, None)?;
        self.execute("device_add", device).map(drop)
    }

    fn has_device(&mut self, id: &str) -> Result<bool, QmpError> {
        let command = "qom-list";
        let devices = self.execute(command, json!({ "path": "/machine/peripheral" }))?;
        let devices = devices.as_array().ok_or_else(|| QmpError::Malformed {
            awaited: command.into(),
            problem: "no list".into(),
        })?;
        let name = |device: &Value| device.get("name").and_then(Value::as_str) == Some(id);
        Ok(devices.iter().any(name))
    }

    /// Waits for an event; those that come before it are kept.
    fn await_event(
        &mut self,
        awaited: &str,
        is_it: impl Fn(&Value) -> bool,
        limit: Duration,
    ) -> Result<(), QmpError> {
        if let Some(at) = self.events.iter().position(&is_it) {
            self.events.remove(at);
            return Ok(());
        }
        let start = Instant::now();
        loop {
            let message = self.receive(awaited, start, limit)?;
            if is_it(&message) {
                return Ok(());
            }
            self.keep_event(message);
        }
    }
}

impl Plugged {
    /// That taking it out does not end QEMU.
    ///
    /// # Errors
    /// [`QmpError::HasMsix`].
    pub fn check_can_go(&self) -> Result<(), QmpError> {
        if self.has_msix {
            let id = self.function.id.clone();
            return Err(QmpError::HasMsix { id });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "hot_plug_tests.rs"]
mod tests;
