//! Restart markers of JPEG: decoders resynchronise at them, and so accept data of which intervals are missing.

use memchr::memchr_iter;

/// What a frame header says of the size of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    width: usize,
    height: usize,
    /// The identifier of each component, and its horizontal and vertical sampling factors.
    components: Vec<(u8, usize, usize)>,
}

/// Whether the restart markers are those that the headers ask for.
#[derive(Debug, Clone, Default)]
pub(super) struct Restarts {
    pub(super) frame: Option<Frame>,
    /// Coded units between two markers; 0 without markers.
    interval: usize,
    are_damaged: bool,
}

impl Frame {
    pub(super) fn of(header: &[u8]) -> Option<Self> {
        let &[_, a, b, c, d, count, ref entries @ ..] = header else { return None };
        let entries = entries.get(..3 * usize::from(count))?.as_chunks::<3>().0;
        let component = |&[id, sampling, _]: &[u8; 3]| (id, usize::from(sampling >> 4), usize::from(sampling & 15));
        let components: Vec<_> = entries.iter().map(component).collect();
        let (height, width) = (usize::from(u16::from_be_bytes([a, b])), usize::from(u16::from_be_bytes([c, d])));
        let is_sound = |&(_, across, down): &(u8, usize, usize)| across > 0 && down > 0;
        // A height of 0 is said behind the first scan.
        (height > 0 && width > 0 && components.iter().all(is_sound)).then_some(Frame { width, height, components })
    }

    /// The blocks of a component in a coded unit of several components.
    pub(super) fn blocks_in_unit(&self, id: u8) -> Option<usize> {
        self.components.iter().find(|(own, ..)| *own == id).map(|(_, across, down)| across * down)
    }

    /// The coded units of a scan with this header (ITU-T T.81, A.2).
    pub(super) fn units(&self, scan: &[u8]) -> Option<usize> {
        let (&count, rest) = scan.split_first()?;
        let most = |factor: fn(&(u8, usize, usize)) -> usize| self.components.iter().map(factor).max();
        let (across, down) = (most(|component| component.1)?, most(|component| component.2)?);
        if count != 1 {
            return Some(self.width.div_ceil(8 * across) * self.height.div_ceil(8 * down));
        }
        let id = rest.first()?;
        let &(_, own_across, own_down) = self.components.iter().find(|(own, ..)| own == id)?;
        let blocks = |size: usize, own: usize, most: usize| (size * own).div_ceil(most).div_ceil(8);
        Some(blocks(self.width, own_across, across) * blocks(self.height, own_down, down))
    }
}

impl Restarts {
    /// Notes what a segment that defines the restart interval says.
    pub(super) fn set_interval(&mut self, content: &[u8]) {
        if let &[high, low, ..] = content {
            self.interval = usize::from(u16::from_be_bytes([high, low]));
        }
    }

    /// Notes the markers of a scan: they count from 0 to 7 again and again, one behind each interval but the last. Some
    /// encoders write one behind the last too.
    pub(super) fn add(&mut self, scan: &[u8], data: &[u8]) {
        if self.interval == 0 {
            return;
        }
        let marker = |at: usize| data.get(at + 1).copied().filter(|marker| (0xD0..=0xD7).contains(marker));
        let markers = memchr_iter(0xFF, data).filter_map(marker);
        let (mut count, mut in_order) = (0, true);
        for marker in markers {
            in_order &= usize::from(marker - 0xD0) == count % 8;
            count += 1;
        }
        let units = self.frame.as_ref().and_then(|frame| frame.units(scan));
        let expected = units.map(|units| units.div_ceil(self.interval).saturating_sub(1));
        self.are_damaged |= !in_order || expected.is_some_and(|expected| count != expected && count != expected + 1);
    }

    pub(super) fn are_damaged(&self) -> bool {
        self.are_damaged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of an image of 33 x 17 pixels with one component at 2 x 2 and two at 1 x 1.
    fn frame() -> Frame {
        Frame::of(&[8, 0, 17, 0, 33, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]).unwrap()
    }

    #[test]
    fn the_units_of_a_scan_follow_from_the_sampling() {
        assert_eq!(frame().units(&[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]), Some(3 * 2), "16 x 16 pixels each");
        assert_eq!(frame().units(&[1, 1, 0, 1, 63, 0]), Some(5 * 3), "8 x 8 pixels each");
        assert_eq!(frame().units(&[1, 2, 0, 1, 63, 0]), Some(3 * 2));
        assert_eq!(Frame::of(&[8, 0, 0, 0, 33, 1, 1, 0x11, 0]), None, "a height that is not known yet");
    }

    #[test]
    fn markers_that_are_missing_or_out_of_order_are_found() {
        let damaged = |interval: u8, data: &[u8]| {
            let mut restarts = Restarts { frame: Some(frame()), ..Restarts::default() };
            restarts.set_interval(&[0, interval]);
            restarts.add(&[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0], data);
            restarts.are_damaged()
        };
        assert!(!damaged(0, &[1, 2, 0xFF, 0xD0]));
        assert!(!damaged(2, &[1, 0xFF, 0xD0, 2, 0xFF, 0, 0xFF, 0xD1, 3]));
        assert!(!damaged(2, &[1, 0xFF, 0xD0, 2, 0xFF, 0xD1, 3, 0xFF, 0xD2]), "one behind the last interval");
        assert!(!damaged(6, &[1]));
        assert!(damaged(2, &[1, 0xFF, 0xD0, 2]), "one is missing");
        assert!(damaged(2, &[1, 0xFF, 0xD1, 2, 0xFF, 0xD0, 3]), "exchanged");
        assert!(damaged(3, &[1, 0xFF, 0xD2, 2]), "another number");
    }
}
