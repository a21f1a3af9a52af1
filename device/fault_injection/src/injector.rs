//! [`Injector`]: asked at every point, it counts hits and says which rule strikes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::census::PointCounts;
use crate::effect::Effect;
use crate::facts::Facts;
use crate::index::RuleIndex;
use crate::plan::{FaultPlan, INITIAL_STATE, StateScope};
use crate::point::Point;

/// Strikes that wait to be taken; beyond that they are only counted.
pub const MAX_FIRINGS: usize = 4096;
/// The number of the initial state.
const INITIAL: usize = 0;

/// What is to happen at a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The rule's number in the plan, from 0.
    pub rule: usize,
    /// The number of the hit, from 1, among those of this rule on this channel.
    pub hit: u64,
    /// What happens.
    pub effect: Effect,
}

/// A strike, for those who keep records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The rule's number in the plan, from 0.
    pub rule: usize,
    /// The rule's name.
    pub name: String,
    /// The number of the hit, from 1, among those of this rule on this channel.
    pub hit: u64,
    /// What the rule did.
    pub effect: Effect,
    /// What it did it to.
    pub facts: Facts,
}

/// What a rule has done on one channel, or for the function beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// The channel; `None` for hits that belong to none.
    pub channel: Option<u8>,
    /// Accesses that the rule's event, match and state meant.
    pub hits: u64,
    /// Those of them that it struck.
    pub fired: u64,
    /// The number of the last one struck, 0 if none was.
    pub last_fired_hit: u64,
}

/// What a rule has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStatus {
    /// Its name.
    pub name: String,
    /// Whether it may stay unfired.
    pub is_optional: bool,
    /// By channel; what it never saw is not there.
    pub channels: Vec<ChannelStatus>,
}

impl RuleStatus {
    /// Hits of all channels.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.channels.iter().map(|channel| channel.hits).sum()
    }

    /// Strikes of all channels.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.channels.iter().map(|channel| channel.fired).sum()
    }
}

/// A rule's count on one channel.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    status: ChannelStatus,
    /// Hits that the trigger chose, whether or not an earlier rule decided.
    due: u64,
}

/// A plan with what has become of it.
#[derive(Clone, Debug, Default)]
pub struct Injector {
    plan: FaultPlan,
    /// The number of the device under test.
    function: u16,
    index: RuleIndex,
    /// For each rule: its state's number and the number of the state that follows it.
    states: Vec<(Option<usize>, Option<usize>)>,
    /// For each rule, by channel.
    counters: Vec<BTreeMap<Option<u8>, Counter>>,
    /// States that are no longer the initial one, by owner.
    current_states: BTreeMap<Option<u8>, usize>,
    /// Room for the numbers of the rules that an access may concern.
    candidates: Vec<usize>,
    firings: Vec<Firing>,
    census: Option<PointCounts>,
}

impl Injector {
    /// An injector of a plan.
    #[must_use]
    pub fn new(plan: FaultPlan) -> Self {
        let mut injector = Self::default();
        injector.load(plan);
        injector
    }

    /// One without a plan for the device under test of this number; without it, it is for the first.
    #[must_use]
    pub fn for_function(function: u16) -> Self {
        Self {
            function,
            ..Self::default()
        }
    }

    /// Begins a plan, of which the rules for other devices do nothing here: all counters at 0, all states initial. The census goes on.
    pub fn load(&mut self, plan: FaultPlan) {
        let mut names = vec![INITIAL_STATE.to_owned()];
        let mut number = |state: &Option<String>| {
            let state = state.as_ref()?;
            let known = names.iter().position(|name| name == state);
            Some(known.unwrap_or_else(|| {
                names.push(state.clone());
                names.len() - 1
            }))
        };
        self.states = plan
            .rules
            .iter()
            .map(|rule| (number(&rule.state), number(&rule.new_state)))
            .collect();
        self.index = RuleIndex::new(&plan.rules, self.function);
        self.counters = vec![BTreeMap::new(); plan.rules.len()];
        self.current_states.clear();
        self.firings.clear();
        self.plan = plan;
    }

    /// Forgets the plan.
    pub fn clear(&mut self) {
        self.load(FaultPlan::default());
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    /// Whether nobody looks anywhere.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.index.is_empty() && self.census.is_none()
    }

    /// Whether anybody looks at a point: the one test that is made where nothing is armed.
    #[must_use]
    pub const fn is_armed(&self, point: Point) -> bool {
        self.index.is_armed(point) || self.census.is_some()
    }

