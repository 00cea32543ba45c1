//! Names as wrappers, adapters and other libraries leave them: looked through where that is safe, else refused by name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use coretune::checkpoints::{Checkpoint, CheckpointError, inspect, load_backbone, recognise, safetensors_file};
use coretune::models::{Architecture, Backbone, Family, Stem};
use tch::{Kind, Tensor};
use tempfile::TempDir;

use crate::fixture::{assert_values, expected, zeroed};

const NARROW: Architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 1.0 / 16.0 };

/// A narrow ResNet-18 with the values of the fixtures.
fn tensors() -> Vec<(String, Tensor)> {
    let backbone = zeroed(&NARROW);
    backbone.parameters().iter().map(|p| (p.name.clone(), expected("backbone", &p.name, &p.tensor.size()))).collect()
}

fn write(folder: &TempDir, tensors: &[(String, Tensor)]) -> PathBuf {
    let path = folder.path().join("weights.safetensors");
    safetensors_file::write(&path, &BTreeMap::new(), tensors).unwrap();
    path
}

/// The error of a file in which each tensor is renamed, and its hint.
fn refusal(rename: impl Fn(&str) -> String) -> (CheckpointError, String) {
    let folder = TempDir::new().unwrap();
    let tensors: Vec<_> = tensors().into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect();
    let error = inspect(write(&folder, &tensors), None).unwrap_err();
    let hint = error.hint().map(|hint| hint.to_string()).unwrap_or_default();
    (error, hint)
}

/// Fails unless a file in which each tensor is renamed has all values in their places; gives the prefix reported.
fn loads(what: &str, rename: impl Fn(&str) -> String) -> String {
    let folder = TempDir::new().unwrap();
    let tensors: Vec<_> = tensors().into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect();
    let checkpoint = Checkpoint::open(write(&folder, &tensors)).unwrap();
    let recognised = recognise(&checkpoint, None).unwrap_or_else(|error| panic!("{what}: {error}"));
    let backbone = zeroed(&recognised.architecture);
    let report = load_backbone(&checkpoint, &recognised, backbone.parameters(), &[]).unwrap();
    assert_eq!((report.architecture, report.coverage), (Family::ResNet18, 1.0), "{what}");
    assert_values(backbone.parameters(), "backbone", 0.0);
    report.prefix
}

/// `layer1.0.conv1.weight` with `word` behind the block.
fn in_blocks(name: &str, word: &str) -> String {
    match name.split('.').collect::<Vec<_>>()[..] {
        [stage, block, ref rest @ ..] if stage.starts_with("layer") => {
            format!("{stage}.{block}.{word}.{}", rest.join("."))
        }
        _ => name.into(),
    }
}

/// `conv1.weight` with `word` before the last component.
fn before_last(name: &str, word: &str) -> String {
    name.rsplit_once('.').map(|(layer, last)| format!("{layer}.{word}.{last}")).unwrap()
}

#[test]
fn wrappers_are_looked_through_wherever_they_are_and_however_nested() {
    let words = [
        "_fsdp_wrapped_module",
        "_fpw_module",
        "_checkpoint_wrapped_module",
        "mod",
        "_offload_wrapped_module",
        "_dmp_wrapped_module",
        "_orig_mod",
        "module",
        "_forward_module",
        "_module",
    ];
    for word in words {
        loads(word, |name| format!("{word}.{name}"));
        loads(word, |name| in_blocks(name, word));
        loads(word, |name| before_last(name, word));
        loads(word, |name| format!("{word}.{}", in_blocks(&before_last(name, word), word)));
    }
    loads("FSDP with activation checkpointing, compiled", |name| {
        format!("_orig_mod._fsdp_wrapped_module.{}", in_blocks(name, "_fsdp_wrapped_module._checkpoint_wrapped_module"))
    });
    loads("checkpointed and offloaded blocks in FSDP", |name| {
        let blocks = in_blocks(name, "_fsdp_wrapped_module._offload_wrapped_module._checkpoint_wrapped_module");
        format!("_fsdp_wrapped_module.{blocks}")
    });
    loads("torch 1.12: blocks in FSDP with flattened weights, checkpointed", |name| {
        format!("_fsdp_wrapped_module._fpw_module.{}", in_blocks(name, "_fsdp_wrapped_module._fpw_module.mod"))
    });
    for (outer, inner) in words.iter().flat_map(|outer| words.iter().map(move |inner| (outer, inner))) {
        loads(&format!("{outer} around {inner}"), |name| format!("{outer}.{}", in_blocks(name, inner)));
    }
    // DeepSpeed keeps the weights under `module`, those of DataParallel too.
    loads("DeepSpeed", |name| format!("module.module.{name}"));
    loads("a layout inside", |name| format!("state_dict._forward_module.module.encoder_q.{name}"));
}

