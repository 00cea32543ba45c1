//! Holes in the image data of JPEG: zeros in the place of data that a download or a disk never wrote.
//!
//! Decoders take zeros for codes, and a block of them passes for texture or for a flat area. What zeros mean follows from the
//! tables: the code of zeros only belongs to the first symbol of a table (ITU-T T.81, annex C). If that symbol is a coefficient,
//! zeros fill every block with coefficients up to the last, which no image has in one block after another. If it is the end of
//! the block, zeros are a flat area, of at most all blocks of the image.

use super::jpeg_restarts::Frame;

/// Zeros that image data may hold whatever its tables are: more than blocks full of coefficients take.
const MANY_ZEROS: usize = 256;
/// Sixteen coefficients that are zero, which never end a block.
const SIXTEEN_ZEROS: u8 = 0xF0;

/// Coefficients of a progressive scan that can be alike in many blocks.
const FEW_COEFFICIENTS: u8 = 4;

/// The first code of a Huffman table, which is of zeros only.
#[derive(Debug, Clone, Copy)]
struct First {
    symbol: u8,
    bits: usize,
}

/// The first codes of the tables that are in force.
#[derive(Debug, Clone, Default)]
pub(super) struct FirstCodes {
    of_averages: [Option<First>; 4],
    of_coefficients: [Option<First>; 4],
}

/// How many zeros image data can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zeros {
    Any,
    /// As many as the codes of a few blocks have.
    Few,
    /// As many bytes as the codes of all blocks have, if the image is flat.
    Flat(usize),
}

impl FirstCodes {
    /// Notes the tables that a segment defines.
    pub(super) fn define(&mut self, mut content: &[u8]) {
        while let [place, lengths @ ..] = content {
            let Some((lengths, values)) = lengths.split_at_checked(16) else { return };
            let count = lengths.iter().map(|&length| usize::from(length)).sum();
            let Some((values, rest)) = values.split_at_checked(count) else { return };
            let bits = 1 + lengths.iter().position(|&codes| codes > 0).unwrap_or_default();
            let tables = if place >> 4 == 0 { &mut self.of_averages } else { &mut self.of_coefficients };
            if let Some(table) = tables.get_mut(usize::from(place & 15)) {
                *table = values.first().map(|&symbol| First { symbol, bits });
            }
            content = rest;
        }
    }

    /// The first position in the data of a scan where zeros begin that are not image data; `scan` is its header.
    pub(super) fn hole(&self, scan: &[u8], data: &[u8], progressive: bool, frame: Option<&Frame>) -> Option<usize> {
        match self.zeros(scan, progressive, frame)? {
            Zeros::Any => None,
            Zeros::Few => runs_of_zeros(data).map(|(from, _)| from).next(),
            // Nothing follows the last block of an image but bytes that belong to nothing.
            Zeros::Flat(most) => {
                let mut runs = runs_of_zeros(data);
                runs.find(|&(from, to)| to - from > MANY_ZEROS + most && to < data.len()).map(|(from, _)| from)
            }
        }
    }

    fn zeros(&self, scan: &[u8], progressive: bool, frame: Option<&Frame>) -> Option<Zeros> {
        let (&count, rest) = scan.split_first()?;
        let (entries, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, approximation, ..] = rest else { return None };
        // Bits that refine coefficients, averages in a scan of their own and a few coefficients of a pattern can all be zeros.
        if approximation >> 4 != 0 || (progressive && (first == 0 || last.saturating_sub(first) < FEW_COEFFICIENTS)) {
            return Some(Zeros::Any);
        }
        let mut bits = 0;
        for &[component, tables] in entries.as_chunks::<2>().0 {
            let coefficients = (*self.of_coefficients.get(usize::from(tables & 15))?)?;
            let ends_block = if progressive {
                coefficients.symbol.is_multiple_of(16) && coefficients.symbol != SIXTEEN_ZEROS
            } else {
                coefficients.symbol == 0
            };
            if !ends_block {
                return Some(Zeros::Few);
            }
            if !progressive {
                let averages = (*self.of_averages.get(usize::from(tables >> 4))?)?;
                let blocks = if count == 1 { 1 } else { frame?.blocks_in_unit(component)? };
                bits += blocks * (averages.bits + usize::from(averages.symbol & 15) + coefficients.bits);
            }
        }
        if progressive { Some(Zeros::Any) } else { Some(Zeros::Flat(bits * frame?.units(scan)? / 8)) }
    }
}

/// Where runs of many zeros begin and end.
fn runs_of_zeros(data: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        while next < data.len() {
            let at = next;
            next += MANY_ZEROS / 2;
            if data[at] != 0 {
                continue;
            }
            let from = data[..at].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            let to = data[at..].iter().position(|&byte| byte != 0).map_or(data.len(), |first| at + first);
            next = next.max(to);
            if to - from >= MANY_ZEROS {
                return Some((from, to));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one code of `bits` bits.
    fn table(place: u8, bits: usize, symbol: u8) -> Vec<u8> {
        let mut lengths = [0; 16];
        lengths[bits - 1] = 1;
        [&[place][..], &lengths, &[symbol]].concat()
    }

    /// 64 x 64 pixels of grey.
    fn frame() -> Option<Frame> {
        Frame::of(&[8, 0, 64, 0, 64, 1, 1, 0x11, 0])
    }

    const SCAN: [u8; 6] = [1, 1, 0, 0, 63, 0];

    #[test]
    fn zeros_that_are_coefficients_are_a_hole_and_zeros_of_a_flat_area_are_not() {
        let with = |zeros: usize| [&[7; 300][..], &vec![0; zeros], &[7; 300]].concat();
        let mut codes = FirstCodes::default();
        codes.define(&[table(0, 2, 0), table(0x10, 2, 1)].concat());
        let hole = |codes: &FirstCodes, zeros| codes.hole(&SCAN, &with(zeros), false, frame().as_ref());
        assert_eq!(hole(&codes, MANY_ZEROS), Some(300));
        assert_eq!(hole(&codes, MANY_ZEROS - 1), None);
        // All 64 blocks of an image take 32 bytes of zeros if it is flat.
        codes.define(&table(0x10, 2, 0));
        assert_eq!(hole(&codes, MANY_ZEROS + 32), None);
        assert_eq!(hole(&codes, MANY_ZEROS + 33), Some(300));
        let to_the_end = [&[7; 300][..], &[0; 5000]].concat();
        assert_eq!(codes.hole(&SCAN, &to_the_end, false, frame().as_ref()), None);
    }

    #[test]
    fn scans_that_refine_hold_any_number_of_zeros() {
        let mut codes = FirstCodes::default();
        codes.define(&[table(0, 2, 0), table(0x10, 2, 1)].concat());
        let of = |scan: [u8; 6]| codes.zeros(&scan, true, frame().as_ref());
        assert_eq!(of([1, 1, 0, 1, 63, 0x10]), Some(Zeros::Any));
        assert_eq!(of([1, 1, 0, 0, 0, 0]), Some(Zeros::Any));
        assert_eq!(of([1, 1, 0, 1, 2, 0]), Some(Zeros::Any));
        assert_eq!(of([1, 1, 0, 1, 63, 0]), Some(Zeros::Few));
    }

    #[test]
    fn runs_are_found_wherever_they_begin() {
        for before in [0, 1, 127, 128, 129, 400] {
            let data = [vec![9; before], vec![0; MANY_ZEROS], vec![9; 10], vec![0; 100], vec![9; 3]].concat();
            let runs: Vec<_> = runs_of_zeros(&data).collect();
            assert_eq!(runs, [(before, before + MANY_ZEROS)]);
        }
    }
}
