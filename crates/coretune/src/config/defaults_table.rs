use std::fmt::Write;

use super::Input;
use super::sections::settings;
use crate::models::{Architecture, Family};
use crate::settings::{Kind, Setting};
use crate::transforms::default_crop_fraction;

/// The page `docs/defaults.md`: every setting with its flag, default and meaning, section by section.
pub fn defaults_table() -> String {
    let mut page = String::from(PREFACE);
    let mut section = "";
    for setting in settings() {
        if setting.section() != section {
            section = setting.section();
            let _ = write!(
                page,
                "\n## [{section}]\n\n| key | flag | default | accepts | meaning |\n|---|---|---|---|---|\n"
            );
        }
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            setting.name(),
            flags(setting),
            default(setting),
            setting.expected(),
            setting.meaning
        );
    }
    page + &automatic()
}

/// What `auto` stands for, setting by setting.
fn automatic() -> String {
    let (small, large) = (Family::MobileNetV2Small, Family::ResNet50);
    let [small, large] = [small, large].map(|family| Input::usual(&Architecture::published(family)));
    let colour = |[red, green, blue]: [f64; 3]| format!("{red},{green},{blue}");
    let by_network = |of: fn(&Input) -> String| format!("{} for small images, else {}", of(&small), of(&large));
    let input = [
        ("img_size", by_network(|input| input.img_size.to_string())),
        ("mean", format!("{} for small images, else {}", colour(small.mean), colour(large.mean))),
        ("std", format!("{} for small images, else {}", colour(small.std), colour(large.std))),
        ("augment", by_network(|input| input.augment.name().into())),
        ("crop_pct", format!("{} up to 64 pixels, else {}", default_crop_fraction(64), default_crop_fraction(65))),
    ];
    let mut table = String::from(AUTOMATIC);
    for (name, becomes) in input {
        let _ = writeln!(table, "| `data.{name}` | {becomes} |");
    }
    table + MORE_AUTOMATIC
}

const AUTOMATIC: &str = "
## What auto becomes

*For small images*: the backbone is `mobilenet_v2_32` or has the small stem. A safetensors file that coretune wrote says itself
which size, mean and std it was trained with; those are taken. `coretune fit --dry-run` prints what a run would take.

| setting | becomes |
|---|---|
| `checkpoint.encoder`, `model.name`, `model.stem`, `model.width` | what the checkpoint holds; `coretune inspect` says it |
| `model.num_classes` | the number of classes in the data |
";

const MORE_AUTOMATIC: &str = "\
| `data.classes_per_batch`, `data.images_per_class` | as many classes as fill a step with 4 images each, at most those of the data; as many images of each as there is then room for |
| `train.warmup_epochs` | 5 % of the epochs |
| `run.device` | the first CUDA device that works, else cpu |
| `run.amp` | bf16 on CUDA and on processors that multiply bf16 themselves (avx512_bf16, amx_bf16), else off |
| `run.threads`, `run.workers` | all cores; half of them, 4 at most |
| `run.output` | `runs/DATA-METHOD-SEED` |
";

const PREFACE: &str = "\
# Settings and their defaults

Generated from the tables in `crates/coretune/src/config/sections/`; a test keeps it current.

Layers, the later one wins: defaults, `--recipe`, `--config`, `--set section.key=value`, flags. `auto` leaves the choice
to the checkpoint, the data or the machine; `off` means none. The resolved copy of a run is its `config.toml`, and gives
the same run when handed to `--config`.

Lists take commas and no spaces: `--mean 0.5,0.5,0.5`, `--allow-missing 'layer4.*,conv1.weight'`. Two flags have a meaning
without a value: `--amp` is `--amp bf16` (bf16 whatever it costs), `--model-ema` is `--model-ema 0.999`. A switch named
`--no-...` turns its setting off; what is named without turns it on.
";

fn flags(setting: &Setting) -> String {
    let short = setting.short.map(|letter| format!("`-{letter}`, ")).unwrap_or_default();
    let aliases = setting.aliases.iter().map(|alias| format!("`--{}`", alias.replace('-', "_")));
    let names: Vec<String> = std::iter::once(format!("{short}`--{}`", setting.flag())).chain(aliases).collect();
    names.join(", ")
}

fn default(setting: &Setting) -> String {
    match (setting.default, setting.kind) {
        (None, _) => "must be given".into(),
        (Some("[]"), Kind::Texts(_)) => "none".into(),
        (Some(text), _) => match setting.pretraining {
            Some(pretraining) => format!("`{text}`, in pretrain `{pretraining}`"),
            None => format!("`{text}`"),
        },
    }
}
