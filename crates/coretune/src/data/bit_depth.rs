//! How values of 16 bits become the 8 bits that a network is given.

use serde::{Deserialize, Serialize};

/// The values of 16-bit images that become 0 and 255; what lies beyond is clipped. Images of 8 bits are not concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u16; 2]", into = "[u16; 2]")]
pub struct BitDepthRange {
    low: u16,
    high: u16,
}

impl BitDepthRange {
    /// All values; of each the upper byte is kept.
    pub const FULL: BitDepthRange = BitDepthRange { low: 0, high: u16::MAX };

    /// From `low` to `high`, or to the value above `low` if that is greater.
    pub fn new(low: u16, high: u16) -> Self {
        let low = low.min(u16::MAX - 1);
        BitDepthRange { low, high: high.max(low + 1) }
    }

    /// The value that becomes 0.
    pub fn low(self) -> u16 {
        self.low
    }

    /// The value that becomes 255.
    pub fn high(self) -> u16 {
        self.high
    }

    /// Whether all values are kept apart as far as 8 bits allow.
    pub fn is_full(self) -> bool {
        self == Self::FULL
    }

    /// 255 (v - low) / (high - low), rounded; of the full range v / 256, rounded down.
    pub(super) fn to_byte(self, value: u16) -> u8 {
        if self.is_full() {
            return (value >> 8) as u8;
        }
        let (above, width) = (u32::from(value.saturating_sub(self.low)), u32::from(self.high - self.low));
        ((above.min(width) * 255 + width / 2) / width) as u8
    }
}

impl Default for BitDepthRange {
    fn default() -> Self {
        Self::FULL
    }
}

impl From<[u16; 2]> for BitDepthRange {
    fn from([low, high]: [u16; 2]) -> Self {
        BitDepthRange::new(low, high)
    }
}

impl From<BitDepthRange> for [u16; 2] {
    fn from(range: BitDepthRange) -> Self {
        [range.low, range.high]
    }
}

/// Least and greatest value of both.
pub(super) fn joined(one: Option<(u16, u16)>, other: Option<(u16, u16)>) -> Option<(u16, u16)> {
    match (one, other) {
        (Some((low, high)), Some((other_low, other_high))) => Some((low.min(other_low), high.max(other_high))),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_range_become_black_and_white() {
        let twelve = BitDepthRange::new(0, 4095);
        assert_eq!([0, 8, 2048, 4095, 4096, u16::MAX].map(|value| twelve.to_byte(value)), [0, 0, 128, 255, 255, 255]);
        let between = BitDepthRange::new(1000, 1255);
        assert_eq!([0, 1000, 1001, 1254, 1255].map(|value| between.to_byte(value)), [0, 0, 1, 254, 255]);
        assert_eq!([255, 256, 0xffff].map(|value| BitDepthRange::FULL.to_byte(value)), [0, 1, 255]);
        assert_eq!(BitDepthRange::new(7, 7).to_byte(8), 255);
        assert_eq!(BitDepthRange::new(u16::MAX, 0).to_byte(u16::MAX), 255);
    }
}
