//! Compressed data of TIFF: a decoder that has all pixels does not read on to the checksum behind them.

use std::io::{Cursor, Read, copy, sink};

use flate2::read::ZlibDecoder;
use tiff::decoder::Decoder;
use tiff::tags::Tag;

/// The numbers that TIFF gives to compression by deflate.
const DEFLATE: [u32; 2] = [8, 32946];

/// More bytes than a strip holds.
const LONGEST: u64 = 1 << 32;

/// Whether the checksum of a strip or tile of the first image does not fit its data. Other compression has no checksum.
pub(super) fn has_damaged_strips(bytes: &[u8]) -> bool {
    strips(bytes).is_some_and(|strips| strips.into_iter().any(is_damaged))
}

/// The strips or tiles, if deflate compresses them.
fn strips(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?;
    let compression = decoder.get_tag_u32(Tag::Compression).ok()?;
    if !DEFLATE.contains(&compression) {
        return None;
    }
    let tags = [(Tag::StripOffsets, Tag::StripByteCounts), (Tag::TileOffsets, Tag::TileByteCounts)];
    let mut of = |(offsets, counts)| {
        let offsets = decoder.get_tag_u64_vec(offsets).ok()?;
        Some(offsets.into_iter().zip(decoder.get_tag_u64_vec(counts).ok()?).collect::<Vec<_>>())
    };
    let places = tags.into_iter().find_map(&mut of)?;
    let strip = |(offset, count): (u64, u64)| {
        let begin = usize::try_from(offset).ok()?;
        bytes.get(begin..begin.checked_add(usize::try_from(count).ok()?)?)
    };
    Some(places.into_iter().filter_map(strip).collect())
}

fn is_damaged(strip: &[u8]) -> bool {
    copy(&mut ZlibDecoder::new(strip).take(LONGEST), &mut sink()).is_err()
}
