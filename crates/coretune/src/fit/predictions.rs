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
        PredictionRecord { split: name.into(), image: image.to_string(), label, predicted, confidence, nll }
    };
    let predictions = calibration::predictions(&outputs.logits, &outputs.labels, temperature)?;
    Ok(split.images().iter().zip(predictions).map(of_image).collect())
}
