//! [`TimerQueue`]: which timers are set, in the order they are due.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Range;

/// One timer that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Address of the KTIMER.
    pub timer: u64,
    /// What was set with it.
    pub setting: Setting,
}

/// What a timer was set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// In 100 ns since boot.
    pub due: u64,
    /// In 100 ns; 0 for none.
    pub period: u64,
    /// Address of the KDPC; 0 for none.
    pub dpc: u64,
}

/// The set timers.
#[derive(Debug)]
pub(super) struct TimerQueue {
    settings: BTreeMap<u64, Setting>,
    order: BTreeSet<(u64, u64)>,
}

impl TimerQueue {
    pub const fn new() -> Self {
        Self {
            settings: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }

    /// Sets a timer; whether it was set before.
    pub fn set(&mut self, timer: u64, setting: Setting) -> bool {
        let was_set = self.cancel(timer);
        self.settings.insert(timer, setting);
        self.order.insert((setting.due, timer));
        was_set
    }

    /// Cancels a timer; whether it was set.
    pub fn cancel(&mut self, timer: u64) -> bool {
        let Some(setting) = self.settings.remove(&timer) else {
            return false;
        };
        self.order.remove(&(setting.due, timer))
    }

    /// Takes the first timer that is due. A periodic one is set again, past `now`: periods that were missed
    /// are not made up for.
    pub fn pop_due(&mut self, now: u64) -> Option<Due> {
        let (due, timer) = *self.order.first()?;
        if due > now {
            return None;
        }
        let setting = *self.settings.get(&timer)?;
        self.cancel(timer);
        if let Some(missed) = (now - due).checked_div(setting.period) {
            let next = Setting {
                due: due.saturating_add((missed + 1).saturating_mul(setting.period)),
                ..setting
            };
            self.set(timer, next);
        }
        Some(Due { timer, setting })
    }

    /// When the next timer is due.
    pub fn next_due(&self) -> Option<u64> {
        self.order.first().map(|(due, _)| *due)
    }

    /// A set timer that lies in the range of addresses.
    pub fn set_within(&self, range: &Range<u64>) -> Option<u64> {
        self.settings
            .range(range.clone())
            .next()
            .map(|(timer, _)| *timer)
    }

    /// A timer whose DPC lies in the range of addresses.
    pub fn dpc_within(&self, range: &Range<u64>) -> Option<u64> {
        let mut dpcs = self.settings.values().map(|setting| setting.dpc);
        dpcs.find(|dpc| range.contains(dpc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(due: u64) -> Setting {
        Setting {
            due,
            period: 0,
            dpc: 0,
        }
    }

    #[test]
    fn timers_come_in_the_order_they_are_due() {
        let mut queue = TimerQueue::new();
        for (timer, due) in [(0x10, 300), (0x20, 100), (0x30, 200)] {
            assert!(!queue.set(timer, once(due)));
        }
        assert_eq!(queue.next_due(), Some(100));
        assert_eq!(queue.pop_due(99), None);
        let mut order = std::vec::Vec::new();
        while let Some(due) = queue.pop_due(250) {
            order.push(due.timer);
        }
        assert_eq!(order, [0x20, 0x30]);
        assert!(queue.cancel(0x10) && !queue.cancel(0x10) && !queue.cancel(0x20));
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn setting_again_replaces_the_old_time() {
        let mut queue = TimerQueue::new();
        queue.set(0x10, once(100));
        assert!(queue.set(0x10, once(500)));
        assert_eq!(queue.pop_due(400), None);
        assert_eq!(queue.pop_due(500).map(|due| due.timer), Some(0x10));
        assert_eq!(queue.pop_due(u64::MAX), None);
    }

    #[test]
    fn periodic_timer_comes_again_and_missed_periods_do_not() {
        let mut queue = TimerQueue::new();
        let setting = Setting {
            due: 100,
            period: 10,
            dpc: 0x99,
        };
        queue.set(0x10, setting);
        assert_eq!(queue.pop_due(135).map(|due| due.setting.dpc), Some(0x99));
        assert_eq!(queue.pop_due(135), None, "three periods were missed");
        assert_eq!(queue.next_due(), Some(140));
        queue.set(
            0x10,
            Setting {
                due: u64::MAX,
                period: u64::MAX,
                dpc: 0,
            },
        );
        assert!(queue.pop_due(u64::MAX).is_some(), "nothing wraps");
    }

    #[test]
    fn timers_and_dpcs_in_freed_memory_are_found() {
        let mut queue = TimerQueue::new();
        queue.set(
            0x1000,
            Setting {
                dpc: 0x2000,
                ..once(1)
            },
        );
        assert_eq!(queue.set_within(&(0xFF8..0x1001)), Some(0x1000));
        assert_eq!(queue.set_within(&(0x1001..0x2000)), None);
        assert_eq!(queue.dpc_within(&(0x2000..0x2001)), Some(0x2000));
        assert_eq!(queue.dpc_within(&(0..0x2000)), None);
    }
}
