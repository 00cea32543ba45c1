//! Where the scans of a JPEG file end, so that image data that is missing cannot pass for pixels.
//!
//! Decoders fill up with zeros what a scan lacks before the next marker, and zeros are usually sound codes: the rest of
//! the image is grey. No Huffman table has a code of ones only (ITU-T T.81, annex C), therefore a decoder that meets ones
//! where a scan ends fails as soon as it needs more than there is, and never before.

use memchr::memchr_iter;

use super::jpeg_holes::FirstCodes;
use super::jpeg_restarts::{Frame, Restarts};

/// Stuffed ones: more than a decoder reads ahead, and than the correction bits of a run of blocks.
const ONES: [u8; 512] = pairs(0xFF, 0);
/// Ends a restart interval, so that one that is complete is not the last of an image that is not.
const RESTART: [u8; 2] = [0xFF, 0xD0];
const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];

/// Zeros at the end of a file without an end marker, from which on they are not image data. A flat image can end with
/// some that are.
const MANY_ZEROS: usize = 32;

/// Zeros with which image data may end.
const ZEROS_OF_DATA: usize = 2;

/// Coefficients of a block.
const COEFFICIENTS: usize = 64;
/// In place of the lowest bit that was sent of a coefficient: none.
const UNSENT: u8 = u8::MAX;

/// The scans of the first image in a JPEG file.
#[derive(Debug)]
pub(super) struct Scans {
    progressive: bool,
    components: Vec<Component>,
    /// Position of the first byte after the data of each scan.
    ends: Vec<usize>,
    /// How many zeros follow the last scan up to the end of the file, as where a download did not write.
    zeros: usize,
    /// The scan in whose data a hole begins, and its position in the file.
    hole: Option<(usize, usize)>,
    restarts: Restarts,
}

#[derive(Debug, Clone)]
struct Component {
    id: u8,
    /// Of each coefficient the lowest bit that a scan has sent.
    lowest_bits: [u8; COEFFICIENTS],
}

impl Scans {
    /// Follows the markers; `None` if they lead to no scan, which the decoder then says better.
    pub(super) fn find(bytes: &[u8]) -> Option<Self> {
        let (progressive, restarts) = (false, Restarts::default());
        let (ends, zeros, hole) = (Vec::new(), 0, None);
        let mut scans = Scans { progressive, components: Vec::new(), ends, zeros, hole, restarts };
        let mut codes = FirstCodes::default();
        let mut position = 2;
        while let Some((marker, content)) = segment(bytes, &mut position) {
            match marker {
                0xD9 => break,
                0xC0..=0xC2 if scans.components.is_empty() => {
                    scans.progressive = marker == 0xC2;
                    scans.components = components(content)?;
                    scans.restarts.frame = Frame::of(content);
                }
                0xC4 => codes.define(content),
                0xDD => scans.restarts.set_interval(content),
                0xDA => {
                    scans.add(content)?;
                    let begin = position;
                    position = end_of_data(bytes, begin);
                    scans.zeros = if position == bytes.len() { zeros_at_end(&bytes[begin..]) } else { 0 };
                    let (data, frame) = (&bytes[begin..position - scans.zeros], scans.restarts.frame.as_ref());
                    let hole = codes.hole(content, data, scans.progressive, frame);
                    scans.hole = scans.hole.or(hole.map(|at| (scans.ends.len(), begin + at + ZEROS_OF_DATA)));
                    scans.ends.push(position - scans.zeros);
                    scans.restarts.add(content, &bytes[begin..position]);
                    if !scans.progressive && scans.is_complete() {
                        break;
                    }
                }
                _ => {}
            }
        }
        (!scans.ends.is_empty()).then_some(scans)
    }

    /// Notes what a scan with this header sends.
    fn add(&mut self, header: &[u8]) -> Option<()> {
        let (&count, rest) = header.split_first()?;
        let (ids, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, approximation, ..] = rest else { return None };
        let sent = usize::from(first)..=usize::from(last).min(COEFFICIENTS - 1);
        for component in &mut self.components {
            if ids.iter().step_by(2).any(|&id| id == component.id) {
                let bits = component.lowest_bits.get_mut(sent.clone())?;
                bits.fill(if self.progressive { approximation & 15 } else { 0 });
            }
        }
        Some(())
    }

    /// Whether all bits of all coefficients are sent.
    pub(super) fn is_complete(&self) -> bool {
        self.components.iter().all(|component| component.lowest_bits == [0; COEFFICIENTS])
    }

    /// Whether the image is sent in several scans of increasing quality.
    pub(super) fn are_progressive(&self) -> bool {
        self.progressive
    }

    /// How many zeros follow the last scan up to the end of the file, as where a download did not write.
    pub(super) fn zeros(&self) -> usize {
        self.zeros
    }

    /// Whether the restart markers of a scan are not as the header of the file says.
    pub(super) fn has_damaged_restarts(&self) -> bool {
        self.restarts.are_damaged()
    }