#[test]
fn weights_that_deepspeed_keeps_in_other_files_are_called_so() {
    let folder = TempDir::new().unwrap();
    let empty = |name: &str| (format!("module.{name}"), Tensor::zeros([0], (Kind::Float, tch::Device::Cpu)));
    let places: Vec<_> = tensors().iter().map(|(name, _)| empty(name)).collect();
    let error = inspect(write(&folder, &places), None).unwrap_err().to_string();
    assert!(error.contains("has no values (shape [0])") && error.contains("zero_to_fp32.py"), "{error}");
}

#[test]
fn prefixes_that_were_known_stay_known() {
    for prefix in ["module._orig_mod.", "model.backbone.", "backbone.", "state_dict.model.", "net.", ""] {
        let found = loads(prefix, |name| format!("{prefix}{name}"));
        assert_eq!(found, prefix);
    }
}

#[test]
fn weights_of_every_precision_become_single() {
    for (kind, tolerance) in [(Kind::BFloat16, 1.0 / 256.0), (Kind::Half, 1.0 / 1024.0), (Kind::Double, 0.0)] {
        let folder = TempDir::new().unwrap();
        let of_kind = |tensor: Tensor| if tensor.is_floating_point() { tensor.to_kind(kind) } else { tensor };
        let tensors: Vec<_> = tensors().into_iter().map(|(name, tensor)| (name, of_kind(tensor))).collect();
        let checkpoint = Checkpoint::open(write(&folder, &tensors)).unwrap();
        let recognised = recognise(&checkpoint, None).unwrap();
        let backbone = zeroed(&recognised.architecture);
        load_backbone(&checkpoint, &recognised, backbone.parameters(), &[]).unwrap();
        assert_values(backbone.parameters(), "backbone", tolerance);
        assert!(backbone.parameters().iter().all(|p| matches!(p.tensor.kind(), Kind::Float | Kind::Int64)), "{kind:?}");
    }
}

#[test]
fn gamma_and_beta_of_norms_are_weight_and_bias() {
    let is_norm = |name: &str| name.contains("bn") || name.contains("downsample.1");
    let renamed = |name: &str, mean: &str, variance: &str| {
        let (layer, last) = name.rsplit_once('.').unwrap();
        match last {
            "weight" if is_norm(name) => format!("{layer}.gamma"),
            "bias" if is_norm(name) => format!("{layer}.beta"),
            "running_mean" => format!("{layer}.{mean}"),
            "running_var" => format!("{layer}.{variance}"),
            _ => name.to_string(),
        }
    };
    loads("MXNet", |name| renamed(name, "running_mean", "running_var"));
    loads("TensorFlow", |name| format!("module.{}", renamed(name, "moving_mean", "moving_variance")));
    loads("short", |name| renamed(name, "moving_mean", "moving_var"));
}

