//! The table of methods: a line each. A method's name, summary and settings are in its own file.

use super::Method;
use crate::settings::{RunKind, Setting};

/// Every method, in the order in which they are listed to users.
#[rustfmt::skip]
pub const METHODS: &[&Method] = &[
    &super::core_tuning_run::METHOD,
    &super::supervised_contrastive::METHOD,
    &super::cross_entropy::METHOD,
    &super::linear_probe::METHOD,
    &super::l2_sp::METHOD,
    &super::delta::METHOD,
    &super::bss::METHOD,
    &super::rifle::METHOD,
    &super::mix_and_match::METHOD,
    &super::bi_tuning::METHOD,
    &super::coin::METHOD,
    &super::dr_tune::METHOD,
    &super::moco::METHOD,
    &super::simclr::METHOD,
];

impl Method {
    /// The method of this name.
    pub fn named(kind: RunKind, word: &str) -> Option<&'static Method> {
        Method::of(kind).find(|method| method.word == word)
    }

    /// The methods of this kind of run.
    pub fn of(kind: RunKind) -> impl Iterator<Item = &'static Method> {
        METHODS.iter().copied().filter(move |method| method.kind == kind)
    }

    /// The settings of all methods of this kind of run; one that several methods read is listed once.
    pub fn settings_of(kind: RunKind) -> Vec<&'static Setting> {
        let mut list: Vec<&'static Setting> = Vec::new();
        for setting in Method::of(kind).flat_map(|method| method.settings) {
            if list.iter().all(|known| known.key != setting.key) {
                list.push(setting);
            }
        }
        list
    }
}
