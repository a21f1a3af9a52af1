//! [`Invalidation`]: what software orders when it has changed its tables, and when that takes effect.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use dmarig_abi::{Iova, RequesterId};
use thiserror::Error;

use super::entry::PAGE_BITS;

/// Orders that wait, as many as a queue of one page holds (section 6.5.2).
pub const MAX_PENDING: usize = 256;
/// CAP.MAMV: the largest address mask.
pub const MAX_ADDRESS_MASK: u8 = 18;

/// An order to forget (section 6.5.1). What is cached of a context entry and what is cached of pages are
/// separate: an order for one leaves the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// All context entries.
    ContextGlobal,
    /// The context entries that name a domain.
    ContextDomain {
        /// The domain.
        domain: u16,
    },
    /// The context entries of a function and its neighbors.
    ContextDevice {
        /// The function.
        requester: RequesterId,
        /// FM: how many bits of the function number are not compared, 0 to 3, from the highest on.
        masked_bits: u8,
    },
    /// All pages.
    IotlbGlobal,
    /// The pages of a domain.
    IotlbDomain {
        /// The domain.
        domain: u16,
    },
    /// Some pages of a domain.
    IotlbPages {
        /// The domain.
        domain: u16,
        /// The first page, a multiple of the whole range's length.
        iova: Iova,
        /// AM: there are 2^`address_mask` pages of 4 KiB, at most 2^18.
        address_mask: u8,
    },
}

/// When an order takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidationMode {
    /// When it is given.
    Immediate,
    /// At the next wait, or so many ticks after it was given. Until then a stale entry hurts.
    Deferred {
        /// `None`: at the next wait only.
        ticks: Option<NonZeroU32>,
    },
}

/// Why an order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidationError {
    /// The queue is full.
    #[error("{MAX_PENDING} invalidations wait already; order a wait first")]
    QueueFull,
    /// More pages than one order can name.
    #[error(
        "address mask {address_mask} is above {MAX_ADDRESS_MASK}; order several, or the domain"
    )]
    AddressMask {
        /// The mask.
        address_mask: u8,
    },
    /// The first page is no multiple of the range's length.
    #[error("IOVA {iova} is no multiple of the 2^{address_mask} pages that start there")]
    Misaligned {
        /// The first page.
        iova: Iova,
        /// The mask.
        address_mask: u8,
    },
    /// The function mask has two bits.
    #[error("{masked_bits} masked bits of the function number; there are 0 to 3")]
    FunctionMask {
        /// What was asked for.
        masked_bits: u8,
    },
}

impl Invalidation {
    pub(super) fn check(&self) -> Result<(), InvalidationError> {
        match *self {
            Self::ContextDevice { masked_bits, .. } if masked_bits > 3 => {
                Err(InvalidationError::FunctionMask { masked_bits })
            }
            Self::IotlbPages { address_mask, .. } if address_mask > MAX_ADDRESS_MASK => {
                Err(InvalidationError::AddressMask { address_mask })
            }
            Self::IotlbPages {
                iova, address_mask, ..
            } if !iova.is_aligned(1 << (PAGE_BITS + address_mask)) => {
                Err(InvalidationError::Misaligned { iova, address_mask })
            }
            _ => Ok(()),
        }
    }
}

/// The bits of a requester ID that are compared (section 6.5.1.1, field FM).
pub(super) const fn function_mask(masked_bits: u8) -> u16 {
    match masked_bits {
        0 => !0,
        1 => !0b100,
        2 => !0b110,
        _ => !0b111,
    }
}

/// Orders that have not taken effect yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// In the order given, each with the tick at which it is due.
    orders: VecDeque<(Option<u64>, Invalidation)>,
    now: u64,
}

impl Pending {
    pub(super) fn push(
        &mut self,
        order: Invalidation,
        ticks: Option<NonZeroU32>,
    ) -> Result<(), InvalidationError> {
        if self.orders.len() >= MAX_PENDING {
            return Err(InvalidationError::QueueFull);
        }
        let due = ticks.map(|ticks| self.now + u64::from(ticks.get()));
        self.orders.push_back((due, order));
        Ok(())
    }

    /// One tick passes.
    pub(super) fn tick(&mut self) {
        self.now += 1;
    }

    /// The first order, if it is due.
    pub(super) fn pop_due(&mut self) -> Option<Invalidation> {
        let (due, _) = self.orders.front()?;
        if due.is_some_and(|due| due <= self.now) {
            return self.pop();
        }
        None
    }

    /// The first order.
    pub(super) fn pop(&mut self) -> Option<Invalidation> {
        self.orders.pop_front().map(|(_, order)| order)
    }

    pub(super) fn len(&self) -> usize {
        self.orders.len()
    }
}
