//! [`InterruptLines`]: the interrupt lines that a device signals.
//!
//! A vector is an eventfd of the client. QEMU keeps the MSI-X table to itself, so its mask bits
//! are not known here; a vector without an eventfd is one the guest has not unmasked yet. Five
//! signals before QEMU looks become one interrupt.

use std::ops::Range;
use std::os::fd::OwnedFd;

use crate::error::Errno;
use crate::irq::{IrqAction, IrqData, IrqIndex, IrqInfo, IrqSet, MAX_VECTORS, N_IRQ_INDICES};
use crate::vector_eventfd::VectorEventFd;

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// The client was told.
    Delivered,
    /// The vector is masked; the signal is kept until it is unmasked.
    Pending,
    /// No eventfd is bound, or the kind has no such vector.
    Unbound,
}

/// Totals of [`InterruptLines`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterruptCounters {
    /// Signals the client was told of.
    pub delivered: u64,
    /// Signals kept because of a mask.
    pub pending: u64,
    /// Signals lost for want of an eventfd.
    pub unbound: u64,
}

#[derive(Debug, Default)]
struct Line {
    eventfd: Option<VectorEventFd>,
    masked: bool,
    pending: bool,
}

/// The interrupt lines of one device.
#[derive(Debug)]
pub struct InterruptLines {
    kinds: [Vec<Line>; N_IRQ_INDICES as usize],
    counters: InterruptCounters,
}

impl InterruptLines {
    /// Makes lines without eventfds, `counts` being the vectors of INTx, MSI, MSI-X, ERR and REQ.
    ///
    /// # Panics
    /// If a count is above [`MAX_VECTORS`], or INTx has more than one.
    pub fn new(counts: [u32; N_IRQ_INDICES as usize]) -> Self {
        assert!(counts[0] <= 1, "a function has one interrupt pin");
        let kinds = counts.map(|count| {
            assert!(count <= MAX_VECTORS, "more vectors than MSI-X has");
            (0..count).map(|_| Line::default()).collect()
        });
        Self {
            kinds,
            counters: InterruptCounters::default(),
        }
    }

    /// Describes a kind, for [`DeviceModel::irq_info`](crate::DeviceModel::irq_info).
    ///
    /// Kinds can grow and shrink while enabled: saying otherwise makes QEMU tear all vectors
    /// down each time the guest unmasks a further one.
    pub fn info(&self, index: IrqIndex) -> IrqInfo {
        let is_intx = index == IrqIndex::INTX;
        IrqInfo {
            count: u32::try_from(self.kinds[index.slot()].len()).unwrap_or(MAX_VECTORS),
            maskable: is_intx,
            automasked: is_intx,
        }
    }

    /// Returns the totals.
    pub fn counters(&self) -> InterruptCounters {
        self.counters
    }

    /// Number of vectors of a kind that have an eventfd.
    pub fn bound_count(&self, index: IrqIndex) -> usize {
        let lines = &self.kinds[index.slot()];
        lines.iter().filter(|line| line.eventfd.is_some()).count()
    }

    /// Tells whether the interrupt pin is up.
    pub fn is_intx_asserted(&self) -> bool {
        let pin = self.kinds[IrqIndex::INTX.slot()].first();
        pin.is_some_and(|line| line.pending)
    }

    /// Does what the client asks.
    ///
    /// # Errors
    /// `EINVAL` for a range outside the kind, a number of eventfds or flags that does not fit
    /// the range, eventfds with another action than trigger, or a descriptor that is not an
    /// eventfd. Nothing has changed then.
    pub fn apply(&mut self, set: IrqSet) -> Result<(), Errno> {
        let range = vector_range(&set)?;
        if range.end > self.kinds[set.index.slot()].len() {
            return Err(Errno::EINVAL);
        }
        match set.data {
            IrqData::EventFds(fds) => self.bind(set.index, range, set.action, fds),
            IrqData::None if set.action == IrqAction::Trigger && set.count == 0 => {
                self.unbind(set.index);
                Ok(())
            }
            IrqData::None => {
                range.for_each(|vector| self.act(set.index, vector, set.action));
                Ok(())
            }
            IrqData::Flags(flags) if flags.len() == range.len() => {
                range
                    .zip(flags)
                    .filter(|(_, is_meant)| *is_meant)
                    .for_each(|(vector, _)| self.act(set.index, vector, set.action));
                Ok(())
            }
            IrqData::Flags(_) => Err(Errno::EINVAL),
        }
    }

