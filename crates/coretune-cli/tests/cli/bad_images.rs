//! Image files and labels that are wrong, for the page of bad inputs: what `data check` says of each.

use super::bad_data::Place;
use super::bad_input::{Case, case};
use super::world::World;

const BASELINE: &[u8] = include_bytes!("../../../coretune/tests/data/fixtures/subsampled.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../../coretune/tests/data/fixtures/progressive.jpg");
const END_OF_IMAGE: &[u8] = &[0xff, 0xd9];

pub(super) fn cases(world: &World) -> Vec<Case> {
    damaged(world)
}

/// A JPEG file of which the last `missing` bytes before its end marker are missing.
fn shortened(jpeg: &[u8], missing: usize) -> Vec<u8> {
    [&jpeg[..jpeg.len() - 2 - missing], END_OF_IMAGE].concat()
}

fn damaged(world: &World) -> Vec<Case> {
    let with = |name: &str, bytes: &[u8]| {
        let place = Place::sound(world, name);
        place.file("train/cat/4.jpg", bytes);
        place.check()
    };
    let early = with("early", &shortened(BASELINE, 300));
    let scans = with("scans", &shortened(PROGRESSIVE, 300));
    let within = with("within", &shortened(PROGRESSIVE, 4));
    let trailing = with("trailing", &[BASELINE, b"made by a camera"].concat());
    let unended = with("unended", &BASELINE[..BASELINE.len() - 2]);
    let pair = with("pair", &[BASELINE, PROGRESSIVE].concat());
    vec![
        case("a JPEG whose image data ends early, though the file ends properly", early, 2, &["after row", "of 34"]),
        case("a progressive JPEG of which scans are missing", scans, 2, &["has only", "of its scans"]),
        case("a progressive JPEG whose last scan ends early", within, 2, &["ends within one of"]),
        case("bytes behind the end of a JPEG", trailing, 0, &["sound"]),
        case("a JPEG without an end marker", unended, 0, &["sound"]),
        case("two JPEG images in one file", pair, 0, &["sound"]),
    ]
}
