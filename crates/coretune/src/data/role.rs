use std::fmt;

use serde::Serialize;

/// What a split is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Training.
    Train,
    /// Choosing the best epoch and settings.
    Validation,
    /// The figure that is reported.
    Test,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Train => "train",
            Role::Validation => "validation",
            Role::Test => "test",
        })
    }
}

impl Role {
    pub(super) const ALL: [Role; 3] = [Role::Train, Role::Validation, Role::Test];

    /// Names that say the role by themselves, the usual one first.
    fn names(self) -> &'static [&'static str] {
        match self {
            Role::Train => &["train", "training"],
            Role::Validation => &["val", "validation", "valid", "dev"],
            Role::Test => &["test", "testing", "t10k"],
        }
    }
}

/// The role of a split with this name, if the name says it; case does not matter.
pub(super) fn role_of(name: &str) -> Option<Role> {
    let name = name.to_lowercase();
    Role::ALL.into_iter().find(|role| role.names().contains(&name.as_str()))
}

/// Names of splits that do not say whether they validate or test.
const EVALUATING: [&str; 8] =
    ["eval", "evaluation", "evaluate", "validate", "holdout", "hold-out", "hold_out", "heldout"];

/// Whether a split of this name validates or tests, and the name does not say which.
pub(super) fn is_evaluating(name: &str) -> bool {
    EVALUATING.contains(&name.to_lowercase().as_str())
}

/// The role that a word of this name says: `train_images`, `val-2017`.
pub(super) fn role_in(name: &str) -> Option<Role> {
    name.split(|character: char| !character.is_alphabetic()).find_map(role_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_splits_are_known_in_any_case() {
        let known =
            [("train", Role::Train), ("Train", Role::Train), ("TEST", Role::Test), ("Validation", Role::Validation)];
        for (name, role) in known {
            assert_eq!(role_of(name), Some(role), "{name}");
        }
        assert_eq!(role_of("trainer"), None);
    }

    #[test]
    fn a_role_is_found_among_the_words_of_a_name() {
        for (name, role) in [("train_images", Role::Train), ("images-VAL", Role::Validation), ("test2017", Role::Test)]
        {
            assert_eq!(role_in(name), Some(role), "{name}");
        }
        assert_eq!(role_in("trainer_tested"), None);
    }
}