    /// Signals one vector of MSI, MSI-X, ERR or REQ. For INTx use [`Self::assert_intx`].
    pub fn signal(&mut self, index: IrqIndex, vector: u16) -> Signalled {
        self.fire(index, usize::from(vector))
    }

    /// Signals an MSI-X vector.
    pub fn signal_msix(&mut self, vector: u16) -> Signalled {
        self.signal(IrqIndex::MSIX, vector)
    }

    /// Raises the interrupt pin. It stays up, and is signalled again at each unmask, until
    /// [`Self::deassert_intx`].
    pub fn assert_intx(&mut self) -> Signalled {
        self.fire(IrqIndex::INTX, 0)
    }

    /// Lowers the interrupt pin.
    pub fn deassert_intx(&mut self) {
        if let Some(line) = self.kinds[IrqIndex::INTX.slot()].first_mut() {
            line.pending = false;
        }
    }

    /// Closes every eventfd and forgets masks and what is pending, as after a disconnect.
    pub fn unbind_all(&mut self) {
        for line in self.kinds.iter_mut().flatten() {
            *line = Line::default();
        }
    }

    /// Closes the eventfds of one kind. A raised pin stays raised.
    fn unbind(&mut self, index: IrqIndex) {
        for line in &mut self.kinds[index.slot()] {
            *line = Line {
                pending: line.pending && index == IrqIndex::INTX,
                ..Line::default()
            };
        }
    }

    fn bind(
        &mut self,
        index: IrqIndex,
        range: Range<usize>,
        action: IrqAction,
        fds: Vec<OwnedFd>,
    ) -> Result<(), Errno> {
        if action != IrqAction::Trigger {
            return Err(Errno::EINVAL);
        }
        let eventfds: Vec<Option<VectorEventFd>> = if fds.is_empty() {
            range.clone().map(|_| None).collect()
        } else if fds.len() == range.len() {
            fds.iter().try_for_each(VectorEventFd::check)?;
            fds.into_iter().map(VectorEventFd::new).map(Some).collect()
        } else {
            return Err(Errno::EINVAL);
        };
        for (vector, eventfd) in range.zip(eventfds) {
            let line = &mut self.kinds[index.slot()][vector];
            line.masked = false;
            line.eventfd = eventfd;
            self.refire(index, vector);
        }
        Ok(())
    }

    fn act(&mut self, index: IrqIndex, vector: usize, action: IrqAction) {
        match action {
            IrqAction::Mask => self.kinds[index.slot()][vector].masked = true,
            IrqAction::Unmask => {
                self.kinds[index.slot()][vector].masked = false;
                self.refire(index, vector);
            }
            IrqAction::Trigger => {
                self.fire(index, vector);
            }
        }
    }

    /// Signals again what was held back, and a pin that is still up.
    fn refire(&mut self, index: IrqIndex, vector: usize) {
        let line = &self.kinds[index.slot()][vector];
        if line.pending && line.eventfd.is_some() {
            self.fire(index, vector);
        }
    }

    fn fire(&mut self, index: IrqIndex, vector: usize) -> Signalled {
        let is_intx = index == IrqIndex::INTX;
        let Some(line) = self.kinds[index.slot()].get_mut(vector) else {
            self.counters.unbound += 1;
            return Signalled::Unbound;
        };
        // A pin is a level: it stays pending until it is lowered, whoever has been told.
        line.pending = line.masked || is_intx;
        if line.masked {
            self.counters.pending += 1;
            return Signalled::Pending;
        }
        if !line.eventfd.as_ref().is_some_and(VectorEventFd::signal) {
            self.counters.unbound += 1;
            return Signalled::Unbound;
        }
        line.masked = is_intx;
        self.counters.delivered += 1;
        Signalled::Delivered
    }
}

fn vector_range(set: &IrqSet) -> Result<Range<usize>, Errno> {
    let end = set.start.checked_add(set.count).ok_or(Errno::EINVAL)?;
    let start = usize::try_from(set.start).map_err(|_| Errno::EINVAL)?;
    let end = usize::try_from(end).map_err(|_| Errno::EINVAL)?;
    Ok(start..end)
}
