//! Recipes: configurations that ship with the program, a file each in `recipes/`; those in `recipes/paper/` have the setting of
//! the published table.

/// A recipe.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Path of its file from `recipes/` on, without `.toml`.
    pub name: &'static str,
    /// The file; its header says command, result, hardware and time.
    pub text: &'static str,
}

/// Names every file of `recipes/` once.
macro_rules! recipes {
    ($($name:literal),+ $(,)?) => {
        /// Every recipe.
        pub const RECIPES: &[Recipe] = &[
            $(Recipe { name: $name, text: include_str!(concat!("../../../../recipes/", $name, ".toml")) },)+
        ];
    };
}

recipes![
    "cifar10-100-per-class",
    "few-labels",
    "as-published",
    "cifar10-moco",
    "tinyimagenet-moco",
    "fashion-mnist-moco",
    "moco-v2-imagenet",
    "simclr-imagenet",
    "voc2012-deeplabv3",
    "paper/imagenet20",
    "paper/cifar10",
    "paper/cifar100",
    "paper/dtd",
    "paper/caltech101",
    "paper/cars",
    "paper/pets",
    "paper/flowers",
    "paper/aircraft"
];

pub(super) fn find(name: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.name == name)
}

pub(super) fn names() -> Vec<&'static str> {
    RECIPES.iter().map(|recipe| recipe.name).collect()
}
