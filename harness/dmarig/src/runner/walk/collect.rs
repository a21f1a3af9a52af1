//! [`Collector`]: takes the fault points out of the events of a golden run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use qemu::console::{GuestEvent, GuestEventKind};

use super::point::{Fault, Point, Points, device_faults};
use crate::event::{Event, Mode, Record};
use crate::report::{ReportError, Reporter};

/// A report face that keeps the points; clones share them.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Collected>>);

#[derive(Default)]
struct Collected {
    boot: Option<(String, Mode)>,
    case: Option<String>,
    known: BTreeSet<Fault>,
    points: Vec<Point>,
}

impl Collector {
    /// The points so far of the kinds that are wanted: by kind, name and place, each once.
    pub fn points(&self, wanted: Points) -> Vec<Point> {
        let mut points = self
            .0
            .lock()
            .map(|collected| collected.points.clone())
            .unwrap_or_default();
        points.retain(|point| match point.fault {
            Fault::Call { .. } => wanted.calls,
            Fault::Device { .. } => wanted.device,
        });
        points.sort_by(|one, other| one.fault.cmp(&other.fault));
        points
    }
}

impl Reporter for Collector {
    fn record(&mut self, record: &Record) -> Result<(), ReportError> {
        if let Ok(mut collected) = self.0.lock() {
            collected.take(&record.event);
        }
        Ok(())
    }
}

impl Collected {
    fn take(&mut self, event: &Event) {
        match event {
            Event::BootStarted {
                profile, remapping, ..
            } => {
                self.boot = Some((profile.clone(), *remapping));
                self.case = None;
            }
            Event::CaseStarted { id, .. } => self.case = Some(id.clone()),
            Event::FaultPoints { points, .. } => {
                for passed in points {
                    for fault in device_faults(&passed.point, passed.channel) {
                        self.add(fault, "running".into());
                    }
                }
            }
            Event::CaseEnded(_) => self.case = None,
            Event::Guest { line, .. } => {
                if let GuestEventKind::CallSite {
                    routine,
                    door,
                    location,
                    phase,
                } = GuestEvent::parse(&line.to_string()).kind
                {
                    let fault = Fault::Call {
                        door,
                        routine,
                        location,
                    };
                    self.add(fault, phase);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, fault: Fault, phase: String) {
        let Some((profile, remapping)) = self.boot.clone() else {
            return;
        };
        if self.known.insert(fault.clone()) {
            self.points.push(Point {
                fault,
                phase,
                profile,
                remapping,
                case: self.case.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn guest(routine: &str) -> Event {
        let line = json!({"event": "call-site", "routine": routine, "door": "import",
            "location": "d.sys+0x12", "phase": "running"});
        Event::Guest { boot: 1, line }
    }

    #[test]
    fn a_call_site_is_kept_once_with_the_case_that_met_it_first() {
        let mut collector = Collector::default();
        let case = |id: &str| Event::CaseStarted {
            boot: 1,
            id: id.into(),
            remapping: Mode::On,
        };
        let events = [
            Event::BootStarted {
                boot: 1,
                remapping: Mode::On,
                profile: "default".into(),
                logs: String::new(),
            },
            guest("B"),
            case("CM-1/a"),
            guest("A"),
            case("CM-1/b"),
            guest("A"),
            guest("B"),
        ];
        for event in events {
            let taken = collector.record(&Record { time_ms: 0, event });
            taken.expect("kept");
        }
        let all = Points {
            calls: true,
            device: true,
        };
        let points = collector.points(all);
        let seen: Vec<_> = points
            .iter()
            .map(|point| (point.fault.name(), point.case.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [("A".to_owned(), Some("CM-1/a")), ("B".to_owned(), None)]
        );
    }
}
