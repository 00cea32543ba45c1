//! Which images the page shows: the most confident mistakes, and the pairs that are hardest by M1.

use rand::seq::index;
use tch::{Kind, Tensor};

use super::thumbnail;
use crate::data::Split;
use crate::engine::{EngineError, guard};
use crate::fit::RunOutputs;
use crate::mining;
use crate::random::{Purpose, stream};

/// Mistakes that are shown.
const MISTAKES: usize = 24;

/// Pairs of each kind that are shown.
const PAIRS: usize = 8;

/// Most images that are compared with each other for hard pairs.
const MINED: usize = 500;

/// An image of the split, as it is shown.
#[derive(Debug)]
pub(super) struct Shown {
    /// Its file, or its place in the file that holds it.
    pub(super) path: String,
    /// Its class.
    pub(super) class: usize,
    /// A `data:` URI; the error says why the image cannot be shown.
    pub(super) thumbnail: Result<String, String>,
}

impl Shown {
    fn new(images: &Split, index: usize) -> Self {
        let load = || {
            let image = images.load(index).map_err(|error| error.to_string())?;
            thumbnail::data_uri(image).map_err(|error| error.to_string())
        };
        let path = images.images()[index].to_string();
        Shown { path, class: images.labels()[index] as usize, thumbnail: load() }
    }
}

/// The last two parts of a path, such as `cat/4.jpg`.
pub(super) fn short(path: &str) -> &str {
    let mut separators = path.char_indices().rev().filter(|(_, letter)| matches!(letter, '/' | '\\'));
    separators.nth(1).map_or(path, |(at, _)| &path[at + 1..])
}

/// An image that was predicted as another class.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) image: Shown,
    pub(super) predicted: usize,
    /// Probability of the predicted class, after temperature scaling if a temperature was fitted.
    pub(super) confidence: f64,
}

/// Two images and the cosine of their features.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) images: [Shown; 2],
    pub(super) cosine: f64,
}

/// The hardest pairs of a split.
#[derive(Debug)]
pub(super) struct Pairs {
    /// Images that were compared.
    pub(super) mined: usize,
    /// Of one class, least similar first.
    pub(super) positives: Vec<Pair>,
    /// Of two classes, most similar first.
    pub(super) negatives: Vec<Pair>,
}

/// Positions of at most `most` images of `images`, chosen by `seed`, ascending.
pub(super) fn chosen(images: usize, most: usize, seed: u64) -> Vec<usize> {
    let mut positions =
        index::sample(&mut stream(seed, Purpose::Shown, 0, most as u64), images, most.min(images)).into_vec();
    positions.sort_unstable();
    positions
}

/// The rows of `features` at `positions`.
pub(super) fn rows(features: &Tensor, positions: &[usize]) -> Result<Tensor, EngineError> {
    let positions: Vec<i64> = positions.iter().map(|&position| position as i64).collect();
    guard("choosing features", || features.index_select(0, &Tensor::from_slice(&positions)))
}

/// The mistakes with the highest confidence, highest first; on ties in the order of the split.
pub(super) fn mistakes(run: &RunOutputs) -> Result<Vec<Mistake>, EngineError> {
    let outputs = &run.outputs;
    let (confidences, predictions) = guard("finding mistakes", || {
        let logits = outputs.logits.to_kind(Kind::Double) / run.temperature.unwrap_or(1.0);
        let predicted = logits.argmax(1, false);
        let probability = logits.softmax(1, Kind::Double).amax([1i64].as_slice(), false);
        (doubles(&probability), doubles(&predicted))
    })?;
    let mut wrong: Vec<usize> =
        (0..outputs.labels.len()).filter(|&index| predictions[index] as i64 != outputs.labels[index]).collect();
    wrong.sort_by(|&a, &b| confidences[b].total_cmp(&confidences[a]).then(a.cmp(&b)));
    let mistake = |&index: &usize| Mistake {
        image: Shown::new(&run.images, index),
        predicted: predictions[index] as usize,
        confidence: confidences[index],
    };
    Ok(wrong.iter().take(MISTAKES).map(mistake).collect())
}

/// The hardest pairs (M1) among up to [`MINED`] images of the split.
pub(super) fn pairs(run: &RunOutputs) -> Result<Pairs, EngineError> {
    let positions = chosen(run.images.len(), MINED, run.seed);
    let labels: Vec<i64> = positions.iter().map(|&position| run.outputs.labels[position]).collect();
    let cosines = mining::cosines(&rows(&run.outputs.features, &positions)?)?;
    let hardest = mining::hardest_pairs(&cosines, &labels)?;
    let (values, positive, negative) = guard("reading the hardest pairs", || {
        (doubles(&cosines), doubles(&hardest.positive), doubles(&hardest.negative))
    })?;
    let cosine = |(a, b): (usize, usize)| values[a * labels.len() + b];
    let shown = |pairs: Vec<(usize, usize)>| -> Vec<Pair> {
        let pair = |&(a, b): &(usize, usize)| Pair {
            images: [a, b].map(|row| Shown::new(&run.images, positions[row])),
            cosine: cosine((a, b)),
        };
        pairs.iter().take(PAIRS).map(pair).collect()
    };
    let mut positives = distinct(&positive);
    positives.sort_by(|&a, &b| cosine(a).total_cmp(&cosine(b)).then(a.cmp(&b)));
    let mut negatives = if hardest.have_negatives { distinct(&negative) } else { Vec::new() };
    negatives.sort_by(|&a, &b| cosine(b).total_cmp(&cosine(a)).then(a.cmp(&b)));
    Ok(Pairs { mined: labels.len(), positives: shown(positives), negatives: shown(negatives) })
}

/// Each pair of anchor and partner once, the lower row first; anchors that are their own partner are left out.
fn distinct(partners: &[f64]) -> Vec<(usize, usize)> {
    let pair = |(anchor, &partner): (usize, &f64)| (anchor.min(partner as usize), anchor.max(partner as usize));
    let mut pairs: Vec<_> = partners.iter().enumerate().map(pair).filter(|(a, b)| a != b).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

fn doubles(tensor: &Tensor) -> Vec<f64> {
    let mut values = vec![0.0; tensor.numel()];
    tensor.to_kind(Kind::Double).contiguous().copy_data(&mut values, tensor.numel());
    values
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_path_is_shortened_to_its_folder_and_its_name() {
        assert_eq!(short("/data/photos/test/cat/4.jpg"), "cat/4.jpg");
        assert_eq!(short("cat/4.jpg"), "cat/4.jpg");
        assert_eq!(short("4.jpg"), "4.jpg");
        assert_eq!(short(r"C:\photos\cat\4.jpg"), r"cat\4.jpg");
    }
}
