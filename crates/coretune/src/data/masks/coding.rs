use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use image::GrayImage;

use super::class_file::NamedClass;
use super::legend::{MaskLegend, class_color};
use super::source::MaskSource;
use super::stored::{StoredMask, StoredValues, used};
use crate::data::{DataError, MaskOptions};
use crate::transforms::IGNORED;

/// What the values of masks mean: from stored numbers and colours to positions in the classes, or [`IGNORED`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskCoding {
    classes: Arc<[String]>,
    colors: Arc<[[u8; 3]]>,
    /// The class of each stored number.
    numbers: Vec<Option<u8>>,
    /// The class of each stored colour; empty where no file says the colours.
    by_color: HashMap<[u8; 3], u8>,
    /// Whether greys are colours, since those of all classes are grey.
    has_grey_colors: bool,
    /// Numbers that the user wants to be ignored.
    asked: Arc<[u16]>,
}

/// What a pixel of a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Value {
    Number(u16),
    Color([u8; 3]),
}

/// Pixels of no class in a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unknown {
    pub(super) pixels: usize,
    /// Column and row of the first.
    pub(super) first: (u32, u32),
    /// What the first one holds.
    pub(super) value: Value,
}

impl Unknown {
    /// Whether the first of them is a colour.
    pub(super) fn is_color(&self) -> bool {
        matches!(self.value, Value::Color(_))
    }
}

impl MaskCoding {
    /// Numbers as their names, up to `largest`, without the ignored ones.
    ///
    /// # Errors
    /// [`DataError::Argument`] when no class or more than 255 would result.
    pub(super) fn of_numbers(largest: u16, options: &MaskOptions) -> Result<Self, DataError> {
        let numbers = options.first_class..largest.saturating_add(1);
        let classes = numbers.map(|number| NamedClass { name: number.to_string(), color: None }).collect::<Vec<_>>();
        MaskCoding::of_classes(&classes, options)
    }

    /// Classes in the order of their numbers, which begin at the first class; those of ignored numbers do not count.
    ///
    /// # Errors
    /// [`DataError::Argument`] when no class or more than 255 would result.
    pub(super) fn of_classes(all: &[NamedClass], options: &MaskOptions) -> Result<Self, DataError> {
        let is_ignored = |number: u16| number == u16::from(IGNORED) || options.ignored.contains(&number);
        let numbered = || (options.first_class..).zip(all);
        let kept: Vec<&NamedClass> =
            numbered().filter(|(number, _)| !is_ignored(*number)).map(|(_, one)| one).collect();
        if !(1..=usize::from(IGNORED)).contains(&kept.len()) {
            let (expected, found) = (format!("1 to {IGNORED}"), kept.len().to_string());
            return Err(DataError::Argument { name: "number of classes of the masks", expected, found });
        }
        let largest = options.ignored.iter().copied().max().unwrap_or(0).max(u16::from(IGNORED));
        let mut numbers =
            vec![None; usize::from(largest.max(options.first_class.saturating_add(all.len() as u16))) + 1];
        let mut by_color = HashMap::new();
        let mut next = 0;
        for (number, class) in numbered() {
            let position = if is_ignored(number) { IGNORED } else { next };
            next += u8::from(position != IGNORED);
            numbers[usize::from(number)] = Some(position);
            by_color.extend(class.color.map(|color| (color, position)));
        }
        for number in options.ignored.iter().copied().chain([u16::from(IGNORED)]) {
            numbers[usize::from(number)] = Some(IGNORED);
        }
        let color =
            |(position, class): (usize, &&NamedClass)| class.color.unwrap_or_else(|| class_color(position as u8));
        Ok(MaskCoding {
            classes: kept.iter().map(|class| class.name.clone()).collect(),
            colors: kept.iter().enumerate().map(color).collect(),
            numbers,
            has_grey_colors: !by_color.is_empty() && by_color.keys().all(|[r, g, b]| r == g && g == b),
            by_color,
            asked: options.ignored.iter().copied().filter(|&number| number != u16::from(IGNORED)).collect(),
        })
    }

    /// The numbers that the user wants to be ignored, but for 255.
    pub(in crate::data) fn asked_to_ignore(&self) -> &[u16] {
        &self.asked
    }

    /// Those of them that a mask has.
    pub(super) fn ignored_in(&self, stored: &StoredMask) -> Vec<u16> {
        self.asked.iter().copied().filter(|&number| stored.has_number(number)).collect()
    }

    /// Names of the classes, a position in which is the value of a pixel.
    pub fn classes(&self) -> &Arc<[String]> {
        &self.classes
    }

    /// A colour of each class: that of the file of classes, else [`class_color`].
    pub fn colors(&self) -> &Arc<[[u8; 3]]> {
        &self.colors
    }

