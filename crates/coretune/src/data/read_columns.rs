use std::fmt;

use serde::Serialize;

/// Which columns of tables were read, and which were not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadColumns {
    /// Names of the tables that have these columns.
    pub files: Vec<String>,
    /// The column of the images, or of their paths.
    pub image: String,
    /// Whether the images are named without their endings.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_endings: bool,
    /// The column of the labels.
    pub label: String,
    /// The column of the splits, if any.
    pub split: Option<String>,
    /// All other columns that have names.
    pub not_read: Vec<String>,
}

impl ReadColumns {
    /// The columns `header` of one table, of which these were read.
    pub(super) fn of(file: String, header: &[String], image: usize, label: usize, split: Option<usize>) -> Self {
        let is_read = |at: usize| at == image || at == label || Some(at) == split;
        ReadColumns {
            files: vec![file],
            image: header[image].clone(),
            without_endings: false,
            label: header[label].clone(),
            split: split.map(|at| header[at].clone()),
            not_read: (0..header.len())
                .filter(|&at| !is_read(at) && !header[at].is_empty())
                .map(|at| header[at].clone())
                .collect(),
        }
    }

    /// Adds the columns of a table to those of the tables before: a table with the same columns adds its name only.
    pub(super) fn add_to(self, all: &mut Vec<ReadColumns>) {
        let same = |one: &&mut ReadColumns| {
            (&one.image, one.without_endings, &one.label, &one.split, &one.not_read)
                == (&self.image, self.without_endings, &self.label, &self.split, &self.not_read)
        };
        match all.iter_mut().find(same) {
            Some(one) => one.files.extend(self.files),
            None => all.push(self),
        }
    }
}

impl fmt::Display for ReadColumns {
    /// ``list.csv: images `file`, labels `class`, splits `set`; not read: `width`, `height` ``
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, others @ ..] = &self.files[..] else { return Ok(()) };
        match others {
            [] => write!(f, "{first}: ")?,
            [second] => write!(f, "{first}, {second}: ")?,
            more => write!(f, "{first} and {} more: ", more.len())?,
        }
        let bare = if self.without_endings { " (without endings)" } else { "" };
        write!(f, "images `{}`{bare}, labels `{}`", self.image, self.label)?;
        if let Some(split) = &self.split {
            write!(f, ", splits `{split}`")?;
        }
        if !self.not_read.is_empty() {
            let names: Vec<String> = self.not_read.iter().map(|name| format!("`{name}`")).collect();
            write!(f, "; not read: {}", names.join(", "))?;
        }
        Ok(())
    }
}
