//! Objects of an image as outlines or run lengths, and the mask that they make.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tiny_skia::{FillRule, Mask, PathBuilder, Transform};

use super::stored::{StoredMask, StoredValues, check_size};
use crate::data::DataError;

/// The mask of an image as the objects that an annotation file lists for it.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// The annotation file.
    pub(super) file: Arc<Path>,
    /// The image, as the file names it.
    pub(super) image: String,
    pub(super) width: u32,
    pub(super) height: u32,
    /// From the lowest to the highest.
    pub(super) objects: Vec<Object>,
}

/// Pixels of one class.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    /// Their value in the mask.
    pub(super) value: u8,
    pub(super) shape: Shape,
}

/// Which pixels an object has.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// All pixels whose centre lies inside one of the polygons, by the even-odd rule. Coordinates x, y are in pixels; the
    /// centre of the first pixel is at 0.5, 0.5.
    Polygons(Vec<Vec<[f32; 2]>>),
    /// Numbers of pixels column by column that are outside, inside, outside, ...; their sum is the size of the image.
    Runs(Vec<u32>),
}

/// Where a shape lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the image, but for a pixel or a hundredth of its size.
    Inside,
    /// Partly in the image.
    Beyond,
    /// Not in the image.
    Outside,
}

impl Shape {
    /// Where it lies in an image of this width and height.
    pub(super) fn place(&self, (width, height): (u32, u32)) -> Place {
        let Shape::Polygons(polygons) = self else { return Place::Inside };
        let reach = |axis: usize, length: u32| {
            let numbers = || polygons.iter().flatten().map(|point| point[axis]);
            let (least, most) = (numbers().fold(f32::INFINITY, f32::min), numbers().fold(f32::NEG_INFINITY, f32::max));
            let (length, slack) = (length as f32, 1.0 + 0.01 * length as f32);
            if most <= 0.0 || least >= length {
                Place::Outside
            } else if least < -slack || most > length + slack {
                Place::Beyond
            } else {
                Place::Inside
            }
        };
        match (reach(0, width), reach(1, height)) {
            (Place::Outside, _) | (_, Place::Outside) => Place::Outside,
            (Place::Inside, Place::Inside) => Place::Inside,
            _ => Place::Beyond,
        }
    }
}

impl Drawing {
    /// The value of every pixel; 0 where no object is.
    pub(super) fn filled(&self) -> Result<StoredMask, DataError> {
        let refused = |message| DataError::MaskUnreadable { mask: self.to_string(), message };
        check_size(self.width, self.height).map_err(refused)?;
        let mut values = vec![0; self.width as usize * self.height as usize];
        for object in &self.objects {
            match &object.shape {
                Shape::Polygons(polygons) => {
                    for polygon in polygons {
                        self.fill_polygon(polygon, object.value, &mut values);
                    }
                }
                Shape::Runs(runs) => self.fill_runs(runs, object.value, &mut values),
            }
        }
        let values = StoredValues::Indices(values);
        Ok(StoredMask { width: self.width, height: self.height, values, palette: Vec::new(), is_turned: false })
    }

