//! What is wrong with masks, found before hours are spent on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::stored::StoredValues;
use super::{MaskCoding, MaskSource, Masks};
use crate::data::on_threads::{on_threads, processors};
use crate::data::{DataError, ImageSource, Role};
use crate::transforms::IGNORED;

/// What can be wrong with masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskProblem {
    /// Masks that are missing or cannot be decoded.
    MaskUnreadable,
    /// Masks in a format that changes values.
    MaskLossy,
    /// Masks of another size than their images.
    MaskSize,
    /// Masks with numbers that are neither of a class nor ignored.
    MaskValue,
    /// Masks with colours that the file of classes lacks.
    MaskColor,
    /// No pixel of a split is labelled.
    NothingLabelled,
    /// Classes far above the others, without names, that hardly a pixel has.
    StrayValue,
    /// All labelled pixels of a split are of one class.
    OneClass,
    /// Classes without a pixel in a split.
    ClassWithoutPixels,
    /// Masks without a labelled pixel.
    AllIgnored,
    /// Masks of 16 bits per pixel.
    DeepMask,
    /// Masks whose colours count, since their palettes have another order than the classes.
    PaletteOrder,
    /// Masks with EXIF data that would turn them.
    TurnedMask,
    /// Masks with many values among which most numbers are unused, where no file names the classes.
    Scattered,
    /// Masks with more values than one image shows classes, where no file names the classes.
    ManyValues,
}

impl MaskProblem {
    /// Whether it is a defect of single pairs of image and mask, which can be left out.
    pub(in crate::data) fn is_of_pairs(self) -> bool {
        self <= MaskProblem::MaskColor
    }

    /// Whether nothing is trained.
    pub(in crate::data) fn stops(self) -> bool {
        self <= MaskProblem::OneClass
    }

    /// The sentence without its examples; `masks` is `3 masks of train`, `count` the number of masks or classes.
    pub(in crate::data) fn write(
        self,
        f: &mut fmt::Formatter<'_>,
        count: usize,
        split: Role,
        known: &str,
    ) -> fmt::Result {
        let one = count == 1;
        let masks = format!("{count} {} of {split}", if one { "mask" } else { "masks" });
        let (has, are, their) = if one { ("has", "is", "its image") } else { ("have", "are", "their images") };
        match self {
            MaskProblem::MaskUnreadable => write!(f, "{masks} cannot be read"),
            MaskProblem::MaskLossy => {
                write!(f, "{masks} {are} JPEG or WebP, whose compression changes values, and must be saved as PNG")
            }
            MaskProblem::MaskSize => write!(f, "{masks} {has} another size than {their}"),
            MaskProblem::MaskValue => {
                write!(f, "{masks} {has} values that are neither of a class nor ignored (expected {known})")
            }
            MaskProblem::MaskColor => write!(f, "{masks} {has} colours that are not among {known}"),
            MaskProblem::NothingLabelled => write!(f, "no pixel of the masks of {split} is labelled, all are ignored"),
            MaskProblem::StrayValue => {
                let (values, lie, make) = if one {
                    ("value", "lies", "makes a class of every number")
                } else {
                    ("values", "lie", "make classes of all numbers")
                };
                write!(
                    f,
                    "{count} {values} of {split} {lie} far above the others in a few pixels, and {make} below: \
                     correct the masks, ignore values of no class, or name the classes in a file"
                )
            }
            MaskProblem::OneClass => write!(f, "all labelled pixels of {split} are of one class"),
            MaskProblem::ClassWithoutPixels => {
                let (classes, occur) = if one { ("class", "occurs") } else { ("classes", "occur") };
                write!(f, "{count} {classes} never {occur} in {split}")
            }
            MaskProblem::AllIgnored => write!(f, "{masks} {has} no labelled pixel: all are ignored"),
            MaskProblem::DeepMask => {
                write!(f, "{masks} {has} 16 bits per pixel; the number counts, not its upper byte")
            }
            MaskProblem::PaletteOrder => write!(
                f,
                "{masks} {has} a palette in another order than the file of classes; {} read by colour, not by number",
                if one { "it is" } else { "they are" }
            ),
            MaskProblem::TurnedMask => {
                write!(
                    f,
                    "{masks} {has} EXIF data that would turn {}; masks are read as they are stored",
                    if one { "it" } else { "them" }
                )
            }
            MaskProblem::Scattered => write!(
                f,
                "{masks} {has} more than {SCATTERED} values, and most numbers between them are unused; such masks were often saved \
                 as JPEG once, and must be made again from their source"
            ),
            MaskProblem::ManyValues => write!(
                f,
                "{masks} {has} more than {MANY_VALUES} values each, which are read as classes; such masks were often saved as JPEG \
                 once, and must be made again from their source"
            ),
        }
    }
}

