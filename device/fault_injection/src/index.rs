//! [`RuleIndex`]: the few rules of many that an access can concern.

use std::collections::BTreeMap;

use crate::point::Point;
use crate::rule::Rule;

/// Rules by point and channel, and there by the IOVAs that they match.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleIndex {
    /// Bit `Point::bit` is set where there is a rule.
    armed: u32,
    /// Rules that match one channel, and those that match any (`None`).
    buckets: BTreeMap<(Point, Option<u8>), Bucket>,
}

impl RuleIndex {
    /// Of the rules that are for this device under test.
    pub(crate) fn new(rules: &[Rule], function: u16) -> Self {
        let mut index = Self::default();
        let own = |(_, rule): &(usize, &Rule)| rule.condition.concerns(function);
        for (number, rule) in rules.iter().enumerate().filter(own) {
            index.armed |= rule.event.bit();
            let key = (rule.event, rule.condition.channel);
            index.buckets.entry(key).or_default().push(number, rule);
        }
        for bucket in index.buckets.values_mut() {
            bucket.seal();
        }
        index
    }

    /// Whether any rule looks at the point.
    pub(crate) const fn is_armed(&self, point: Point) -> bool {
        self.armed & point.bit() != 0
    }

    /// Whether there is no rule.
    pub(crate) const fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// Calls `visit` with the numbers of rules that may match; not in order.
    pub(crate) fn visit(
        &self,
        point: Point,
        channel: Option<u8>,
        range: Option<(u64, u64)>,
        mut visit: impl FnMut(usize),
    ) {
        let general = self.buckets.get(&(point, None));
        let own = channel.and_then(|channel| self.buckets.get(&(point, Some(channel))));
        for bucket in general.into_iter().chain(own) {
            bucket.visit(range, &mut visit);
        }
    }
}

/// One rule's IOVAs, both ends included.
#[derive(Clone, Copy, Debug)]
struct Span {
    min: u64,
    max: u64,
    rule: usize,
    /// The largest `max` of this one and those before it.
    max_so_far: u64,
}

/// Rules sorted by the first IOVA that they match.
#[derive(Clone, Debug, Default)]
struct Bucket {
    spans: Vec<Span>,
}

impl Bucket {
    fn push(&mut self, number: usize, rule: &Rule) {
        let pattern = rule.condition.iova;
        let (min, max) = pattern.map_or((0, u64::MAX), |pattern| (pattern.min, pattern.max));
        self.spans.push(Span {
            min,
            max,
            rule: number,
            max_so_far: 0,
        });
    }

    fn seal(&mut self) {
        self.spans.sort_by_key(|span| span.min);
        let mut max_so_far = 0;
        for span in &mut self.spans {
            max_so_far = span.max.max(max_so_far);
            span.max_so_far = max_so_far;
        }
    }

    /// An access without IOVA concerns every rule here.
    fn visit(&self, range: Option<(u64, u64)>, visit: &mut impl FnMut(usize)) {
        let (start, last) = range.unwrap_or((0, u64::MAX));
        let end = self.spans.partition_point(|span| span.min <= last);
        for span in self.spans[..end].iter().rev() {
            if span.max_so_far < start {
                break;
            }
            if span.max >= start {
                visit(span.rule);
            }
        }
    }
}