    fn fill_polygon(&self, polygon: &[[f32; 2]], value: u8, values: &mut [u8]) {
        let (left, right) = covered(polygon.iter().map(|point| point[0]), self.width);
        let (top, bottom) = covered(polygon.iter().map(|point| point[1]), self.height);
        let mut path = PathBuilder::new();
        for (index, &[x, y]) in polygon.iter().enumerate() {
            if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        path.close();
        let box_mask = Mask::new(right.saturating_sub(left), bottom.saturating_sub(top));
        let (Some(path), Some(mut inside)) = (path.finish(), box_mask) else { return };
        let moved = Transform::from_translate(-(left as f32), -(top as f32));
        inside.fill_path(&path, FillRule::EvenOdd, false, moved);
        for (row, y) in inside.data().chunks_exact(inside.width() as usize).zip(top..) {
            let start = y as usize * self.width as usize + left as usize;
            for (pixel, &is_inside) in values[start..].iter_mut().zip(row) {
                if is_inside != 0 {
                    *pixel = value;
                }
            }
        }
    }

    fn fill_runs(&self, runs: &[u32], value: u8, values: &mut [u8]) {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut start = 0;
        for (&run, is_inside) in runs.iter().zip([false, true].into_iter().cycle()) {
            let end = start + run as usize;
            if is_inside {
                (start..end).for_each(|at| values[at % height * width + at / height] = value);
            }
            start = end;
        }
    }

    /// BLAKE3 of size and objects.
    pub(super) fn content_hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let mut add = |number: u32| {
            hasher.update(&number.to_le_bytes());
        };
        add(self.width);
        add(self.height);
        for object in &self.objects {
            add(object.value.into());
            match &object.shape {
                Shape::Polygons(polygons) => {
                    add(polygons.len() as u32);
                    for polygon in polygons {
                        add(polygon.len() as u32);
                        polygon.iter().flatten().for_each(|number| add(number.to_bits()));
                    }
                }
                Shape::Runs(runs) => {
                    add(u32::MAX);
                    add(runs.len() as u32);
                    for &run in runs {
                        add(run);
                    }
                }
            }
        }
        hasher.finalize()
    }
}

/// The first pixel that numbers reach, and the first behind the last one, within `0..length`.
fn covered(numbers: impl Iterator<Item = f32> + Clone, length: u32) -> (u32, u32) {
    let least = numbers.clone().fold(f32::INFINITY, f32::min);
    let most = numbers.fold(f32::NEG_INFINITY, f32::max);
    let within = |number: f32| number.clamp(0.0, length as f32) as u32;
    (within(least.floor()), within(most.ceil()))
}

impl fmt::Display for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} image {}", self.file.display(), self.image)
    }
}

/// The run lengths of COCO's compressed text: each number in groups of 5 bits from the lowest on, a character from `0` on for
/// each; the sixth bit says that another group follows; numbers are signed, and those from the fourth on are differences to the
/// number two places before. `None` for another text.
pub(super) fn runs_of_text(text: &str) -> Option<Vec<u32>> {
    let mut runs: Vec<i64> = Vec::new();
    let mut characters = text.bytes();
    while let Some(first) = characters.next() {
        let (mut number, mut shift, mut character) = (0_i64, 0, first);
        loop {
            let group = i64::from(character.checked_sub(b'0').filter(|group| *group < 64)?);
            number |= (group & 31) << shift;
            shift += 5;
            if group & 32 == 0 {
                // The highest bit of the last group is the sign.
                number -= (group & 16) << 1 << (shift - 5);
                break;
            }
            character = characters.next().filter(|_| shift <= 35)?;
        }
        let before = if runs.len() > 2 { runs[runs.len() - 2] } else { 0 };
        runs.push(before + number);
    }
    runs.into_iter().map(|run| u32::try_from(run).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_beyond_their_image_are_known() {
        let square = |from: f32, to: f32| Shape::Polygons(vec![vec![[from, 2.0], [to, 2.0], [to, 8.0], [from, 8.0]]]);
        for (from, to, place) in [
            (0.0, 100.0, Place::Inside),
            (-1.5, 101.5, Place::Inside),
            (50.0, 150.0, Place::Beyond),
            (-20.0, 5.0, Place::Beyond),
            (100.0, 120.0, Place::Outside),
            (-9.0, 0.0, Place::Outside),
        ] {
            assert_eq!(square(from, to).place((100, 50)), place, "{from} to {to}");
        }
        assert_eq!(Shape::Runs(vec![5000]).place((100, 50)), Place::Inside);
    }

    #[test]
    fn compressed_run_lengths_are_read() {
        // Written by pycocotools.mask.encode.
        assert_eq!(runs_of_text("52203"), Some(vec![5, 2, 2, 2, 5]));
        assert_eq!(runs_of_text(""), Some(vec![]));
        for broken in ["a b", "o", "oooooooooooo", "\u{e4}", "5O"] {
            assert_eq!(runs_of_text(broken), None, "{broken}");
        }
    }
}