/// Classes that the mask of one image rarely has.
const MANY_VALUES: usize = 32;
/// The same, where most numbers are of no class.
const SCATTERED: usize = 8;
/// Unused numbers below a class that hardly has a pixel, from which on it is taken for a mistake.
const GAP: usize = 8;
/// Labelled pixels for each of those of such classes, at least.
const PIXELS_OF_STRAY: u64 = 1000;

/// Pixels of the masks of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PixelCounts {
    /// The split.
    pub split: Role,
    /// Pixels that are ignored.
    pub ignored: u64,
    /// Every class, in order.
    pub classes: Vec<ClassPixels>,
}

/// Pixels of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassPixels {
    /// Name of the class.
    pub class: String,
    /// Its pixels.
    pub pixels: u64,
    /// Masks that have some.
    pub masks: usize,
}

/// What the masks of a split showed.
pub(in crate::data) struct Checked {
    /// Each problem with those that have it: the masks, or the classes.
    pub(in crate::data) problems: Vec<(MaskProblem, Vec<String>)>,
    /// What the numbers or colours may be, in words.
    pub(in crate::data) known: String,
    /// None if only a sample was read.
    pub(in crate::data) pixels: Option<PixelCounts>,
    /// Positions of the pairs that cannot be trained on, ascending.
    pub(in crate::data) broken: Vec<usize>,
    /// Numbers to be ignored that some masks have.
    pub(in crate::data) ignored: BTreeSet<u16>,
}

/// What one mask showed.
#[derive(Default)]
struct Seen {
    problem: Option<(MaskProblem, String)>,
    /// Pixels of each class, and behind them those that are ignored; empty if it cannot be trained on.
    counts: Vec<u64>,
    /// The mask is read, but should be known.
    notes: Vec<MaskProblem>,
    /// Numbers among those to be ignored that it has.
    ignored: Vec<u16>,
}

/// A mask with its image and the size of that.
type Pair<'a> = (&'a MaskSource, (&'a ImageSource, &'a Option<(u32, u32)>));

/// Reads every mask of a split whose images have these sizes; of images that cannot be read, the mask is left alone.
pub(in crate::data) fn check(
    role: Role,
    images: &[ImageSource],
    masks: &Masks,
    sizes: &[Option<(u32, u32)>],
) -> Checked {
    let pairs: Vec<_> = masks.files().iter().zip(images.iter().zip(sizes)).collect();
    let look = |(file, (image, size)): &Pair<'_>| look_at(file, image, **size, masks.coding());
    let lost = |(file, _): &Pair<'_>| Seen::with(MaskProblem::MaskUnreadable, file.to_string());
    let seen = on_threads(&pairs, processors(), look, lost);
    let pixels = pixels(role, masks.coding(), &seen);
    let mut problems = Vec::new();
    for seen in &seen {
        problems.extend(seen.problem.iter().map(|(problem, text)| (*problem, vec![text.clone()])));
    }
    for (seen, file) in seen.iter().zip(masks.files()) {
        problems.extend(seen.notes.iter().map(|note| (*note, vec![file.to_string()])));
    }
    problems.extend(of_split(role, masks, &seen, &pixels));
    let broken = (0..seen.len()).filter(|&index| seen[index].problem.is_some()).collect();
    let ignored = seen.iter().flat_map(|seen| seen.ignored.iter().copied()).collect();
    Checked { problems: joined(problems), known: masks.coding().known(), pixels: Some(pixels), broken, ignored }
}

/// Each problem once, in their order.
fn joined(problems: Vec<(MaskProblem, Vec<String>)>) -> Vec<(MaskProblem, Vec<String>)> {
    let mut by_problem: BTreeMap<MaskProblem, Vec<String>> = BTreeMap::new();
    for (problem, named) in problems {
        by_problem.entry(problem).or_default().extend(named);
    }
    by_problem.into_iter().collect()
}

