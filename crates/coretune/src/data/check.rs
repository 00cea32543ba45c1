//! What is wrong with images and labels, found before hours are spent on them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;

use super::assemble::UnknownClass;
use super::bit_depth::{BitDepthRange, joined};
use super::class_names::{doubtful, named_like_splits, quoted};
use super::decode::Decoded;
pub use super::finding::{Finding, Problem, Severity};
use super::finding::{finding, images};
use super::image_source::size_in_header;
use super::left_out::LeftOut;
use super::listed::listed;
use super::masks::PixelCounts;
use super::near_duplicates::{Hash, Likeness, Look, Looks, likenesses};
use super::on_threads::{on_threads, processors};
use super::resemblance::{alike, told_apart};
use super::role::role_of;
use super::same_bytes::{Place, repetitions};
use super::{DataError, ImageSource, Role, Split, masks};

/// Images of the largest class for each of the smallest, above which a split is called imbalanced.
pub const IMBALANCE: usize = 20;

/// Pixels of the shorter side, below which an image is called tiny.
pub const TINY: u32 = 8;

/// Images between two reports of progress.
const STRETCH: usize = 256;

/// How closely images are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// As [`Depth::Full`], and what the images show is compared too, by a perceptual hash.
    NearDuplicates,
    /// Every image is decoded, and compared with the others by its bytes.
    Full,
    /// Files are opened and their headers read; of masks a few are decoded.
    Quick,
}

/// What was found in all splits.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Every problem of every split, those that stop first.
    pub findings: Vec<Finding>,
    /// Images looked at.
    pub images: usize,
    /// Every image that cannot be read, with the reason.
    pub unreadable: Vec<String>,
    /// Pixels of each class in the masks of each split.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pixels: Vec<PixelCounts>,
    /// With [`Depth::NearDuplicates`], every image that resembles an earlier one, and that one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near_duplicates: Vec<NearDuplicate>,
    /// Positions of the unreadable images of each split, in the order in which the splits were given.
    #[serde(skip)]
    pub broken: Vec<Vec<usize>>,
}

/// An image that resembles another of its split, or of one that is listed before its own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NearDuplicate {
    /// The split of the image.
    pub split: Role,
    /// The image.
    pub image: String,
    /// The split of the other image.
    pub other_split: Role,
    /// The image that it resembles most.
    pub other: String,
    /// Bits in which their hashes differ, of 144.
    pub distance: u32,
}

/// What an image showed of itself.
struct Seen {
    content: Option<blake3::Hash>,
    size: (u32, u32),
    one_colour: bool,
    /// Whether EXIF data turn it in a way that its size does not show.
    hides_turn: bool,
    /// The least and the greatest value of an image of 16 bits.
    values: Option<(u16, u16)>,
    look: Option<Hash>,
}

impl Report {
    /// Adds what the listing of the data has found: classes that the training split lacks.
    pub fn add_unknown(&mut self, unknown: &[UnknownClass]) {
        for role in Role::ALL {
            let classes = unknown.iter().filter(|class| class.split == role);
            let named = classes.map(in_words).collect();
            self.findings.extend(finding(Problem::UnknownClass, Severity::Stops, role, named, ""));
        }
        self.sort();
    }

    /// Adds what was left out of the data and could hold images, and splits that lack masks.
    pub fn add_left_out(&mut self, left_out: &LeftOut) {
        let may = left_out.may_hold_images();
        self.findings.extend(finding(Problem::MayHoldImages, Severity::Warns, Role::Train, may, ""));
        let without = left_out.splits_without_masks();
        self.findings.extend(finding(Problem::SplitWithoutMasks, Severity::Warns, Role::Train, without, ""));
        self.sort();
    }

    /// Adds that a run on the data is refused, and why.
    pub fn add_refusal(&mut self, reason: String) {
        self.findings.extend(finding(Problem::Refused, Severity::Stops, Role::Train, vec![reason], ""));
        self.sort();
    }

