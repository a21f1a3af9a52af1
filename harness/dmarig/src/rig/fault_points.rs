//! What the device tells of fault injection: the rules, and the points that the driver's work passes.

use contract::RigError;
use control_api::request::{FaultsPoints, FaultsRecord, FaultsStatus};
use control_api::response::{FaultPoint, FaultRule};

use super::MachineRig;

impl MachineRig {
    /// What each rule that the device has loaded has done.
    ///
    /// # Errors
    /// The device process does not answer.
    pub fn fault_rules(&mut self) -> Result<Vec<FaultRule>, RigError> {
        let mut rules = Vec::new();
        let mut from = 0;
        loop {
            let page = self
                .call(&FaultsStatus {
                    function: self.function(),
                    from,
                })
                .map_err(|error| self.client_trouble(&error))?;
            rules.extend(page.rules);
            match page.next {
                Some(next) if next > from => from = next,
                _ => return Ok(rules),
            }
        }
    }

    /// Begins to count the points of fault injection that the driver's work passes.
    ///
    /// # Errors
    /// The device process does not answer.
    pub fn record_points(&mut self) -> Result<(), RigError> {
        self.call(&FaultsRecord {
            function: self.function(),
            on: true,
        })
        .map(|_| ())
        .map_err(|error| self.client_trouble(&error))
    }

    /// The points passed since then.
    ///
    /// # Errors
    /// The device process does not answer.
    pub fn take_points(&mut self) -> Result<Vec<FaultPoint>, RigError> {
        let answer = self
            .call(&FaultsPoints {
                function: self.function(),
            })
            .map_err(|error| self.client_trouble(&error))?;
        Ok(answer.points.unwrap_or_default())
    }
}