#[test]
fn gamma_without_a_mean_beside_it_is_not_the_weight_of_a_norm() {
    // The scale of a layer.
    let folder = TempDir::new().unwrap();
    let mut with_scale = tensors();
    with_scale.push(("layer1.0.gamma".into(), Tensor::from_slice(&[1f32; 4])));
    let error = inspect(write(&folder, &with_scale), None).unwrap_err();
    assert!(error.to_string().contains("layer1.0.gamma [4] is not part of a resnet18"), "{error}");
    // Both names for one place.
    let mut both = tensors();
    both.push(("bn1.gamma".into(), Tensor::from_slice(&[1f32; 4])));
    let error = inspect(write(&folder, &both), None).unwrap_err();
    assert!(matches!(&error, CheckpointError::Duplicate { target, .. } if target == "bn1.weight"), "{error}");
}

#[test]
fn adapters_and_parametrisations_are_refused_by_name_with_the_call_that_mends_them() {
    let is_convolution = |name: &str| name.contains("conv") && name.ends_with(".weight");
    let everywhere = |end: &str| {
        refusal(|name| if is_convolution(name) { name.replace(".weight", &format!(".{end}")) } else { name.into() })
    };
    let once =
        |end: &str| {
            refusal(|name| {
                if name == "layer2.0.conv2.weight" { name.replace(".weight", &format!(".{end}")) } else { name.into() }
            })
        };
    for (end, what, mend) in [
        ("base_layer.weight", "an adapter (LoRA or similar) that was not merged", "model.merge_and_unload()"),
        ("lora_A.default.weight", "an adapter (LoRA or similar) that was not merged", "model.merge_and_unload()"),
        (
            "parametrizations.weight.original0",
            "a parametrisation that was not removed",
            "remove_parametrizations(layer",
        ),
        ("parametrizations.weight.original", "a parametrisation that was not removed", "remove_parametrizations(layer"),
        ("weight_g", "weight normalisation that was not removed", "remove_weight_norm(layer)"),
        ("weight_v", "weight normalisation that was not removed", "remove_weight_norm(layer)"),
        ("weight_orig", "spectral normalisation that was not removed", "remove_spectral_norm(layer)"),
        ("weight_mask", "pruning that was not made permanent", "prune.remove(layer, 'weight')"),
    ] {
        for (error, hint) in [everywhere(end), once(end)] {
            assert!(matches!(error, CheckpointError::Unmerged { .. }), "{end}: {error}");
            assert!(error.to_string().contains(end) && error.to_string().contains(what), "{end}: {error}");
            assert!(hint.contains(mend) && hint.contains("torch.save(model.state_dict(), NEW)"), "{end}: {hint}");
        }
    }
    let (error, _) = refusal(|name| format!("base_model.model.{}", name.replace(".weight", ".lora_A.weight")));
    assert!(matches!(error, CheckpointError::Unmerged { .. }), "an adapter alone: {error}");
    let (error, hint) = refusal(|name| name.replace("weight", "_flat_param"));
    assert!(error.to_string().contains("FSDP keeps flattened") && hint.contains("FULL_STATE_DICT"), "{error} {hint}");
}

#[test]
fn an_adapter_beside_a_whole_weight_is_refused_and_one_in_a_head_is_left_out() {
    let folder = TempDir::new().unwrap();
    let with = |name: &str| {
        let mut all = tensors();
        all.push((name.into(), Tensor::from_slice(&[1f32; 4])));
        all
    };
    let error = inspect(write(&folder, &with("layer1.0.conv1.lora_A")), None).unwrap_err();
    assert!(matches!(error, CheckpointError::Unmerged { .. }), "{error}");
    for head in ["fc.lora_A.default.weight", "head.last_layer.weight_g", "fc.parametrizations.weight.original0"] {
        let report = inspect(write(&folder, &with(head)), None).unwrap();
        assert_eq!((report.coverage, report.left_out.len()), (1.0, 1), "{head}");
    }
}