/// What only all masks of a split show.
fn of_split(role: Role, masks: &Masks, seen: &[Seen], pixels: &PixelCounts) -> Vec<(MaskProblem, Vec<String>)> {
    let named = |is: &dyn Fn(&Seen) -> bool| -> Vec<String> {
        seen.iter().zip(masks.files()).filter(|(seen, _)| is(seen)).map(|(_, file)| file.to_string()).collect()
    };
    let is_ignored = |seen: &Seen| !seen.counts.is_empty() && seen.classes().iter().all(|&pixels| pixels == 0);
    let ignored = named(&is_ignored);
    let (with, without): (Vec<&ClassPixels>, Vec<_>) = pixels.classes.iter().partition(|class| class.pixels > 0);
    if with.is_empty() && !ignored.is_empty() {
        return vec![(MaskProblem::NothingLabelled, ignored)];
    }
    let is_named = masks.coding().classes().iter().any(|class| class.parse::<u16>().is_err());
    let values = |seen: &Seen| seen.classes().iter().filter(|&&pixels| pixels > 0).count();
    let most = if without.len() > with.len() { SCATTERED } else { MANY_VALUES };
    let many = named(&|seen| !is_named && values(seen) > most);
    let stray = if is_named || role != Role::Train { Vec::new() } else { stray(masks, seen, pixels) };
    let one_class = if with.len() == 1 && role == Role::Train { only(with[0], pixels) } else { Vec::new() };
    let counts_from_one = role == Role::Train && !is_named && matches!(without[..], [only] if only.class == "0");
    let without = if counts_from_one {
        vec!["0 (if the masks count classes from 1, say so: first class 1)".to_string()]
    } else {
        without.into_iter().map(|class| class.class.clone()).collect()
    };
    vec![
        (MaskProblem::StrayValue, stray),
        (MaskProblem::OneClass, one_class),
        (MaskProblem::ClassWithoutPixels, without),
        (MaskProblem::AllIgnored, ignored),
        (if most == SCATTERED { MaskProblem::Scattered } else { MaskProblem::ManyValues }, many),
    ]
}

/// The classes above the first gap in their numbers, each with its pixels and its first mask, if they have hardly a pixel.
fn stray(masks: &Masks, seen: &[Seen], pixels: &PixelCounts) -> Vec<String> {
    let present: Vec<usize> = (0..pixels.classes.len()).filter(|&class| pixels.classes[class].pixels > 0).collect();
    let Some(gap) = present.windows(2).position(|pair| pair[1] - pair[0] > GAP) else { return Vec::new() };
    let (below, above) = present.split_at(gap + 1);
    let sum = |classes: &[usize]| classes.iter().map(|&class| pixels.classes[class].pixels).sum::<u64>();
    if sum(below) < PIXELS_OF_STRAY * sum(above) {
        return Vec::new();
    }
    let in_words = |&class: &usize| {
        let ClassPixels { class: name, pixels, .. } = &pixels.classes[class];
        let first = seen.iter().position(|seen| seen.classes().get(class).is_some_and(|&pixels| pixels > 0));
        let first = first.map_or_else(String::new, |index| masks.files()[index].to_string());
        format!("{name} ({pixels} {}, first in {first})", if *pixels == 1 { "pixel" } else { "pixels" })
    };
    above.iter().map(in_words).collect()
}

/// Masks of a split that a quick check reads.
const SAMPLE: usize = 16;

/// As [`check`], of [`SAMPLE`] masks that lie evenly in the split; `sizes` are those in the headers of the images. What only all
/// masks can show is left out: which classes occur, and how often.
pub(in crate::data) fn check_sample(
    role: Role,
    images: &[ImageSource],
    masks: &Masks,
    sizes: &[Option<(u32, u32)>],
) -> Checked {
    let read = SAMPLE.min(images.len());
    let places: Vec<usize> = (0..read).map(|place| place * images.len() / read).collect();
    let shown = |&place: &usize| {
        let (width, height) = sizes[place]?;
        Some(if images[place].is_turned() { (height, width) } else { (width, height) })
    };
    let sampled: Vec<ImageSource> = places.iter().map(|&place| images[place].clone()).collect();
    let mut checked = check(role, &sampled, &masks.subset(&places), &places.iter().map(shown).collect::<Vec<_>>());
    checked.problems.retain(|(problem, _)| problem.is_of_pairs());
    checked.broken = checked.broken.iter().map(|&place| places[place]).collect();
    Checked { pixels: None, ..checked }
}

/// The only class, with what may be the reason.
fn only(class: &ClassPixels, pixels: &PixelCounts) -> Vec<String> {
    let reason = if pixels.ignored > 0 {
        "; 255 is ignored unless a file of classes gives it a colour, with a line such as `object,255,255,255`"
    } else {
        ""
    };
    vec![format!("`{}`{reason}", class.class)]
}

