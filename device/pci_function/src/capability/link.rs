//! [`LinkState`]: speed and width of a link, as link capabilities and link status have them. Sections
//! 7.5.3.6 and 7.5.3.8.

/// How fast a lane is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkSpeed {
    /// 2.5 GT/s.
    Gt2_5,
    /// 5 GT/s.
    Gt5,
    /// 8 GT/s.
    #[default]
    Gt8,
    /// 16 GT/s.
    Gt16,
    /// 32 GT/s.
    Gt32,
}

impl LinkSpeed {
    /// The code of the registers, from 1.
    pub(crate) const fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The supported link speeds vector of link capabilities 2, with all speeds up to this.
    pub(crate) const fn vector(self) -> u32 {
        // Bit 0 is reserved.
        (2 << self.code()) - 2
    }
}

/// Speed and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// How fast a lane is.
    pub speed: LinkSpeed,
    /// Lanes; one of [`Self::WIDTHS`].
    pub width: u8,
}

impl Default for LinkState {
    fn default() -> Self {
        Self {
            speed: LinkSpeed::default(),
            width: 4,
        }
    }
}

impl LinkState {
    /// The numbers of lanes that there are.
    pub const WIDTHS: [u8; 7] = [1, 2, 4, 8, 12, 16, 32];

    /// The low bits of link capabilities and of link status.
    pub(crate) fn bits(self) -> u16 {
        u16::from(self.speed.code()) | u16::from(self.width) << 4
    }

    /// The lesser speed and the lesser width of two.
    pub(crate) fn at_most(self, other: Self) -> Self {
        Self {
            speed: self.speed.min(other.speed),
            width: self.width.min(other.width),
        }
    }
}