#[test]
fn other_networks_are_called_by_their_names() {
    let folder = TempDir::new().unwrap();
    let error = |names: &[&str]| {
        let patches = Tensor::zeros([384, 3, 16, 16], (Kind::Float, tch::Device::Cpu));
        let tensors: Vec<_> = names.iter().map(|name| ((*name).to_string(), patches.shallow_clone())).collect();
        let error = inspect(write(&folder, &tensors), None).unwrap_err();
        assert!(matches!(error, CheckpointError::OtherNetwork { .. }), "{error}");
        assert!(error.hint().is_some());
        error.to_string()
    };
    let vit = "holds a Vision Transformer of width 384 with patches of 16 x 16 pixels, which is not read";
    assert!(error(&["cls_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"]).ends_with(vit));
    let dino = ["teacher.backbone.patch_embed.proj.weight", "teacher.backbone.blocks.0.attn.qkv.weight"];
    assert!(error(&[dino[0], dino[1], "teacher.head.last_layer.weight_g"]).ends_with(vit));
    let embeddings = "vit.embeddings.patch_embeddings.projection.weight";
    assert!(error(&[embeddings, "vit.encoder.layer.0.attention.attention.query.weight"]).ends_with(vit));
    assert!(error(&["stages.0.0.dwconv.weight", "downsample_layers.0.0.weight"]).contains("a ConvNeXt"));
    assert!(error(&["module.features.0.weight", "module.classifier.6.weight"]).contains("a VGG or AlexNet"));
}

/// A safetensors file of these tensors, all zero, that takes no room on the disk.
fn sparse(path: &Path, shapes: &[(String, Vec<i64>)]) {
    let mut end = 0;
    let mut header = serde_json::Map::new();
    for (name, shape) in shapes {
        let start = end;
        end += 4 * shape.iter().product::<i64>();
        header.insert(name.clone(), serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}));
    }
    let text = serde_json::to_string(&header).unwrap();
    fs::write(path, [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(8 + text.len() as u64 + end as u64).unwrap();
}

#[test]
fn the_wide_networks_of_swav_are_recognised() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("swav.safetensors");
    for width in [2.0, 4.0, 5.0] {
        let architecture = Architecture { family: Family::ResNet50, stem: Stem::Imagenet, width };
        let network = Backbone::outline(&architecture).unwrap();
        let own = network.parameters().iter().map(|p| (format!("module.{}", p.name), p.tensor.size()));
        let heads = [
            ("module.projection_head.0.weight".to_string(), vec![8, 2]),
            ("module.prototypes.weight".into(), vec![3, 2]),
        ];
        let shapes: Vec<_> = own.filter(|(name, _)| !name.ends_with("batches_tracked")).chain(heads).collect();
        sparse(&path, &shapes);
        let checkpoint = Checkpoint::open(&path).unwrap();
        let recognised = recognise(&checkpoint, None).unwrap();
        assert_eq!((recognised.layout, recognised.architecture), ("swav", architecture));
        assert_eq!(recognised.features, 2048 * width as i64);
        assert!(recognised.mismatched.is_empty());
    }
}

#[test]
fn the_checkpoints_of_the_shared_cases_are_read_or_refused_by_name() {
    let shared = std::env::var_os("CORETUNE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let asset = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/fashion-mnist-moco.safetensors");
    if !shared.join("cases/make.py").exists() || !shared.join("data/imagenet20-160-subset").exists() {
        eprintln!("skipped: needs ../shared (cases/make.py)");
        return;
    }
    let out = TempDir::new().unwrap();
    let made = Command::new("python3")
        .arg(shared.join("cases/make.py"))
        .arg(out.path())
        .env("CORETUNE_ASSET", asset)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = |name: &str| out.path().join("checkpoints").join(name);
    for name in ["fsdp.safetensors", "activation-checkpointing.safetensors"] {
        let report = inspect(file(name), None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!((report.coverage - 1.0).abs() < 1e-12, "{name}: {:?}", report.missing);
    }
    for (name, mend) in
        [("lora-not-merged.safetensors", "merge_and_unload"), ("weight-norm.safetensors", "remove_parametrizations")]
    {
        let error = inspect(file(name), None).unwrap_err();
        assert!(matches!(error, CheckpointError::Unmerged { .. }), "{name}: {error}");
        assert!(error.hint().unwrap().to_string().contains(mend), "{name}");
    }
}
