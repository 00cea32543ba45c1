//! Names of tensors: wrappers around them, patterns over them, and how each source spells a backbone.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Components that wrappers put anywhere into a name: `DataParallel` and `DeepSpeed`, `torch.compile`, FSDP (of torch and of
/// fairscale), activation checkpointing (of torch 1.12 and later), activation offload, `TorchRec`, Lightning Fabric, Opacus.
const WRAPPERS: [&str; 10] = [
    "module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_fpw_module",
    "mod",
    "_checkpoint_wrapped_module",
    "_offload_wrapped_module",
    "_dmp_wrapped_module",
    "_forward_module",
    "_module",
];

/// The name without the components of wrappers: `module.encoder.module.conv1.weight` is `encoder.conv1.weight`.
pub(super) fn without_wrappers(name: &str) -> String {
    name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".")
}

/// A pattern over tensor names, in which `*` matches any characters: `layer4.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

impl From<&str> for NamePattern {
    fn from(pattern: &str) -> Self {
        NamePattern(pattern.to_string())
    }
}

impl NamePattern {
    /// The pattern that every name fits.
    pub fn anything() -> Self {
        NamePattern("*".into())
    }

    /// Whether the whole name fits the pattern.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else { return rest.is_empty() };
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

/// One rule of a spelling: names that start with `from` start with `to` in our models.
///
/// In `from`, `#` matches a number. In `to`, `{1}` is the first of these numbers and `{2-3}` the second less three.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rename {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
}

/// Short form for tables.
pub(super) const fn rename(from: &'static str, to: &'static str) -> Rename {
    Rename { from, to }
}

impl Rename {
    /// The new name, when `name` is `from` or continues it after a dot.
    pub(super) fn apply(&self, name: &str) -> Option<String> {
        let mut numbers = Vec::new();
        let mut rest = name;
        let mut pieces = self.from.split('#');
        rest = rest.strip_prefix(pieces.next()?)?;
        for piece in pieces {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            numbers.push(rest[..digits].parse::<i64>().ok()?);
            rest = rest[digits..].strip_prefix(piece)?;
        }
        (rest.is_empty() || rest.starts_with('.')).then(|| fill(self.to, &numbers) + rest)
    }
}

/// Puts the numbers into a template.
fn fill(template: &str, numbers: &[i64]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (slot, after) = after.split_once('}').unwrap_or((after, ""));
        let sign = slot.find(['+', '-']).unwrap_or(slot.len());
        let number =
            slot[..sign].parse::<usize>().ok().and_then(|slot| numbers.get(slot.wrapping_sub(1))).copied().unwrap_or(0);
        let shift = slot[sign..].parse::<i64>().unwrap_or(0);
        text.push_str(before);
        text.push_str(&(number + shift).to_string());
        rest = after;
    }
    text + rest
}

/// How a source names the tensors of a backbone.
#[derive(Debug)]
pub(super) struct Spelling {
    /// For messages.
    pub(super) name: &'static str,
    /// The spelling is tried when all names of one of these groups are there.
    pub(super) anchors: &'static [&'static [&'static str]],
    /// First match wins.
    pub(super) renames: &'static [Rename],
}

impl Spelling {
    /// Whether names under a prefix can be of this spelling; `has` tells which names are there.
    pub(super) fn fits(&self, has: impl Fn(&str) -> bool) -> bool {
        self.anchors.iter().any(|group| group.iter().all(|name| has(name)))
    }

