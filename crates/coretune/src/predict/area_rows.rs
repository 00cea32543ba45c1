//! Areas of classes as rows of a file, written as they come.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::MaskPrediction;

/// Writes the areas of classes to a sink: CSV with a header, or one JSON object per line.
pub struct AreaRows<W: Write> {
    form: Form<W>,
    classes: Vec<String>,
}

enum Form<W: Write> {
    Csv(Box<csv::Writer<W>>),
    JsonLines(W),
}

impl<W: Write> AreaRows<W> {
    /// `path,error,width,height,<class>,...`: the fraction of the pixels that is of each class. Of a row only `error` or the
    /// numbers are filled.
    ///
    /// # Errors
    /// [`io::Error`] when the sink does not take it.
    pub fn csv(sink: W, classes: &[String]) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(sink);
        let head = ["path", "error", "width", "height"].into_iter().chain(classes.iter().map(String::as_str));
        writer.write_record(head)?;
        Ok(AreaRows { form: Form::Csv(Box::new(writer)), classes: classes.to_vec() })
    }

    /// `{"path": .., "width": .., "height": .., "areas": {class: fraction, ..}}`, or `{"path": .., "error": ".."}`.
    pub fn json_lines(sink: W, classes: &[String]) -> Self {
        AreaRows { form: Form::JsonLines(sink), classes: classes.to_vec() }
    }

    /// Writes one row; when this returns, the sink has it.
    ///
    /// # Errors
    /// [`io::Error`] when the sink does not take it.
    pub fn write(&mut self, prediction: &MaskPrediction) -> io::Result<()> {
        // Names that are no UTF-8 cannot stand in either form as they are.
        let path = prediction.path.to_string_lossy();
        let classes = &self.classes;
        match &mut self.form {
            Form::Csv(writer) => {
                let mut fields = vec![path.into_owned()];
                match &prediction.outcome {
                    Ok(segmented) => {
                        let (width, height) = segmented.mask.dimensions();
                        fields.extend([String::new(), width.to_string(), height.to_string()]);
                        fields.extend(segmented.areas(classes.len()).iter().map(|area| format!("{area:.6}")));
                    }
                    Err(error) => fields.push(error.to_string()),
                }
                fields.resize(4 + classes.len(), String::new());
                writer.write_record(fields)?;
                writer.flush()
            }
            Form::JsonLines(sink) => {
                let row = match &prediction.outcome {
                    Ok(segmented) => {
                        let (width, height) = segmented.mask.dimensions();
                        let areas = segmented.areas(classes.len()).into_iter().map(Value::from);
                        let areas: Map<String, Value> = classes.iter().cloned().zip(areas).collect();
                        json!({ "path": path, "width": width, "height": height, "areas": areas })
                    }
                    Err(error) => json!({ "path": path, "error": error.to_string() }),
                };
                writeln!(sink, "{row}")
            }
        }
    }
}
