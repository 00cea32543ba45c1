//! `predictions.csv`: what the model of the best epoch says of every image that it was chosen with or tested on.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A line of `predictions.csv`. Probabilities are those after temperature scaling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictionRecord {
    /// `validation` or `test`.
    pub split: String,
    /// The image: its file, or its place in the file that holds it.
    pub image: String,
    /// Number of the true class.
    pub label: i64,
    /// Number of the most probable class.
    pub predicted: i64,
    /// Its probability.
    pub confidence: f64,
    /// Negative log-likelihood of the true class, nats.
    pub nll: f64,
    /// Name of the true class; empty in files written before names were.
    #[serde(default)]
    pub label_name: String,
    /// Name of the most probable class, likewise.
    #[serde(default)]
    pub predicted_name: String,
}

impl PredictionRecord {
    /// Whether the most probable class is the true one.
    pub fn is_right(&self) -> bool {
        self.predicted == self.label
    }
}

/// Records as CSV.
pub(super) fn to_csv(records: &[impl Serialize]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        writer.serialize(record).expect("memory takes every row");
    }
    writer.into_inner().expect("memory takes every row")
}

/// The records of a file; an error says what is wrong with it.
pub(super) fn from_csv<R: DeserializeOwned>(text: &str) -> Result<Vec<R>, String> {
    let records = csv::Reader::from_reader(text.as_bytes()).into_deserialize();
    records.collect::<Result<_, _>>().map_err(|error| error.to_string())
}