    /// Adds what an earlier check has found unreadable, of images that were left out since.
    pub(crate) fn add_unreadable(&mut self, earlier: &Report) {
        for one in earlier.findings.iter().filter(|finding| finding.problem.is_of_images()) {
            let same = |finding: &&mut Finding| finding.problem == one.problem && finding.split == one.split;
            match self.findings.iter_mut().find(same) {
                None => self.findings.push(one.clone()),
                Some(finding) => drop(finding.examples.splice(0..0, one.examples.iter().cloned())),
            }
        }
        self.unreadable.splice(0..0, earlier.unreadable.iter().cloned());
        self.sort();
    }

    /// Adds what the masks of a split have shown; the positions of pairs that cannot be trained on.
    fn add_masks(&mut self, role: Role, checked: masks::check::Checked, skip_broken: bool) -> Vec<usize> {
        for (problem, named) in checked.problems {
            let skips = skip_broken && problem.is_of_pairs();
            let severity = if problem.stops() && !skips { Severity::Stops } else { Severity::Warns };
            if problem.is_of_pairs() {
                self.unreadable.extend_from_slice(&named);
            }
            self.findings.extend(finding(Problem::Mask(problem), severity, role, named, &checked.known));
        }
        self.pixels.extend(checked.pixels);
        checked.broken
    }

    /// Adds which images resemble each other, within and between splits.
    fn add_near_duplicates(&mut self, splits: &[(Role, &Split)], looks: &[Look]) {
        let likenesses = likenesses(looks);
        self.add_near_two_labels(splits, &likenesses);
        let name = |(split, index): Place| splits[split].1.images()[index].to_string();
        let named = likenesses.into_iter().map(|likeness| NearDuplicate {
            split: splits[likeness.image.0].0,
            image: name(likeness.image),
            other_split: splits[likeness.other.0].0,
            other: name(likeness.other),
            distance: likeness.distance,
        });
        self.near_duplicates = named.collect();
        for (split, other) in Role::ALL.into_iter().flat_map(|split| Role::ALL.map(|other| (split, other))) {
            let pairs = self.near_duplicates.iter().filter(|near| (near.split, near.other_split) == (split, other));
            let named = pairs.map(|near| format!("{} and {}", near.image, near.other)).collect();
            let severity = if split == other { Severity::Notice } else { Severity::Warns };
            let measure = if split == other { "others".into() } else { format!("images of {other}") };
            self.findings.extend(finding(Problem::NearDuplicates, severity, split, named, &measure));
        }
    }

    /// Adds which images resemble each other and have two labels.
    fn add_near_two_labels(&mut self, splits: &[(Role, &Split)], likenesses: &[Likeness]) {
        let class = |(split, index): Place| {
            let split = splits[split].1;
            split.labels().get(index).and_then(|&label| split.classes().get(label as usize))
        };
        let labelled = |place: Place| {
            let image = &splits[place.0].1.images()[place.1];
            format!("{image} ({})", class(place).map_or("", String::as_str))
        };
        for (number, (role, _)) in splits.iter().enumerate().filter(|(_, (_, split))| split.masks().is_none()) {
            let own = likenesses.iter().filter(|likeness| likeness.image.0 == number);
            let two_labels = own.filter(|likeness| class(likeness.image) != class(likeness.other));
            let named =
                two_labels.map(|likeness| format!("{} and {}", labelled(likeness.image), labelled(likeness.other)));
            self.findings.extend(finding(Problem::NearTwoLabels, Severity::Warns, *role, named.collect(), ""));
        }
    }

    /// Those that stop first, then by problem.
    fn sort(&mut self) {
        self.findings.sort_by_key(|finding| (finding.severity, finding.problem));
    }

    /// The findings that a run reports.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Warns)
    }

    /// The findings that stop a run.
    pub fn stops(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Stops)
    }
}