    /// How the masks store each class; `None` if they lack one, as a class of the run they were not made for.
    pub fn legend(&self) -> Option<MaskLegend> {
        let number = |class: u8| self.numbers.iter().position(|&own| own == Some(class)).map(|number| number as u16);
        let grey =
            |class: u8| self.by_color.iter().find(|(_, own)| **own == class).map(|([grey, ..], _)| u16::from(*grey));
        let stored = |class: u8| if self.has_grey_colors { grey(class) } else { number(class) };
        let values = (0..IGNORED).take(self.classes.len()).map(stored).collect::<Option<Vec<_>>>()?;
        Some(MaskLegend { values, colors: self.colors.to_vec() })
    }

    /// Whether stored colours have a meaning.
    pub(super) fn knows_colors(&self) -> bool {
        !self.by_color.is_empty()
    }

    /// Another colour of a pixel is ignored.
    pub(super) fn ignore_color(&mut self, color: [u8; 3]) {
        self.by_color.insert(color, IGNORED);
    }

    /// Only these of the numbers that are ignored are the user's choice.
    pub(super) fn asked_by_user(&mut self, numbers: &[u16]) {
        self.asked = self.asked.iter().copied().filter(|number| numbers.contains(number)).collect();
    }

    /// The same coding with positions in `classes`, those of a run; the names that are not among them as an error.
    pub(in crate::data) fn with_classes(&self, classes: &Arc<[String]>) -> Result<Self, Vec<String>> {
        let position = |name: &String| classes.iter().position(|class| class == name);
        let unknown: Vec<String> = self.classes.iter().filter(|name| position(name).is_none()).cloned().collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let moved = |class: u8| match self.classes.get(usize::from(class)).and_then(position) {
            Some(position) => position as u8,
            None => IGNORED,
        };
        let own = |class: &String| self.classes.iter().position(|name| name == class);
        let color = |(position, class)| own(class).map_or_else(|| class_color(position as u8), |own| self.colors[own]);
        Ok(MaskCoding {
            classes: classes.clone(),
            colors: classes.iter().enumerate().map(color).collect(),
            numbers: self.numbers.iter().map(|class| class.map(moved)).collect(),
            by_color: self.by_color.iter().map(|(&color, &class)| (color, moved(class))).collect(),
            has_grey_colors: self.has_grey_colors,
            asked: self.asked.clone(),
        })
    }

    /// Reads a mask file.
    pub(super) fn read(&self, file: &MaskSource) -> Result<GrayImage, DataError> {
        let stored = self.meant(file.stored()?, file)?;
        let (values, unknown) = self.translate(&stored);
        if let Some(unknown) = unknown {
            return Err(self.refusal(&unknown, file));
        }
        let short =
            || DataError::MaskUnreadable { mask: file.to_string(), message: "it ends before its last pixel".into() };
        GrayImage::from_raw(stored.width, stored.height, values).ok_or_else(short)
    }

    /// A mask whose values this coding can translate: colours that mean nothing have to be greys.
    pub(super) fn meant(&self, stored: StoredMask, file: &MaskSource) -> Result<StoredMask, DataError> {
        if self.knows_colors() {
            return self.by_palette(stored, file);
        }
        let stored = stored.without_equal_channels();
        match stored.values {
            StoredValues::Colors(_) => Err(DataError::MaskColors { mask: file.to_string(), others: 0 }),
            _ => Ok(stored),
        }
    }

    /// A mask as its palette has it, if the palette gives an index the colour of another class than that of its number: what
    /// wrote it numbered the colours of each file anew. A palette that repeats a colour says nothing.
    fn by_palette(&self, stored: StoredMask, file: &MaskSource) -> Result<StoredMask, DataError> {
        let StoredValues::Indices(values) = &stored.values else { return Ok(stored) };
        let color = |index: u8| stored.palette.get(usize::from(index)).copied();
        let used = used(values);
        let colors: Vec<[u8; 3]> = used.iter().filter_map(|&index| color(index)).collect();
        let class_of = |index: u8| color(index).and_then(|color| self.by_color.get(&color).copied());
        let number = |index: u8| self.numbers.get(usize::from(index)).copied().flatten();
        let differs = |index: &u8| class_of(*index).is_some_and(|class| number(*index) != Some(class));
        let repeats = colors.iter().collect::<HashSet<_>>().len() < colors.len();
        let Some(&index) = used.iter().find(|index| differs(index)).filter(|_| !repeats) else { return Ok(stored) };
        if let Some(&unknown) = used.iter().find(|index| class_of(**index).is_none()) {
            let color =
                |index: u8| color(index).map_or_else(|| "no colour".into(), |color| Value::Color(color).to_string());
            let class = class_of(index).map_or("", |class| self.name(class)).to_string();
            let found = format!("index {index} has {}, index {unknown} has {}", color(index), color(unknown));
            return Err(DataError::MaskPalette { mask: file.to_string(), found, class });
        }
        let colors = values.iter().map(|&index| color(index).unwrap_or_default()).collect();
        Ok(StoredMask { values: StoredValues::Colors(colors), ..stored })
    }