    /// Our name for a name of this spelling.
    pub(super) fn target(&self, name: &str) -> Option<String> {
        self.renames.iter().find_map(|rename| rename.apply(name))
    }
}

/// torchvision and timm; `shortcut` in CIFAR networks is `downsample`.
pub(super) const TORCHVISION: Spelling = Spelling {
    name: "torchvision",
    anchors: &[
        &["layer1.0.conv1.weight"],
        &["layer2.0.conv1.weight"],
        &["layer3.0.conv1.weight"],
        &["layer4.0.conv1.weight"],
    ],
    renames: &[
        rename("conv1", "conv1"),
        rename("bn1", "bn1"),
        rename("layer#.#.shortcut.#", "layer{1}.{2}.downsample.{3}"),
        rename("layer#", "layer{1}"),
    ],
};

/// The children of a torchvision `ResNet` in a Sequential: 0 convolution, 1 batch norm, 2 `ReLU`, 3 max-pool, 4-7 stages.
pub(super) const CHILDREN: Spelling = Spelling {
    name: "children of a Sequential",
    anchors: &[&["0.weight", "4.0.conv1.weight", "7.0.conv1.weight"]],
    renames: &[
        rename("0", "conv1"),
        rename("1", "bn1"),
        rename("#.#.shortcut.#", "layer{1-3}.{2}.downsample.{3}"),
        rename("#.#", "layer{1-3}.{2}"),
    ],
};

/// The same without the max-pool: 3-6 stages.
pub(super) const CHILDREN_WITHOUT_POOL: Spelling = Spelling {
    name: "children of a Sequential without max-pool",
    anchors: &[&["0.weight", "3.0.conv1.weight", "6.0.conv1.weight"]],
    renames: &[
        rename("0", "conv1"),
        rename("1", "bn1"),
        rename("#.#.shortcut.#", "layer{1-2}.{2}.downsample.{3}"),
        rename("#.#", "layer{1-2}.{2}"),
    ],
};

/// Children of a `ResNet` whose `ReLU` is a function (lightly's own CIFAR networks): 2-5 stages.
pub(super) const CHILDREN_WITHOUT_RELU: Spelling = Spelling {
    name: "children of a Sequential without ReLU and max-pool",
    anchors: &[&["0.weight", "2.0.conv1.weight", "5.0.conv1.weight"]],
    renames: &[
        rename("0", "conv1"),
        rename("1", "bn1"),
        rename("#.#.shortcut.#", "layer{1-1}.{2}.downsample.{3}"),
        rename("#.#", "layer{1-1}.{2}"),
    ],
};

/// Hugging Face's `ResNet`.
pub(super) const HUGGING_FACE: Spelling = Spelling {
    name: "Hugging Face",
    anchors: &[&["embedder.embedder.convolution.weight"], &["encoder.stages.0.layers.0.layer.0.convolution.weight"]],
    renames: &[
        rename("embedder.embedder.convolution", "conv1"),
        rename("embedder.embedder.normalization", "bn1"),
        rename("encoder.stages.#.layers.#.layer.#.convolution", "layer{1+1}.{2}.conv{3+1}"),
        rename("encoder.stages.#.layers.#.layer.#.normalization", "layer{1+1}.{2}.bn{3+1}"),
        rename("encoder.stages.#.layers.#.shortcut.convolution", "layer{1+1}.{2}.downsample.0"),
        rename("encoder.stages.#.layers.#.shortcut.normalization", "layer{1+1}.{2}.downsample.1"),
    ],
};

/// `SimCLR` v2 as converted from `TensorFlow`: blocks are Sequentials of convolution, batch norm with `ReLU`, ...
pub(super) const SIMCLR_V2: Spelling = Spelling {
    name: "SimCLR v2",
    anchors: &[&["net.0.0.weight", "net.1.blocks.0.net.0.weight"]],
    renames: &[
        rename("net.0.0", "conv1"),
        rename("net.0.1.0", "bn1"),
        rename("net.#.blocks.#.net.0", "layer{1}.{2}.conv1"),
        rename("net.#.blocks.#.net.1.0", "layer{1}.{2}.bn1"),
        rename("net.#.blocks.#.net.2", "layer{1}.{2}.conv2"),
        rename("net.#.blocks.#.net.3.0", "layer{1}.{2}.bn2"),
        rename("net.#.blocks.#.net.4", "layer{1}.{2}.conv3"),
        rename("net.#.blocks.#.net.5.0", "layer{1}.{2}.bn3"),
        rename("net.#.blocks.#.projection.shortcut", "layer{1}.{2}.downsample.0"),
        rename("net.#.blocks.#.projection.bn.0", "layer{1}.{2}.downsample.1"),
    ],
};

/// The 32x32 `MobileNetV2`, whose names are ours.
pub(super) const MOBILENET: Spelling = Spelling {
    name: "MobileNetV2 for 32x32",
    anchors: &[&["layers.0.conv1.weight"], &["layers.1.conv1.weight"], &["layers.16.conv1.weight"]],
    renames: &[
        rename("conv1", "conv1"),
        rename("bn1", "bn1"),
        rename("layers.#", "layers.{1}"),
        rename("conv2", "conv2"),
        rename("bn2", "bn2"),
    ],
};

/// All spellings, for backbones under a prefix that no layout knows.
pub(super) const SPELLINGS: &[Spelling] =
    &[TORCHVISION, CHILDREN, CHILDREN_WITHOUT_POOL, CHILDREN_WITHOUT_RELU, HUGGING_FACE, SIMCLR_V2, MOBILENET];

/// The name that torch gives to a tensor of a batch norm with names of TensorFlow or MXNet; `has` says which names are
/// there. `gamma` and `beta` are the norm's only beside its mean: the scale of a layer is called gamma too.
fn of_norm(name: &str, has: impl Fn(&str) -> bool) -> Option<String> {
    let (prefix, last) = name.rsplit_once('.')?;
    let beside = |other: &str| has(&format!("{prefix}.{other}"));
    let ours = match last.to_ascii_lowercase().as_str() {
        "gamma" if beside("running_mean") || beside("moving_mean") => "weight",
        "beta" if beside("running_mean") || beside("moving_mean") => "bias",
        "moving_mean" if beside("moving_variance") || beside("moving_var") => "running_mean",
        "moving_variance" | "moving_var" if beside("moving_mean") => "running_var",
        _ => return None,
    };
    Some(format!("{prefix}.{ours}"))
}

/// The tensors of a file by their names without wrappers, those of norms as torch calls them.
#[derive(Debug)]
pub(super) struct Names {
    /// Name without wrappers, and the names in the file that become it.
    sources: BTreeMap<String, Vec<String>>,
}

impl Names {
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a String>) -> Names {
        let mut unwrapped: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names {
            unwrapped.entry(without_wrappers(name)).or_default().push(name.clone());
        }
        let has = |name: &str| unwrapped.contains_key(name);
        let mut sources: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, originals) in &unwrapped {
            let ours = of_norm(name, has).unwrap_or_else(|| name.clone());
            sources.entry(ours).or_default().extend(originals.iter().cloned());
        }
        Names { sources }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.sources.contains_key(name)
    }

    /// Whether a name starts so, without wrappers or as the file has it.
    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.under(prefix).next().is_some() || self.sources.values().flatten().any(|source| source.starts_with(prefix))
    }

    /// The names in the file behind a name without wrappers.
    pub(super) fn sources(&self, name: &str) -> &[String] {
        self.sources.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Vec<String>)> {
        self.sources.iter()
    }

    /// What follows `prefix` in each name that starts so.
    pub(super) fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        self.sources.range::<str, _>(from).map_while(move |(name, _)| name.strip_prefix(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_dropped_wherever_they_stand() {
        assert_eq!(without_wrappers("module.encoder.module.conv1.weight"), "encoder.conv1.weight");
        assert_eq!(without_wrappers("_orig_mod.module.conv1.weight"), "conv1.weight");
        let nested =
            "_fsdp_wrapped_module._orig_mod.layer1.0._checkpoint_wrapped_module._fsdp_wrapped_module.conv1.weight";
        assert_eq!(without_wrappers(nested), "layer1.0.conv1.weight");
        let offloaded = "layer1._offload_wrapped_module.0.mod._checkpoint_wrapped_module.conv1.weight";
        assert_eq!(without_wrappers(offloaded), "layer1.0.conv1.weight");
        assert_eq!(without_wrappers("submodule.my_module.weight"), "submodule.my_module.weight");
        assert_eq!(without_wrappers("model.mod1.weight"), "model.mod1.weight");
    }

    #[test]
    fn gamma_and_beta_are_of_a_norm_only_beside_its_mean() {
        let file =
            ["bn1.gamma", "bn1.beta", "bn1.running_mean", "bn2.gamma", "bn2.moving_mean", "layer1.0.gamma", "x.beta"];
        let found = |name: &str| of_norm(name, |other| file.contains(&other));
        assert_eq!(found("bn1.gamma").as_deref(), Some("bn1.weight"));
        assert_eq!(found("bn1.beta").as_deref(), Some("bn1.bias"));
        assert_eq!(found("bn2.gamma").as_deref(), Some("bn2.weight"));
        assert_eq!(found("layer1.0.gamma"), None);
        assert_eq!(found("x.beta"), None);
        assert_eq!(found("bn2.moving_mean"), None, "without a variance");
    }

    #[test]
    fn patterns_match_whole_names() {
        let matches = |pattern: &str, name: &str| NamePattern::from(pattern).matches(name);
        assert!(matches("layer4.*", "layer4.0.conv1.weight"));
        assert!(matches("*.num_batches_tracked", "layer4.0.bn1.num_batches_tracked"));
        assert!(matches("layer*.0.*weight", "layer4.0.conv1.weight"));
        assert!(matches("conv1.weight", "conv1.weight"));
        assert!(!matches("conv1", "conv1.weight"));
        assert!(!matches("layer4", "layer4.0.conv1.weight"));
        assert!(!matches("layer4.*bias", "layer4.0.conv1.weight"));
        assert!(matches("*", "anything"));
    }

    #[test]
    fn renames_carry_and_shift_numbers() {
        let rename = rename("encoder.stages.#.layers.#.layer.#.convolution", "layer{1+1}.{2}.conv{3+1}");
        assert_eq!(
            rename.apply("encoder.stages.0.layers.5.layer.2.convolution.weight").as_deref(),
            Some("layer1.5.conv3.weight")
        );
        assert_eq!(rename.apply("encoder.stages.x.layers.5.layer.2.convolution.weight"), None);
        assert_eq!(rename.apply("encoder.stages.0.layers.5.layer.2.convolutions.weight"), None);
    }
}
