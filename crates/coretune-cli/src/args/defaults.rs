//! The page `docs/defaults.md`: every setting with its flag, default, range, meaning and rule on resume.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use coretune::config::{Kind, OnResume, RunKind, Setting, settings};
use coretune::objectives::{METHODS, Method};

use super::face::{aliases, face, flag};

const PREFACE: &str = "\
# Settings and their defaults

Generated from the tables in `crates/coretune/src/config/sections/` and the flags in `crates/coretune-cli/src/args/face.rs`;
a test keeps it current.

Layers, the later one wins: defaults, `--recipe`, `--config`, `--set section.name=value`, flags. `auto` leaves the choice
to the checkpoint, the data or the machine; `off` means none. The resolved copy of a run is its `config.toml`, and gives
the same run when handed to `--config`.

Lists take commas and no spaces: `--mean 0.5,0.5,0.5`, `--allow-missing 'layer4.*,conv1.weight'`. Two flags have a meaning
without a value: `--amp` is `--amp bf16` (bf16 even where it is slow), `--model-ema` is `--model-ema 0.999`. A switch named
`--no-...` turns its setting off; any other switch turns it on.

*On resume* says whether the value may differ when a run is resumed: `free` settings do not change what is computed;
`ask` settings change it from here on, and are allowed by name with `--allow-change`; `fixed` settings are part of the
saved state.

`method.name = \"custom\"` marks a run whose objective a program of its own brought; `coretune fit` cannot begin or resume
such a run.
";

const AUTOMATIC: &str = "
## What auto becomes

*For small images*: the backbone is `mobilenet_v2_32` or has the small stem. A safetensors file that coretune wrote records
the size, mean and standard deviation it was trained with; those are taken. `coretune fit --dry-run` prints what a run would
take, `coretune inspect` what a checkpoint holds. The rules are in `crates/coretune/src/config/automatic.rs`.

| setting | becomes | in pretrain |
|---|---|---|
";

fn page() -> String {
    let mut page = String::from(PREFACE);
    let mut section = "";
    for setting in settings() {
        if setting.section() != section {
            section = setting.section();
            let _ = write!(
                page,
                "\n## [{section}]\n\n| key | flag | default | accepts | on resume | meaning |\n|---|---|---|---|---|---|\n"
            );
        }
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | {} |",
            setting.name(),
            flags(setting),
            default(setting),
            setting.expected(),
            on_resume(setting),
            setting.meaning
        );
    }
    page.push_str(AUTOMATIC);
    for setting in settings() {
        if let Some(becomes) = setting.becomes {
            let text = |kind| if setting.is_read_by(kind) { becomes(kind) } else { String::new() };
            let [fine_tuning, pretraining, pixels] =
                [RunKind::FineTuning, RunKind::Pretraining, RunKind::Segmentation].map(text);
            let fine_tuning = if fine_tuning.is_empty() { pixels } else { fine_tuning };
            let _ = writeln!(page, "| `{}` | {fine_tuning} | {pretraining} |", setting.key);
        }
    }
    page
}

fn flags(setting: &Setting) -> String {
    let short = face(setting).short.map(|letter| format!("`-{letter}`, ")).unwrap_or_default();
    let flag = flag(setting);
    let others = aliases(setting).into_iter().filter(|name| name.contains('_') && *name != flag.replace('-', "_"));
    let names: Vec<String> = others.map(|name| format!(", `--{name}`")).collect();
    format!("{short}`--{flag}`{}", names.concat())
}

fn default(setting: &Setting) -> String {
    match (setting.default, setting.kind) {
        (None, _) => {
            let in_pretraining = setting.default_in_pretraining.map(|text| format!(", in pretrain `{text}`"));
            format!("must be given{}", in_pretraining.unwrap_or_default())
        }
        (Some("[]"), Kind::Texts(_) | Kind::Wholes(..)) => "none".into(),
        (Some(text), _) => {
            let in_pretraining = setting.default_in_pretraining.map(|text| format!(", in pretrain `{text}`"));
            let in_segmentation = setting.default_in_segmentation.map(|text| format!(", in segmentation `{text}`"));
            let of = |method: &&Method| Some(format!(", with {} `{}`", method.word, method.default_of(setting.key)?));
            let of_methods: String = METHODS.iter().filter_map(of).collect();
            let others = [in_pretraining, in_segmentation].into_iter().flatten().collect::<String>();
            format!("`{text}`{others}{of_methods}")
        }
    }
}

fn on_resume(setting: &Setting) -> &'static str {
    match setting.on_resume {
        OnResume::Free => "free",
        OnResume::Ask => "ask",
        OnResume::Fixed => "fixed",
    }
}

#[test]
fn the_page_of_defaults_is_the_tables_in_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/defaults.md");
    if env::var_os("CORETUNE_UPDATE_DOCS").is_some() {
        fs::write(&path, page()).expect("the page can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page(), "docs/defaults.md is old: run the tests with CORETUNE_UPDATE_DOCS=1");
}
