//! [`Collector`]: takes the fault points out of the events of a golden run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use qemu::console::{GuestEvent, GuestEventKind};

use super::point::{Fault, Hits, PHASE_OF_START, Point, Points, device_faults};
use crate::event::{Event, Mode, Record};
use crate::report::{ReportError, Reporter};

/// A report face that keeps the points; clones share them.
#[derive(Clone)]
pub struct Collector(Arc<Mutex<Collected>>);

struct Collected {
    hits: Hits,
    boot: Option<(String, Mode)>,
    case: Option<String>,
    /// What is known, apart for the start: a fault there is another than the same one under a case.
    known: BTreeSet<(bool, Fault)>,
    points: Vec<Point>,
    /// How many channels a fault was met on, apart for the start.
    channels: BTreeMap<(bool, Fault), usize>,
}

/// Most channels on which the same fault is tried: they are alike, and a device may have 64.
const CHANNELS_MAX: usize = 4;

impl Collector {
    /// Keeps these hits of each point of the device.
    #[must_use]
    pub fn new(hits: Hits) -> Self {
        Self(Arc::new(Mutex::new(Collected {
            hits,
            boot: None,
            case: None,
            known: BTreeSet::new(),
            points: Vec::new(),
            channels: BTreeMap::new(),
        })))
    }

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
        let order = |point: &Point| (point.is_of_start(), point.fault.clone());
        points.sort_by_cached_key(order);
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
                let phase = self.case.as_ref().map_or(PHASE_OF_START, |_| "running");
                for passed in points {
                    let hits = self.hits.of(passed.hits);
                    for fault in device_faults(&passed.point, passed.channel, &hits) {
                        self.add(fault, phase.into());
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
        let point = Point {
            fault,
            phase,
            profile,
            remapping,
            case: self.case.clone(),
        };
        let is_new = self
            .known
            .insert((point.is_of_start(), point.fault.clone()));
        if is_new && self.has_room(&point) {
            self.points.push(point);
        }
    }
}

impl Collected {
    /// Counts the channels of a fault, and tells whether this one is still to be tried.
    fn has_room(&mut self, point: &Point) -> bool {
        let Some(fault) = point.fault.on_any_channel() else {
            return true;
        };
        let n_channels = self
            .channels
            .entry((point.is_of_start(), fault))
            .or_default();
        *n_channels += 1;
        *n_channels <= CHANNELS_MAX
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::PassedPoint;

    fn guest(routine: &str) -> Event {
        let line = json!({"event": "call-site", "routine": routine, "door": "import",
            "location": "d.sys+0x12", "phase": "running"});
        Event::Guest { boot: 1, line }
    }

    #[test]
    fn same_fault_is_kept_on_a_few_channels() {
        let mut collector = Collector::new(Hits::First(1));
        let started = Event::BootStarted {
            boot: 1,
            remapping: Mode::On,
            profile: "default".into(),
            logs: String::new(),
        };
        let passed = |channel| PassedPoint {
            point: "dma-write".into(),
            channel: Some(channel),
            hits: 3,
        };
        let passed = Event::FaultPoints {
            boot: 1,
            id: "RIG/boot".into(),
            points: (0..9).map(passed).collect(),
        };
        for event in [started, passed] {
            let taken = collector.record(&Record { time_ms: 0, event });
            taken.expect("kept");
        }
        let points = collector.points(Points {
            calls: false,
            device: true,
        });
        let n_drops = points
            .iter()
            .filter(|point| point.fault.name() == "drop at dma-write")
            .count();
        assert_eq!(n_drops, CHANNELS_MAX, "{points:?}");
    }

    #[test]
    fn a_call_site_is_kept_once_with_the_case_that_met_it_first() {
        let mut collector = Collector::new(Hits::First(1));
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