    /// The same with the first `count` of the zeros that follow as data of the last scan.
    pub(super) fn with_zeros(&self, count: usize) -> Self {
        let mut ends = self.ends.clone();
        ends.last_mut().into_iter().for_each(|end| *end += count);
        let (components, restarts) = (self.components.clone(), self.restarts.clone());
        Scans { ends, zeros: self.zeros - count, components, restarts, ..*self }
    }

    /// The scans up to the hole in the data of one of them, if there is one, with a few of its zeros: the data can be complete
    /// before them.
    pub(super) fn before_hole(&self) -> Option<Self> {
        let (scan, at) = self.hole?;
        let ends = self.ends[..scan].iter().copied().chain([at]).collect();
        let (components, restarts) = (self.components.clone(), self.restarts.clone());
        Some(Scans { ends, zeros: 0, components, restarts, ..*self })
    }

    /// Number of scans.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The file up to the end of its last scan, with ones after the data of every scan for which the decoder allows it:
    /// it recognises that another scan follows the first one by the marker behind that scan's data.
    pub(super) fn with_ones(&self, bytes: &[u8]) -> Vec<u8> {
        let padded: &[usize] = match &self.ends[..] {
            [_first, rest @ ..] if self.progressive => rest,
            ends => &ends[ends.len() - 1..],
        };
        let (mut copy, mut from) = (Vec::with_capacity(bytes.len() + 3 * ONES.len() * padded.len()), 0);
        for &end in padded {
            copy.extend_from_slice(&bytes[from..end]);
            copy.extend(ONES);
            copy.extend(RESTART);
            copy.extend(ONES);
            from = end;
        }
        copy.extend(END_OF_IMAGE);
        copy
    }

    /// The file up to the end of its last scan.
    pub(super) fn ended(&self, bytes: &[u8]) -> Vec<u8> {
        let end = self.ends.last().copied().unwrap_or_default();
        [&bytes[..end], &END_OF_IMAGE].concat()
    }
}

/// How the image data is coded, if it is in a way that few programs write and no decoder here reads.
pub(super) fn unsupported_coding(bytes: &[u8]) -> Option<&'static str> {
    let mut position = 2;
    while let Some((marker, content)) = segment(bytes, &mut position) {
        match marker {
            0xC0..=0xC2 if content.first() == Some(&12) => return Some("12 bits for each colour"),
            0xC3 | 0xC7 => return Some("lossless coding"),
            0xC5 | 0xC6 => return Some("hierarchical coding"),
            0xC9..=0xCB | 0xCD..=0xCF => return Some("arithmetic coding"),
            0xC0..=0xC2 | 0xD9 | 0xDA => return None,
            _ => {}
        }
    }
    None
}

const fn pairs(first: u8, second: u8) -> [u8; 512] {
    let mut bytes = [first; 512];
    let mut index = 1;
    while index < bytes.len() {
        bytes[index] = second;
        index += 2;
    }
    bytes
}

/// The marker of the next segment and what the segment holds; `position` is then behind it.
fn segment<'a>(bytes: &'a [u8], position: &mut usize) -> Option<(u8, &'a [u8])> {
    loop {
        let rest = bytes.get(*position..)?;
        // Between segments decoders skip anything but a marker.
        let at = memchr::memchr(0xFF, rest)?;
        let marker = *rest.get(at + 1)?;
        *position += at + if marker == 0xFF { 1 } else { 2 };
        match marker {
            0x00 | 0x01 | 0xD0..=0xD8 | 0xFF => {}
            0xD9 => return Some((marker, &[])),
            _ => {
                let &[high, low] = bytes.get(*position..*position + 2)? else { return None };
                let length = usize::from(u16::from_be_bytes([high, low]));
                let content = bytes.get(*position + 2..*position + length)?;
                *position += length;
                return Some((marker, content));
            }
        }
    }
}

/// The components that a frame header lists.
fn components(header: &[u8]) -> Option<Vec<Component>> {
    let (&count, rest) = header.get(5..)?.split_first()?;
    let of = |entry: &[u8; 3]| Component { id: entry[0], lowest_bits: [UNSENT; COEFFICIENTS] };
    let entries = rest.get(..3 * usize::from(count))?;
    Some(entries.as_chunks().0.iter().map(of).collect())
}

/// The zeros at the end of image data, if they are many. One that belongs to a byte of ones is not among them.
fn zeros_at_end(data: &[u8]) -> usize {
    let content = data.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let belongs = usize::from(data[..content].last() == Some(&0xFF));
    let zeros = data.len().saturating_sub(content + belongs);
    if zeros < MANY_ZEROS { 0 } else { zeros }
}

/// Where the data of a scan that begins at `from` ends: at the first marker that is not of a restart, or with the file.
fn end_of_data(bytes: &[u8], from: usize) -> usize {
    let after = &bytes[from.min(bytes.len())..];
    let is_end = |&at: &usize| !matches!(after.get(at + 1), Some(0x00 | 0xD0..=0xD7 | 0xFF));
    memchr_iter(0xFF, after).find(is_end).map_or(bytes.len(), |at| from + at)
}
