//! [`PointCounts`]: which points a run passes, and how often: the fault points of a golden run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::{Facts, RequestOrigin};
use crate::point::Point;

/// How often one point was passed on one channel by the driver's doing: its hits are 1 to `hits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointCount {
    /// The point.
    pub point: Point,
    /// The channel, where the point has one.
    pub channel: Option<u8>,
    /// How often.
    pub hits: u64,
}

/// The counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PointCounts {
    hits: BTreeMap<(Point, Option<u8>), u64>,
}

impl PointCounts {
    pub(crate) fn note(&mut self, facts: &Facts) {
        if facts.origin == RequestOrigin::Driver {
            *self.hits.entry((facts.point, facts.channel)).or_default() += 1;
        }
    }

    /// The counts in the order of the points.
    pub fn iter(&self) -> impl Iterator<Item = PointCount> {
        self.hits.iter().map(|((point, channel), hits)| PointCount {
            point: *point,
            channel: *channel,
            hits: *hits,
        })
    }
}
