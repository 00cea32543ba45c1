//! The lines of `predictions.csv`.

use crate::data::{ImageSource, Split};
use crate::evaluate::EvaluateError;
use crate::evaluate::calibration::{self, Prediction};
use crate::evaluate::features::Outputs;
use crate::run_folder::PredictionRecord;

/// A line for each image of the split of this name.
pub(super) fn prediction_records(
    name: &str,
    split: &Split,
    outputs: &Outputs,
    temperature: f64,
) -> Result<Vec<PredictionRecord>, EvaluateError> {
    let of_image = |(image, prediction): (&ImageSource, Prediction)| {
        let Prediction { label, predicted, confidence, nll } = prediction;
        let [label_name, predicted_name] = [label, predicted].map(|class| name_of(split, class));
        let (split, image) = (name.into(), image.to_string());
        PredictionRecord { split, image, label, predicted, confidence, nll, label_name, predicted_name }
    };
    let predictions = calibration::predictions(&outputs.logits, &outputs.labels, temperature)?;
    Ok(split.images().iter().zip(predictions).map(of_image).collect())
}

/// The name of a class, by its number.
fn name_of(split: &Split, class: i64) -> String {
    usize::try_from(class).ok().and_then(|class| split.classes().get(class).cloned()).unwrap_or_default()
}