    fn name(&self, class: u8) -> &str {
        self.classes.get(usize::from(class)).map_or("ignored", String::as_str)
    }

    /// The class of every pixel, [`IGNORED`] where it has none, and how many those are.
    pub(super) fn translate(&self, stored: &StoredMask) -> (Vec<u8>, Option<Unknown>) {
        let mut unknown: Option<Unknown> = None;
        let mut miss = |at: usize, value: Value| {
            let width = stored.width as usize;
            let first = ((at % width) as u32, (at / width) as u32);
            unknown.get_or_insert(Unknown { pixels: 0, first, value }).pixels += 1;
            IGNORED
        };
        let number = |value: u16| self.numbers.get(usize::from(value)).copied().flatten();
        let values = match &stored.values {
            StoredValues::Greys(greys) if self.has_grey_colors => {
                let of = |grey: u8| self.by_color.get(&[grey; 3]).copied();
                let table: Vec<Option<u8>> = (0..=255).map(of).collect();
                let one = |(at, &grey): (usize, &u8)| {
                    table[usize::from(grey)].unwrap_or_else(|| miss(at, Value::Color([grey; 3])))
                };
                greys.iter().enumerate().map(one).collect()
            }
            StoredValues::Greys(values) | StoredValues::Indices(values) => {
                let table: Vec<Option<u8>> = (0..=255).map(number).collect();
                let one = |(at, &value): (usize, &u8)| {
                    table[usize::from(value)].unwrap_or_else(|| miss(at, Value::Number(value.into())))
                };
                values.iter().enumerate().map(one).collect()
            }
            StoredValues::DeepGreys(values) => {
                let one = |(at, &value)| number(value).unwrap_or_else(|| miss(at, Value::Number(value)));
                values.iter().enumerate().map(one).collect()
            }
            StoredValues::Colors(colors) => {
                // Neighbours mostly have one colour.
                let mut last = ([0; 3], self.by_color.get(&[0; 3]).copied());
                let one = |(at, &color): (usize, &[u8; 3])| {
                    if color != last.0 {
                        last = (color, self.by_color.get(&color).copied());
                    }
                    last.1.unwrap_or_else(|| miss(at, Value::Color(color)))
                };
                colors.iter().enumerate().map(one).collect()
            }
        };
        (values, unknown)
    }

    /// Pixels of no class as an error.
    pub(super) fn refusal(&self, unknown: &Unknown, file: &MaskSource) -> DataError {
        let Unknown { pixels, first: (x, y), value } = *unknown;
        let found = format!("{value}{}", self.nearest(value));
        DataError::MaskValue { mask: file.to_string(), pixels, x, y, found, classes: self.known() }
    }

    /// `16 pixels, the first at column 5, row 0: value 7`
    pub(super) fn in_words(&self, unknown: &Unknown) -> String {
        let Unknown { pixels, first: (x, y), value } = *unknown;
        let pixels = if pixels == 1 { "1 pixel".into() } else { format!("{pixels} pixels, the first") };
        format!("{pixels} at column {x}, row {y}: {value}{}", self.nearest(value))
    }

    /// What is known, in words: `0 to 10 and 255`, or `11 colours`.
    pub(super) fn known(&self) -> String {
        let numbers = self.numbers.iter().enumerate().filter(|(_, class)| class.is_some_and(|class| class != IGNORED));
        let numbers: Vec<usize> = numbers.map(|(number, _)| number).collect();
        match (self.knows_colors(), numbers.first(), numbers.last()) {
            (true, ..) => format!("the {} colours of the class file", self.by_color.len()),
            (false, Some(first), Some(last)) => format!("{first} to {last}, or ignored"),
            _ => "ignored".into(),
        }
    }

    /// The class whose colour is nearest, for a message; nothing for a number.
    fn nearest(&self, value: Value) -> String {
        let Value::Color(color) = value else { return String::new() };
        let distance =
            |other: &[u8; 3]| -> u32 { other.iter().zip(color).map(|(&a, b)| u32::from(a.abs_diff(b)).pow(2)).sum() };
        let nearest = self.by_color.iter().min_by_key(|(other, _)| (distance(other), **other));
        let text =
            |(other, &class): (&[u8; 3], &u8)| format!(", nearest: {} with {}", self.name(class), Value::Color(*other));
        nearest.map_or_else(String::new, text)
    }

    /// Bytes that differ when the same files mean something else.
    pub(in crate::data) fn fingerprint(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            self.numbers.iter().flat_map(|class| [u8::from(class.is_some()), class.unwrap_or(0)]).collect();
        let mut colors: Vec<_> = self.by_color.iter().collect();
        colors.sort_unstable();
        bytes.extend(colors.into_iter().flat_map(|([r, g, b], class)| [*r, *g, *b, *class]));
        bytes
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "value {number}"),
            Value::Color([r, g, b]) => write!(f, "colour {r},{g},{b}"),
        }
    }
}