fn pixels(split: Role, coding: &MaskCoding, seen: &[Seen]) -> PixelCounts {
    let of = |position: usize| seen.iter().filter_map(move |seen| seen.counts.get(position).copied());
    let class = |(position, name): (usize, &String)| ClassPixels {
        class: name.clone(),
        pixels: of(position).sum(),
        masks: of(position).filter(|&pixels| pixels > 0).count(),
    };
    let classes: Vec<ClassPixels> = coding.classes().iter().enumerate().map(class).collect();
    PixelCounts { split, ignored: of(classes.len()).sum(), classes }
}

fn look_at(file: &MaskSource, image: &ImageSource, size: Option<(u32, u32)>, coding: &MaskCoding) -> Seen {
    let read = || -> Result<Seen, DataError> {
        let stored = file.stored()?;
        let (width, height) = (stored.width, stored.height);
        match size {
            None => return Ok(Seen::default()),
            Some(size) if size != (width, height) => {
                let turned = if image.is_turned() { " as its EXIF data turns it" } else { "" };
                let (wide, high) = size;
                let text = format!("{file} ({width} x {height}, the image {wide} x {high}{turned})");
                return Ok(Seen::with(MaskProblem::MaskSize, text));
            }
            Some(_) => {}
        }
        let notes = [
            (MaskProblem::DeepMask, matches!(stored.values, StoredValues::DeepGreys(_))),
            (MaskProblem::PaletteOrder, matches!(stored.values, StoredValues::Indices(_))),
            (MaskProblem::TurnedMask, stored.is_turned),
        ];
        let stored = coding.meant(stored, file)?;
        let is_by_color = matches!(stored.values, StoredValues::Colors(_));
        let holds =
            |&(note, is_there): &(MaskProblem, bool)| is_there && (note != MaskProblem::PaletteOrder || is_by_color);
        let notes = notes.into_iter().filter(holds).map(|(note, _)| note).collect();
        let (values, unknown) = coding.translate(&stored);
        if let Some(unknown) = unknown {
            let problem = if unknown.is_color() { MaskProblem::MaskColor } else { MaskProblem::MaskValue };
            return Ok(Seen::with(problem, format!("{file} ({})", coding.in_words(&unknown))));
        }
        let mut by_value = [0_u64; 256];
        for value in values {
            by_value[usize::from(value)] += 1;
        }
        let mut counts = by_value[..coding.classes().len()].to_vec();
        counts.push(by_value[usize::from(IGNORED)]);
        Ok(Seen { problem: None, counts, notes, ignored: coding.ignored_in(&stored) })
    };
    read().unwrap_or_else(|error| {
        let problem = match &error {
            DataError::MaskLossy { .. } => return Seen::with(MaskProblem::MaskLossy, file.to_string()),
            DataError::MaskColors { .. } | DataError::MaskPalette { .. } => MaskProblem::MaskColor,
            _ => MaskProblem::MaskUnreadable,
        };
        Seen::with(problem, error.to_string())
    })
}

impl Seen {
    fn with(problem: MaskProblem, text: String) -> Self {
        Seen { problem: Some((problem, text)), ..Seen::default() }
    }

    /// Pixels of each class.
    fn classes(&self) -> &[u64] {
        self.counts.split_last().map_or(&[], |(_, classes)| classes)
    }
}

impl fmt::Display for PixelCounts {
    /// `sky 17.2 %, road 30.1 %, bicyclist 0.6 % of 27 million pixels; 3.6 % more are ignored`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST_WITHOUT: usize = 20;
        let labelled: u64 = self.classes.iter().map(|class| class.pixels).sum();
        let percent = |pixels: u64| 100.0 * pixels as f64 / labelled.max(1) as f64;
        let without = self.classes.iter().filter(|class| class.pixels == 0).count();
        let shown = self.classes.iter().filter(|class| class.pixels > 0 || without <= MOST_WITHOUT);
        let classes = shown.map(|class| format!("{} {:.1} %", class.class, percent(class.pixels)));
        write!(f, "{} of {labelled} labelled pixels", classes.collect::<Vec<_>>().join(", "))?;
        if without > MOST_WITHOUT {
            write!(f, ", {without} classes without pixels")?;
        }
        if self.ignored > 0 {
            write!(f, ", {} ignored", self.ignored)?;
        }
        Ok(())
    }
}
