//! Predictions as rows of a file, written as they come.

use std::io::{self, Write};

use serde_json::json;

use super::Prediction;

/// Writes predictions to a sink: CSV with a header, or one JSON object per line.
pub struct Rows<W: Write> {
    form: Form<W>,
}

enum Form<W: Write> {
    Csv { writer: Box<csv::Writer<W>>, top_k: usize },
    JsonLines(W),
}

impl<W: Write> Rows<W> {
    /// `path,error,label_1,probability_1,...` for `top_k` classes; of a row only `error` or the classes are filled.
    ///
    /// # Errors
    /// [`io::Error`] when the sink does not take it.
    pub fn csv(sink: W, top_k: usize) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(sink);
        let classes = (1..=top_k).flat_map(|rank| [format!("label_{rank}"), format!("probability_{rank}")]);
        writer.write_record(["path".to_string(), "error".to_string()].into_iter().chain(classes))?;
        Ok(Rows { form: Form::Csv { writer: Box::new(writer), top_k } })
    }

    /// `{"path": .., "predictions": [{"label": .., "probability": ..}, ..]}`, or `{"path": .., "error": ".."}`.
    pub fn json_lines(sink: W) -> Self {
        Rows { form: Form::JsonLines(sink) }
    }

    /// Writes one row; when this returns, the sink has it.
    ///
    /// # Errors
    /// [`io::Error`] when the sink does not take it.
    pub fn write(&mut self, prediction: &Prediction) -> io::Result<()> {
        // Names that are no UTF-8 cannot stand in either form as they are.
        let path = prediction.path.to_string_lossy();
        match &mut self.form {
            Form::Csv { writer, top_k } => {
                let mut fields = vec![path.into_owned()];
                match &prediction.outcome {
                    Ok(ranked) => {
                        fields.push(String::new());
                        fields.extend(ranked.iter().flat_map(|r| [r.label.clone(), format!("{:.6}", r.probability)]));
                    }
                    Err(error) => fields.push(error.to_string()),
                }
                fields.resize(2 + 2 * *top_k, String::new());
                writer.write_record(fields)?;
                writer.flush()
            }
            Form::JsonLines(sink) => {
                let row = match &prediction.outcome {
                    Ok(ranked) => {
                        let each = ranked.iter().map(|r| json!({ "label": r.label, "probability": r.probability }));
                        json!({ "path": path, "predictions": each.collect::<Vec<_>>() })
                    }
                    Err(error) => json!({ "path": path, "error": error.to_string() }),
                };
                writeln!(sink, "{row}")
            }
        }
    }
}
