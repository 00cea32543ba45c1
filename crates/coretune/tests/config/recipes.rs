use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use coretune::config::RECIPES;

use super::smallest;

#[test]
fn every_recipe_is_a_valid_configuration() {
    for recipe in RECIPES {
        let typed = smallest().recipe(recipe.name).unwrap_or_else(|error| panic!("{}: {error:?}", recipe.name));
        typed.validate().unwrap_or_else(|error| panic!("{}: {error:?}", recipe.name));
    }
}

#[test]
fn every_recipe_says_its_command_first() {
    for recipe in RECIPES {
        let command = format!("# command    coretune fit --recipe {} ", recipe.name);
        assert!(recipe.text.starts_with('#') && recipe.text.contains(&command), "{}", recipe.name);
    }
}

#[test]
fn every_file_among_the_recipes_ships_with_the_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, RECIPES.iter().map(|recipe| recipe.name.to_string()).collect());
}