    /// Whether a rule may look at one of the accesses into which a range of `len_bytes` bytes from
    /// `iova` on is split. If not, nobody need split it.
    #[must_use]
    pub fn is_armed_for(
        &self,
        point: Point,
        channel: Option<u8>,
        iova: u64,
        len_bytes: u64,
    ) -> bool {
        if self.census.is_some() {
            return true;
        }
        if !self.index.is_armed(point) {
            return false;
        }
        let range = (iova, iova.saturating_add(len_bytes.saturating_sub(1)));
        let mut is_armed = false;
        let mut note = |_| is_armed = true;
        self.index.visit(point, channel, Some(range), &mut note);
        is_armed
    }

    /// Counts an access, and says what is to happen to it, if anything.
    ///
    /// All rules that match count the hit. The first of them, in the order of the plan, that strikes
    /// decides, and its `new-state` follows.
    pub fn decide(&mut self, facts: &Facts) -> Option<Decision> {
        if let Some(census) = &mut self.census {
            census.note(facts);
        }
        if !self.index.is_armed(facts.point) {
            return None;
        }
        let range = facts.iova.map(|iova| {
            let last = iova.saturating_add(facts.len_bytes.saturating_sub(1));
            (iova, last)
        });
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        self.index.visit(facts.point, facts.channel, range, |rule| {
            candidates.push(rule)
        });
        candidates.sort_unstable();
        let owner = match self.plan.state_scope {
            StateScope::Channel => facts.channel,
            StateScope::Function => None,
        };
        let state = self.current_states.get(&owner).copied().unwrap_or(INITIAL);
        let mut decision = None;
        for &rule in &candidates {
            decision = self.count(rule, state, facts, decision);
        }
        self.candidates = candidates;
        let decision = decision?;
        if let (_, Some(new_state)) = self.states[decision.rule] {
            self.current_states.insert(owner, new_state);
        }
        if self.firings.len() < MAX_FIRINGS {
            self.firings.push(Firing {
                rule: decision.rule,
                name: self.plan.rules[decision.rule].name.clone(),
                hit: decision.hit,
                effect: decision.effect,
                facts: *facts,
            });
        }
        Some(decision)
    }

    /// What each rule has done, in the order of the plan; those for other devices nothing.
    #[must_use]
    pub fn status(&self) -> Vec<RuleStatus> {
        let rules = self.plan.rules.iter().zip(&self.counters);
        rules
            .map(|(rule, counters)| RuleStatus {
                name: rule.name.clone(),
                is_optional: rule.is_optional,
                channels: counters.values().map(|counter| counter.status).collect(),
            })
            .collect()
    }

    /// Hands out the strikes since the last call, in order.
    pub fn take_firings(&mut self) -> Vec<Firing> {
        std::mem::take(&mut self.firings)
    }

    /// Begins to count the points that are passed, or to count them anew.
    pub fn start_census(&mut self) {
        self.census = Some(PointCounts::default());
    }

    /// Ends the counting, and hands out the counts.
    pub fn stop_census(&mut self) -> Option<PointCounts> {
        self.census.take()
    }

    /// The counts so far, if anybody counts.
    #[must_use]
    pub const fn census(&self) -> Option<&PointCounts> {
        self.census.as_ref()
    }

    /// Counts the hit for one rule; the decision so far stays.
    fn count(
        &mut self,
        number: usize,
        state: usize,
        facts: &Facts,
        decision: Option<Decision>,
    ) -> Option<Decision> {
        let rule = &self.plan.rules[number];
        let is_in_state = self.states[number].0.is_none_or(|own| own == state);
        if !is_in_state || !rule.condition.matches(facts) {
            return decision;
        }
        let counter = self.counters[number].entry(facts.channel).or_default();
        counter.status.channel = facts.channel;
        counter.status.hits += 1;
        let hit = counter.status.hits;
        let may_strike = rule.trigger.times.is_none_or(|times| counter.due < times);
        if !may_strike || !rule.strikes(self.plan.seed, self.function, facts.channel, hit) {
            return decision;
        }
        // A strike that an earlier rule takes away is used up, so that no rule's hits hang on others.
        counter.due += 1;
        if decision.is_some() {
            return decision;
        }
        counter.status.fired += 1;
        counter.status.last_fired_hit = hit;
        Some(Decision {
            rule: number,
            hit,
            effect: rule.effect,
        })
    }
}
