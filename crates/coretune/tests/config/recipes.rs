use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use coretune::config::{Layers, RECIPES, Recipe, RunKind};
use coretune::objectives::Method;

use super::{setting, smallest};

/// The command that a recipe is for.
fn kind(recipe: &Recipe) -> RunKind {
    let has = |section: &str| recipe.text.contains(&format!("\n[{section}]\n"));
    match (has("pretrain"), has("segmentation")) {
        (true, _) => RunKind::Pretraining,
        (false, true) => RunKind::Segmentation,
        (false, false) => RunKind::FineTuning,
    }
}

#[test]
fn every_recipe_is_a_valid_configuration() {
    for recipe in RECIPES {
        let refused = |error| panic!("{}: {error:?}", recipe.name);
        match kind(recipe) {
            RunKind::Pretraining => {
                let layers = Layers::defaults_of(RunKind::Pretraining).assignment("data.dir=flowers").unwrap();
                layers.recipe(recipe.name).unwrap_or_else(refused).validate_pretraining().map(drop)
            }
            RunKind::FineTuning => smallest().recipe(recipe.name).unwrap_or_else(refused).validate().map(drop),
            RunKind::Segmentation => {
                let layers = Layers::defaults_of(RunKind::Segmentation).assignment("data.dir=VOCdevkit");
                let layers = layers.and_then(|layers| layers.assignment("checkpoint.path=moco.pth")).unwrap();
                layers.recipe(recipe.name).unwrap_or_else(refused).validate_segmentation().map(drop)
            }
        }
        .unwrap_or_else(|error| panic!("{}: {error:?}", recipe.name));
    }
}

#[test]
fn every_recipe_sets_only_what_its_command_takes() {
    for recipe in RECIPES {
        let sections: toml::Table = toml::from_str(recipe.text).unwrap();
        for (section, keys) in &sections {
            for name in keys.as_table().unwrap().keys() {
                let key = format!("{section}.{name}");
                assert!(setting(&key).is_read_by(kind(recipe)), "{}: {key}", recipe.name);
            }
        }
    }
}

#[test]
fn every_recipe_says_its_command_first() {
    for recipe in RECIPES {
        let program = if kind(recipe) == RunKind::Pretraining { "pretrain" } else { "fit" };
        let command = format!("# command    coretune {program} --recipe {} ", recipe.name);
        assert!(recipe.text.starts_with('#') && recipe.text.contains(&command), "{}", recipe.name);
    }
}

#[test]
fn every_file_among_the_recipes_ships_with_the_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let names = |inner: &str| -> Vec<String> {
        let entries = fs::read_dir(folder.join(inner)).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
        files.map(|path| format!("{inner}{}", path.file_stem().unwrap().to_string_lossy())).collect()
    };
    let files: BTreeSet<String> = names("").into_iter().chain(names("paper/")).collect();
    assert_eq!(files, RECIPES.iter().map(|recipe| recipe.name.to_string()).collect());
}

#[test]
fn a_recipe_of_the_paper_has_the_published_setting_and_the_figure_of_every_method() {
    let of_paper: Vec<&Recipe> = RECIPES.iter().filter(|recipe| recipe.name.starts_with("paper/")).collect();
    assert_eq!(of_paper.len(), 9);
    for Recipe { name, text } in of_paper {
        let config = smallest().recipe(name).unwrap().validate().unwrap();
        let train = &config.train;
        assert_eq!((train.epochs, train.batch_size, train.grad_accum_steps, train.lr), (100, 64, 4, 0.01), "{name}");
        assert!(text.contains("Not reproduced here") && text.contains("our choice"), "{name}");
        let figures = text.lines().filter_map(|line| line.strip_prefix("#            ")?.split_once(' '));
        let figures: Vec<(&str, f64)> =
            figures.filter_map(|(method, figure)| Some((method, figure.trim().parse().ok()?))).collect();
        let known = |word: &str| Method::named(RunKind::FineTuning, word).is_some();
        assert!(text.contains("bi-tuning:batch-size=256:grad-accum-steps=1"), "{name}");
        assert!(figures.len() == 10 && figures.iter().all(|(method, _)| known(method)), "{name}: {figures:?}");
    }
}
