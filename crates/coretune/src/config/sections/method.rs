//! `[method]`: the objective of fine-tuning. The settings of each method are in its file under `objectives/`.

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::config::error::refuse_if;
use crate::config::{ConfigError, HeadInit, ProjectionInit};
use crate::objectives::{Method, Objective, Regularised, Regulariser, Requirement, Values};
use crate::settings::OnResume::Fixed;
use crate::settings::{Kind, Range, RunKind, Setting, auto, custom, setting};

/// The objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodSection {
    /// Its name in the table of methods; `None` (`custom`): a method that the program brings itself.
    #[serde(with = "custom")]
    pub name: Option<String>,
    /// Outputs of the projection head.
    pub contrast_dim: i64,
    /// How the classifier starts.
    pub head_init: HeadInit,
    /// How the projection head starts.
    pub projection: ProjectionInit,
    /// What pulls the backbone towards its start.
    pub regulariser: Regulariser,
    /// Its weight; `None`: the usual one.
    #[serde(with = "auto")]
    pub regulariser_weight: Option<f64>,
    /// The values of the settings that the method reads, by name.
    #[serde(flatten)]
    pub values: Table,
}

/// The settings that every method has, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("method.name", Kind::Choice(methods), "objective (for few labels see the recipe few-labels)")
        .default("core-tuning")
        .word("custom")
        .on_resume(Fixed),
    setting("method.contrast_dim", Kind::Whole(1, 65_536), "outputs of the projection head")
        .default("256")
        .default_in_segmentation("128")
        .on_resume(Fixed),
    setting("method.head_init", Kind::Choice(HeadInit::names), "start of the classifier")
        .default(HeadInit::Random.name()),
    setting(
        "method.projection",
        Kind::Choice(ProjectionInit::names),
        "start of the projection head; checkpoint: as pre-trained, with its own contrast-dim",
    )
    .default(ProjectionInit::Random.name())
    .on_resume(Fixed)
    .read_by(&[RunKind::FineTuning]),
    setting(
        "method.regulariser",
        Kind::Choice(Regulariser::names),
        "pull of the backbone towards its start, with any method",
    )
    .default(Regulariser::None.name())
    .on_resume(Fixed),
    setting("method.regulariser_weight", Kind::Number(Range::Above(0.0)), "weight of the regulariser")
        .auto(regulariser_weight_text),
];

fn regulariser_weight_text(_: RunKind) -> String {
    let usual = |regulariser: Regulariser| regulariser.usual_weight();
    format!("{} for l2-sp and delta, {} for spd", usual(Regulariser::L2Sp), usual(Regulariser::Spd))
}

fn methods() -> Vec<&'static str> {
    Method::of(RunKind::FineTuning).map(|method| method.word).collect()
}

impl MethodSection {
    /// The method in the table; `None` for one that the program brings itself.
    pub fn method(&self) -> Option<&'static Method> {
        Method::named(RunKind::FineTuning, self.name.as_deref()?)
    }

    /// The method's name, or `custom`.
    pub fn word(&self) -> &str {
        self.name.as_deref().unwrap_or("custom")
    }

    /// Makes the objective; `None` for one that the program brings itself.
    pub fn build(&self, label_smoothing: f64) -> Option<Box<dyn Objective>> {
        let method = self.method()?;
        Some(self.regularised((method.build)(&Values { section: &self.values, label_smoothing })))
    }

    /// The objective with the regulariser that is configured.
    fn regularised(&self, objective: Box<dyn Objective>) -> Box<dyn Objective> {
        let kind = self.regulariser;
        if kind == Regulariser::None {
            return objective;
        }
        let weight = self.regulariser_weight.unwrap_or(kind.usual_weight());
        Box::new(Regularised::new(objective, kind, weight))
    }

    /// Refuses a regulariser that the method has already, or that cannot be computed with it.
    pub(in crate::config) fn check_regulariser(&self) -> Result<(), ConfigError> {
        let twice = self.regulariser.name() == self.word()
            || (self.regulariser == Regulariser::Spd && self.word() == Regulariser::L2Sp.name());
        let two_views = self.regulariser == Regulariser::Delta
            && self.build(0.0).is_some_and(|objective| objective.needs().views > 1);
        let because = if twice {
            "another regulariser: the method has a pull of its own"
        } else {
            "l2-sp or spd with two views of an image"
        };
        refuse_if(twice || two_views, || ConfigError::Conflict {
            first: "method.regulariser".into(),
            second: "method.name".into(),
            expected: because.into(),
            found: format!("{} with {}", self.regulariser, self.word()),
            hint: "leave out {method.regulariser}".into(),
        })
    }

    /// Drops the values of other methods' settings.
    pub(in crate::config) fn keep_own_values(&mut self) {
        let method = self.method();
        self.values.retain(|name, _| method.is_some_and(|method| method.reads(&format!("method.{name}"))));
    }

    /// Refuses settings of `table`, a whole configuration, that must have other values with the method.
    pub(in crate::config) fn check_requirements(&self, table: &Table) -> Result<(), ConfigError> {
        for Requirement { key, value, because } in self.method().map_or(&[][..], |method| method.requires) {
            let found = key.split_once('.').and_then(|(section, name)| table.get(section)?.get(name));
            refuse_if(found.and_then(toml::Value::as_str) != Some(value), || ConfigError::Conflict {
                first: "method.name".into(),
                second: (*key).into(),
                expected: format!("{value} with {}: {because}", self.word()),
                found: found.map_or_else(|| "nothing".into(), ToString::to_string),
                hint: format!("leave out {{{key}}}, or give {{{key}={value}}}").into(),
            })?;
        }
        Ok(())
    }
}
