use std::fs;

use coretune::config::{Layers, Optimizer, Origin};

use super::{setting, smallest};

fn flag(layers: Layers, key: &str, text: &str) -> Layers {
    layers
        .flag(&format!("--{}", setting(key).name()), setting(key), &[text.to_string()])
        .expect("the value is accepted")
}

#[test]
fn each_layer_wins_over_those_before_it_and_leaves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(&file, "[train]\nlr = 0.2\nepochs = 7\nbatch_size = 16\n").unwrap();

    let recipe = smallest().recipe("as-published").unwrap();
    assert_eq!(recipe.validate().unwrap().train.lr, 0.01);
    let file_over_recipe = recipe.file(&file).unwrap();
    assert_eq!(file_over_recipe.validate().unwrap().train.lr, 0.2);
    let set_over_file = file_over_recipe.assignment("train.lr=0.3").unwrap();
    assert_eq!(set_over_file.validate().unwrap().train.lr, 0.3);
    let flag_over_set = flag(set_over_file, "train.lr", "0.4");

    let config = flag_over_set.validate().unwrap();
    assert_eq!(config.train.lr, 0.4);
    assert_eq!(config.train.epochs, 7);
    assert_eq!(config.data.img_size, Some(256));
    assert_eq!(config.train.opt, Optimizer::Sgd);
}

#[test]
fn an_entry_remembers_where_it_came_from() {
    let layers = flag(smallest().assignment("train.lr=0.3").unwrap(), "train.epochs", "3");
    assert_eq!(layers.origin("train.lr"), Some(&Origin::Assignment));
    assert_eq!(layers.origin("train.epochs"), Some(&Origin::Flag("--epochs".into())));
    assert_eq!(layers.origin("train.opt"), Some(&Origin::Default));
}

#[test]
fn a_later_layer_can_take_a_value_back_with_the_word_for_none() {
    let layers = smallest().assignment("train.clip_grad=1").unwrap();
    assert_eq!(layers.validate().unwrap().train.clip_grad, Some(1.0));
    let layers = flag(layers, "train.clip_grad", "off");
    assert_eq!(layers.validate().unwrap().train.clip_grad, None);
    let layers = flag(flag(layers, "data.mean", "0.5,0.5,0.5"), "data.mean", "auto");
    assert_eq!(layers.validate().unwrap().data.mean, None);
}

#[test]
fn an_assignment_reads_numbers_names_and_lists_without_quotes() {
    let layers = smallest();
    let layers = layers.assignment("method.name = cross-entropy").unwrap();
    let layers = layers.assignment("data.std=[0.2, 0.2, 0.25]").unwrap();
    let layers = layers.assignment("checkpoint.allow_missing=fc.*,layer4.*").unwrap();
    let config = layers.assignment("train.lr=1").unwrap().validate().unwrap();
    assert_eq!(config.method.word(), "cross-entropy");
    assert_eq!(config.data.std, Some([0.2, 0.2, 0.25]));
    assert_eq!(config.checkpoint.allow_missing, ["fc.*", "layer4.*"]);
    assert_eq!(config.train.lr, 1.0);
}

#[test]
fn the_precision_of_a_run_is_kept_on_another_machine_and_bf16_only_where_the_hardware_has_it() {
    for (amp, kept) in [("off", "off"), ("bf16", "auto"), ("auto", "auto")] {
        let run = smallest().assignment(&format!("run.amp={amp}")).unwrap().assignment("run.threads=3").unwrap();
        let here = run.clone().on_this_machine();
        assert_eq!(here.get("run.amp").unwrap().as_str(), Some(kept), "{amp}");
        assert_eq!(here.get("run.threads"), Layers::defaults().get("run.threads"));
        assert_eq!(Layers::defaults().in_precision_of(&run).get("run.amp").unwrap().as_str(), Some(kept));
    }
}