/// Checks the splits of a data set; `img_size` is the input of the network, where it is known. With `skip_broken`,
/// unreadable images only warn: the caller leaves out [`Report::broken`]. `progress` is told (done, total) images.
pub fn check(
    splits: &[(Role, &Split)],
    depth: Depth,
    img_size: Option<u32>,
    skip_broken: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Report {
    let total = splits.iter().map(|(_, split)| split.len()).sum();
    let mut report = Report { images: total, ..Report::default() };
    let mut done = 0;
    let mut seen_before: Vec<(Role, HashMap<blake3::Hash, usize>)> = Vec::new();
    let mut all_contents = Vec::new();
    let mut trained = None;
    let looks = (depth == Depth::NearDuplicates).then(Looks::new);
    let mut all_looks = Vec::new();
    let mut ignored = BTreeSet::new();
    for &(role, split) in splits {
        let mut seen = Vec::with_capacity(split.len());
        for stretch in split.images().chunks(STRETCH) {
            let lost = |image: &ImageSource| Err(DataError::Worker { message: image.to_string() });
            seen.extend(on_threads(
                stretch,
                processors(),
                |image| look_at(image, depth, split.bit_depth(), looks.as_ref()),
                lost,
            ));
            done += stretch.len();
            progress(done, total);
        }
        if split.masks().is_some() {
            report.findings.extend(turned(role, split, &seen));
        }
        let errors: Vec<String> = seen.iter().filter_map(|seen| seen.as_ref().err().map(with_cause)).collect();
        report.unreadable.extend_from_slice(&errors);
        let severity = if skip_broken { Severity::Warns } else { Severity::Stops };
        report.findings.extend(finding(Problem::Unreadable, severity, role, errors, ""));
        report.findings.extend(bit_depth(role, split, &seen));
        report.findings.extend(sizes(role, split, &seen, img_size));
        report.findings.extend(shared(role, split, &seen, &seen_before));
        let mut broken: Vec<usize> = (0..seen.len()).filter(|&index| seen[index].is_err()).collect();
        if let Some(masks) = split.masks() {
            let sizes: Vec<_> = seen.iter().map(|seen| seen.as_ref().ok().map(|seen| seen.size)).collect();
            let read = if depth == Depth::Quick { masks::check::check_sample } else { masks::check::check };
            let checked = read(role, split.images(), masks, &sizes);
            ignored.extend(checked.ignored.iter().copied());
            broken.extend(report.add_masks(role, checked, skip_broken));
            broken.sort_unstable();
            broken.dedup();
        }
        report.findings.extend(classes(role, split, &broken, trained.as_deref()));
        if role == Role::Train {
            trained = Some(split.class_counts());
        }
        report.broken.push(broken);
        let number = all_contents.len();
        all_looks.extend(seen.iter().enumerate().filter_map(|(index, seen)| {
            let Seen { content, look, .. } = seen.as_ref().ok()?;
            Some(Look { place: (number, index), content: (*content)?, hash: (*look)? })
        }));
        let contents: Vec<_> = seen.iter().map(|seen| seen.as_ref().ok()?.content).collect();
        let known = contents.iter().enumerate().filter_map(|(index, content)| Some(((*content)?, index)));
        seen_before.push((role, known.collect()));
        all_contents.push(contents);
    }
    if depth != Depth::Quick {
        report.findings.extend(never_ignored(splits, &ignored));
    }
    report.findings.extend(same_bytes(splits, &all_contents));
    report.add_near_duplicates(splits, &all_looks);
    report.sort();
    report
}

/// The error in one line, with what the operating system said.
fn with_cause(error: &DataError) -> String {
    match error {
        DataError::Read { source, .. } => format!("{error}: {source}"),
        _ => error.to_string(),
    }
}

fn look_at(image: &ImageSource, depth: Depth, range: BitDepthRange, looks: Option<&Looks>) -> Result<Seen, DataError> {
    match depth {
        Depth::Quick => {
            let size = size_in_header(image)?;
            Ok(Seen { content: None, size, one_colour: false, hides_turn: false, values: None, look: None })
        }
        Depth::Full | Depth::NearDuplicates => {
            let bytes = image.bytes()?;
            let Decoded { pixels, values, hides_turn } = image.decode(&bytes, range)?;
            let first = pixels.get_pixel(0, 0);
            let one_colour = pixels.pixels().all(|pixel| pixel == first);
            Ok(Seen {
                content: Some(blake3::hash(&bytes)),
                size: pixels.dimensions(),
                one_colour,
                hides_turn,
                values,
                // All images of one colour have the same hash.
                look: looks.filter(|_| !one_colour).map(|looks| looks.of(&pixels)),
            })
        }
    }
}

/// Images of 16 bits, more than half of all, that together use less than half of the values that are told apart.
fn bit_depth(role: Role, split: &Split, seen: &[Result<Seen, DataError>]) -> Option<Finding> {
    let range = split.bit_depth();
    let width = |(low, high): (u16, u16)| u32::from(high.saturating_sub(low)) + 1;
    let within = |(low, high): (u16, u16)| (low.max(range.low()), high.min(range.high()));
    let is_narrow = |values: (u16, u16)| 2 * width(within(values)) <= width((range.low(), range.high()));
    let values = |seen: &Result<Seen, DataError>| seen.as_ref().ok()?.values;
    let deep: Vec<_> =
        split.images().iter().zip(seen).filter_map(|(image, seen)| Some((image, values(seen)?))).collect();
    let narrow: Vec<_> = deep.iter().filter(|(_, values)| is_narrow(*values)).collect();
    let (low, high) = narrow.iter().fold(None, |known, (_, values)| joined(known, Some(*values)))?;
    if 2 * narrow.len() < deep.len() || !is_narrow((low, high)) {
        return None;
    }
    let all = format!("{} to {}", range.low(), range.high());
    let measure = if high < range.low() || low > range.high() {
        format!("only the values {low} to {high}, none of them within {all}")
    } else if low < range.low() || high > range.high() {
        format!("the values {low} to {high}, of which those outside of {all} are clipped")
    } else {
        format!("only the values {low} to {high} of {all}")
    };
    let named = narrow.into_iter().map(|(image, _)| image.to_string()).collect();
    finding(Problem::BitDepth, Severity::Warns, role, named, &measure)
}

/// Images that EXIF data turn, where the size of the mask does not show whether it is turned too.
fn turned(role: Role, split: &Split, seen: &[Result<Seen, DataError>]) -> Option<Finding> {
    let is_hidden = |seen: &Result<Seen, DataError>| seen.as_ref().is_ok_and(|seen| seen.hides_turn);
    let named = split.images().iter().zip(seen).filter(|(_, seen)| is_hidden(seen));
    finding(Problem::HiddenTurn, Severity::Warns, role, named.map(|(image, _)| image.to_string()).collect(), "")
}

/// Numbers that the user wants to be ignored and that no mask has.
fn never_ignored(splits: &[(Role, &Split)], seen: &BTreeSet<u16>) -> Option<Finding> {
    let (role, masks) = splits.iter().find_map(|(role, split)| Some((*role, split.masks()?)))?;
    let never = masks.coding().asked_to_ignore().iter().filter(|number| !seen.contains(number));
    finding(Problem::NeverIgnored, Severity::Warns, role, never.map(ToString::to_string).collect(), "")
}

/// What the sizes and the pixels of the images say, each image named once.
fn sizes(role: Role, split: &Split, seen: &[Result<Seen, DataError>], img_size: Option<u32>) -> Vec<Finding> {
    let (mut below, mut tiny, mut one_colour) = (Vec::new(), Vec::new(), Vec::new());
    for (image, seen) in split.images().iter().zip(seen) {
        let Ok(Seen { size: (width, height), one_colour: plain, .. }) = seen else { continue };
        let shorter = *width.min(height);
        let named = || format!("{image} ({width} x {height})");
        if img_size.is_some_and(|least| shorter < least) {
            below.push(named());
        }
        if shorter < TINY {
            tiny.push(named());
        } else if *plain {
            one_colour.push(image.to_string());
        }
    }
    let input = img_size.map(|least| format!("{least} x {least} pixels")).unwrap_or_default();
    let least = format!("{TINY} x {TINY} pixels");
    [
        finding(Problem::Small, Severity::Warns, role, below, &input),
        finding(Problem::Tiny, Severity::Notice, role, tiny, &least),
        finding(Problem::OneColour, Severity::Notice, role, one_colour, ""),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Images that are identical to others but for the label, and those that a class holds twice.
fn same_bytes(splits: &[(Role, &Split)], contents: &[Vec<Option<blake3::Hash>>]) -> Vec<Finding> {
    let all: Vec<&Split> = splits.iter().map(|(_, split)| *split).collect();
    let repetitions = repetitions(&all, contents);
    let mask = |(split, image): Place| Some(all[split].masks()?.files()[image].to_string());
    let image = |(split, image): Place| &all[split].images()[image];
    let labelled = |place: Place| {
        let (split, index) = place;
        let class = || all[split].classes()[all[split].labels()[index] as usize].clone();
        format!("{} ({})", image(place), mask(place).unwrap_or_else(class))
    };
    let of_split = |(number, (role, _)): (usize, &(Role, &Split))| {
        let own = repetitions.iter().filter(move |repetition| repetition.image.0 == number);
        let two_labels = own.clone().filter_map(|one| Some((one.image, one.other_label?)));
        let repeated = own.filter(|one| one.other_label.is_none()).filter_map(|one| Some((one.image, one.same_class?)));
        let two_labels = two_labels.map(|(one, other)| format!("{} and {}", labelled(one), labelled(other))).collect();
        let repeated = repeated.map(|(one, other)| format!("{} and {}", image(one), image(other))).collect();
        let label = if all[number].masks().is_some() { "mask" } else { "label" };
        [
            finding(Problem::TwoLabels, Severity::Warns, *role, two_labels, label),
            finding(Problem::Repeated, Severity::Notice, *role, repeated, label),
        ]
    };
    splits.iter().enumerate().flat_map(of_split).flatten().collect()
}

/// The classes of training with the folders in them, if none holds an image directly, and each holds several folders or most
/// hold one of the same name beside others: `angry` and `happy` of several people.
fn nested(role: Role, split: &Split) -> Vec<String> {
    let mut folders: Vec<BTreeSet<&OsStr>> = vec![BTreeSet::new(); split.classes().len()];
    for (image, &label) in split.images().iter().zip(split.labels()) {
        let ImageSource::File(path) = image else { return Vec::new() };
        let class = OsStr::new(&split.classes()[label as usize]);
        let mut below = path.iter().skip_while(|&part| part != class).skip(1);
        match (below.next(), below.next()) {
            (Some(folder), Some(_)) => drop(folders[label as usize].insert(folder)),
            _ => return Vec::new(),
        }
    }
    let names: BTreeSet<&OsStr> = folders.iter().flatten().copied().collect();
    let holders = |name: &&OsStr| folders.iter().filter(|folders| folders.contains(name)).count();
    // One folder in each class, `images`, is no class.
    let most_share_one = names.len() > 1 && names.iter().any(|name| 2 * holders(name) > folders.len());
    let is_nested = folders.iter().all(|folders| folders.len() > 1) || most_share_one;
    if role != Role::Train || folders.len() < 2 || folders.iter().any(BTreeSet::is_empty) || !is_nested {
        return Vec::new();
    }
    let named = |(class, folders): (&String, &BTreeSet<&OsStr>)| {
        let names: Vec<String> = folders.iter().map(|folder| folder.to_string_lossy().into_owned()).collect();
        format!("{} ({})", quoted(class), listed(&names))
    };
    split.classes().iter().zip(&folders).map(named).collect()
}

/// The classes that hold images, and folders with images named like splits or other classes, each with those folders.
fn with_other_names_inside(split: &Split) -> Vec<String> {
    let names: HashSet<&OsStr> = split.classes().iter().map(OsStr::new).collect();
    let is_other =
        |folder: &&OsStr| names.contains(folder) || folder.to_str().is_some_and(|name| role_of(name).is_some());
    let mut inside: Vec<(bool, BTreeSet<&OsStr>)> = vec![(false, BTreeSet::new()); split.classes().len()];
    for (image, &label) in split.images().iter().zip(split.labels()) {
        let (ImageSource::File(path), Some(place)) = (image, inside.get_mut(label as usize)) else { return Vec::new() };
        let class = OsStr::new(&split.classes()[label as usize]);
        let below: Vec<&OsStr> = path.iter().skip_while(|&part| part != class).skip(1).collect();
        match below.split_last() {
            Some((_, [])) => place.0 = true,
            Some((_, folders)) => place.1.extend(folders.iter().copied().filter(is_other)),
            None => {}
        }
    }
    let named = |(class, (has_images, folders)): (&String, &(bool, BTreeSet<&OsStr>))| {
        let folders: Vec<String> = folders.iter().map(|folder| folder.to_string_lossy().into_owned()).collect();
        (*has_images && !folders.is_empty()).then(|| format!("{} ({})", quoted(class), listed(&folders)))
    };
    split.classes().iter().zip(&inside).filter_map(named).collect()
}

/// `Cat (2 images, resembles cat)`
fn in_words(class: &UnknownClass) -> String {
    let UnknownClass { class, images: count, resembles, .. } = class;
    let Some(other) = resembles else { return format!("{} ({})", quoted(class), images(*count)) };
    let [class, other] = told_apart(class, other).map(|name| quoted(&name));
    format!("{class} ({}, resembles {other})", images(*count))
}

/// Images that an earlier split has too.
fn shared(
    role: Role,
    split: &Split,
    seen: &[Result<Seen, DataError>],
    before: &[(Role, HashMap<blake3::Hash, usize>)],
) -> Vec<Finding> {
    let in_other = |(other, contents): &(Role, HashMap<blake3::Hash, usize>)| {
        let pairs = split.images().iter().zip(seen);
        let twice = pairs.filter(|(_, seen)| {
            seen.as_ref().ok().and_then(|seen| seen.content).is_some_and(|content| contents.contains_key(&content))
        });
        let names = twice.map(|(image, _)| image.to_string()).collect();
        finding(Problem::Shared, Severity::Warns, role, names, &other.to_string())
    };
    before.iter().filter_map(in_other).collect()
}

/// What the numbers of images by class say, without the broken ones; `trained` are those of the training split.
fn classes(role: Role, split: &Split, broken: &[usize], trained: Option<&[usize]>) -> Vec<Finding> {
    if split.masks().is_some() {
        return Vec::new();
    }
    let mut counts = split.class_counts();
    for &index in broken {
        counts[split.labels()[index] as usize] -= 1;
    }
    // A class without training images is reported there, once.
    let is_known = |class: usize| trained.is_none_or(|trained| trained[class] > 0);
    let empty = (0..counts.len()).filter(|&class| counts[class] == 0 && is_known(class));
    let empty: Vec<String> = empty.map(|class| quoted(&split.classes()[class])).collect();
    let known = if trained.is_some() { "train" } else { "" };
    let (problem, severity) = match role {
        // Of a table, the list of names may know more classes than the table has: nothing to be mended there.
        Role::Train if !matches!(split.images().first(), Some(ImageSource::File(_))) => {
            (Problem::EmptyClass, Severity::Warns)
        }
        Role::Train => (Problem::EmptyClass, Severity::Stops),
        Role::Validation | Role::Test => (Problem::ClassNotTested, Severity::Warns),
    };
    let present: Vec<usize> = counts.iter().copied().filter(|&count| count > 0).collect();
    let (least, most) = (present.iter().min().copied().unwrap_or(0), present.iter().max().copied().unwrap_or(0));
    let name = |wanted: usize| {
        let class = counts.iter().position(|&count| count == wanted).unwrap_or_default();
        format!("{} ({})", quoted(&split.classes()[class]), images(wanted))
    };
    let imbalanced = if least > 0 && most > IMBALANCE * least { vec![name(least), name(most)] } else { Vec::new() };
    let measure = format!("{IMBALANCE} to 1");
    let of_train =
        |named: fn(&[String]) -> Vec<String>| if role == Role::Train { named(split.classes()) } else { Vec::new() };
    let alike = if role == Role::Train { alike(split.classes()) } else { Vec::new() };
    let alike = alike.into_iter().map(|(name, other)| told_apart(name, other));
    let alike = alike.map(|[name, other]| format!("`{name}` and `{other}`")).collect();
    [
        finding(Problem::AlikeClasses, Severity::Warns, role, alike, ""),
        finding(Problem::NamesOfSplits, Severity::Warns, role, of_train(named_like_splits), ""),
        finding(Problem::NestedClasses, Severity::Notice, role, nested(role, split), ""),
        finding(Problem::OtherNamesInside, Severity::Warns, role, with_other_names_inside(split), ""),
        finding(Problem::DoubtfulClasses, Severity::Warns, role, of_train(doubtful), ""),
        finding(problem, severity, role, empty, known),
        finding(Problem::Imbalance, Severity::Warns, role, imbalanced, &measure),
    ]
    .into_iter()
    .flatten()
    .collect()
}
