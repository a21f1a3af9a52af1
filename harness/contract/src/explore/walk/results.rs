//! Judging the results of a batch, and learning from them what only the guest can tell.

use dmarig_abi::Iova;

use super::Walk;
use crate::bench::frames_of;
use crate::explore::action::Action;
use crate::explore::judge::{Judged, Planned, differs, judge_bytes, judge_outcome};
use crate::explore::model::Mdl;
use crate::finding::Finding;
use crate::oracle::PAGE_SIZE;
use crate::step::StepResult;

impl Walk<'_> {
    /// Judges the results of one action and learns from them.
    pub(super) fn take_results(&mut self, planned: &Planned, results: &[StepResult]) -> Judged {
        let (Some(first), action) = (results.first(), &planned.action) else {
            return Ok(());
        };
        let is_done = judge_outcome(action, planned.verdict, first)?;
        let outcome = match (is_done, first.result.outcome) {
            (true, _) => "success".to_owned(),
            _ => first.describe(),
        };
        let tally = &mut self.progress.tally;
        tally.judged(action.name(), planned.verdict.rule, outcome);
        if let Some(slot) = action
            .created_buffer()
            .filter(|_| planned.verdict.is_open())
        {
            self.model.settle(slot, is_done);
        }
        if !is_done {
            return Ok(());
        }
        judge_bytes(action, planned.pattern, first)?;
        self.learn(action, first)?;
        if let Some(expected) = planned.n_released {
            judge_release(expected, first)?;
        }
        match (results.last(), &planned.mdl) {
            (Some(query), Some(mdl)) => self.learn_frames(mdl, query),
            _ => Ok(()),
        }
    }

    fn learn(&mut self, action: &Action, result: &StepResult) -> Judged {
        let address = result.result.logical_address;
        match *action {
            Action::OpenRing { slot, .. } => {
                let addresses = [address, result.result.value[0]];
                self.model.learn_ring(slot, addresses);
                Ok(())
            }
            Action::Allocate { slot, .. }
            | Action::AllocateEx { slot, .. }
            | Action::AllocateWithBounds { slot, .. }
            | Action::CreateFromMdl { slot, .. } => {
                self.model.learn_address(slot, address);
                self.judge_address(slot, result)
            }
            Action::OpenAdapter { slot, .. } => judge_adapter(slot, result),
            _ => Ok(()),
        }
    }

    /// The buffer's address starts a page, lies within its bounds, and the CPU has one as well.
    fn judge_address(&self, slot: u32, result: &StepResult) -> Judged {
        let Some(buffer) = self.model.buffer(slot) else {
            return Ok(());
        };
        let start = result.result.logical_address;
        let (minimum, maximum) = buffer.bounds;
        let last = start.checked_add(buffer.len - 1);
        let va = result.result.virtual_address;
        let (expected, seen) = if !start.is_multiple_of(PAGE_SIZE) {
            (
                "a page-aligned logical address".to_owned(),
                format!("{start:#x}"),
            )
        } else if start < minimum || last.is_none_or(|last| last > maximum) {
            let expected = format!("a range inside {minimum:#x}..={maximum:#x}");
            (expected, format!("{start:#x}, {:#x} bytes", buffer.len))
        } else if va == 0 || (buffer.mdl.is_none() && !va.is_multiple_of(PAGE_SIZE)) {
            (
                "a virtual address that starts a page".to_owned(),
                format!("{va:#x}"),
            )
        } else {
            return Ok(());
        };
        let finding = Finding {
            view: "driver",
            what: "the addresses of a new common buffer".to_owned(),
            buffer: Some(format!("slot {slot}")),
            logical_address: Some(Iova::new(start)),
            expected,
            seen,
        };
        differs("address", finding)
    }

    fn learn_frames(&mut self, known: &Mdl, query: &StepResult) -> Judged {
        let (len, offset) = (known.len, known.start % PAGE_SIZE);
        let (seen_len, seen_offset) = (query.result.length, query.result.value[1]);
        let told = frames_of(query);
        let n_frames = if known.has_pages() {
            known.n_pages()
        } else {
            0
        };
        let (expected, seen) = if (seen_len, seen_offset) != (len, offset) {
            let expected = format!("{len:#x} bytes from offset {offset:#x}");
            (expected, format!("{seen_len:#x} from {seen_offset:#x}"))
        } else if told.len() as u64 != n_frames {
            (format!("{n_frames} frames"), format!("{}", told.len()))
        } else {
            match self.model.learn_frames(known.root, known.start, &told) {
                Ok(()) => return Ok(()),
                Err(seen) => ("the frames of its memory".to_owned(), seen),
            }
        };
        let finding = Finding {
            view: "driver",
            what: "the fields of an MDL".to_owned(),
            buffer: None,
            logical_address: None,
            expected,
            seen,
        };
        differs("MDL", finding)
    }
}

fn judge_release(expected: u64, result: &StepResult) -> Judged {
    let seen = result.result.value[0];
    if seen == expected {
        return Ok(());
    }
    let finding = Finding {
        view: "driver",
        what: "the number of objects that were released".to_owned(),
        buffer: None,
        logical_address: None,
        expected: expected.to_string(),
        seen: seen.to_string(),
    };
    differs("release", finding)
}

/// An adapter has the version that every table has, and the map registers that callers count on.
fn judge_adapter(slot: u32, result: &StepResult) -> Judged {
    const MAP_REGISTERS: std::ops::RangeInclusive<u64> = 2..=0xF_FFFF;
    let [registers, _, version] = result.result.value;
    let (expected, seen) = if version != 1 {
        ("GA-4: version 1", format!("{version}"))
    } else if !MAP_REGISTERS.contains(&registers) {
        (
            "GA-12: 2 to 0xfffff map registers",
            format!("{registers:#x}"),
        )
    } else {
        return Ok(());
    };
    let finding = Finding {
        view: "driver",
        what: "the fields of a new adapter".to_owned(),
        buffer: Some(format!("slot {slot}")),
        logical_address: None,
        expected: expected.to_owned(),
        seen,
    };
    differs("adapter", finding)
}
