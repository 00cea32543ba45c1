/// Names of the splits where they are not the usual ones.
///
/// Without a name, training is `train`, validation the first of `val`, `validation`, `valid`, `dev`, and test `test`
/// (idx: `t10k`). A split that is named for one role serves no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetOptions {
    /// Training split.
    pub train_split: Option<String>,
    /// Validation split.
    pub val_split: Option<String>,
    /// Test split.
    pub test_split: Option<String>,
}

impl DatasetOptions {
    pub(super) fn names_any(&self) -> bool {
        self.train_split.is_some() || self.val_split.is_some() || self.test_split.is_some()
    }
}
