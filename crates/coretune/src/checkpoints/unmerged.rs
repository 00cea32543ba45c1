//! Tensors that are only a part of a weight: adapters beside it, parametrisations in its place.

use super::names::without_wrappers;

/// Why a tensor is not a weight yet, and what makes it one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unmerged {
    /// What the tensor belongs to: `an adapter that was not merged into the weights`.
    pub(super) what: &'static str,
    /// What to do before the weights are saved.
    pub(super) mend: &'static str,
}

const ADAPTER: Unmerged = Unmerged {
    what: "an adapter (LoRA or similar) that was not merged into the weights",
    mend: "load it onto its network and merge it: model = model.merge_and_unload()",
};
const PARAMETRISATION: Unmerged = Unmerged {
    what: "a parametrisation that was not removed",
    mend: "for each layer: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')",
};
const WEIGHT_NORM: Unmerged = Unmerged {
    what: "weight normalisation that was not removed",
    mend: "for each layer: torch.nn.utils.remove_weight_norm(layer)",
};
const SPECTRAL_NORM: Unmerged = Unmerged {
    what: "spectral normalisation that was not removed",
    mend: "for each layer: torch.nn.utils.remove_spectral_norm(layer)",
};
const PRUNING: Unmerged = Unmerged {
    what: "pruning that was not made permanent",
    mend: "for each layer: torch.nn.utils.prune.remove(layer, 'weight')",
};
const FLAT: Unmerged = Unmerged {
    what: "parameters that FSDP keeps flattened, many layers in one tensor",
    mend: "gather them: FSDP.set_state_dict_type(model, StateDictType.FULL_STATE_DICT)",
};

const QUANTISED: Unmerged = Unmerged {
    what: "training for quantisation, whose parts were not taken out of the network",
    mend: "load it into the network without them: model.load_state_dict(state, strict=False)",
};

const INTEGERS: Unmerged = Unmerged {
    what: "a quantised layer, whose weights are integers",
    mend: "take the network from before it was quantised",
};

/// Components that training for quantisation puts into names.
const QUANTISERS: [&str; 3] = ["weight_fake_quant", "activation_post_process", "fake_quant"];

/// Beginnings of the components that adapters put into names.
const ADAPTERS: [&str; 8] = ["lora_", "hada_", "lokr_", "oft_", "boft_", "ia3_", "vera_", "base_layer"];

/// What a tensor of this name is a part of, if it is not a weight.
pub(super) fn unmerged(name: &str) -> Option<Unmerged> {
    let is_adapter = |part: &str| ADAPTERS.iter().any(|start| part.starts_with(start));
    if name.split('.').any(is_adapter) {
        return Some(ADAPTER);
    }
    if name.split('.').any(|part| part == "parametrizations") {
        return Some(PARAMETRISATION);
    }
    if name.split('.').any(|part| QUANTISERS.contains(&part)) {
        return Some(QUANTISED);
    }
    match name.rsplit('.').next().unwrap_or_default() {
        "weight_g" | "weight_v" => Some(WEIGHT_NORM),
        "weight_mask" | "bias_mask" => Some(PRUNING),
        "weight_orig" | "weight_u" => Some(SPECTRAL_NORM),
        "_flat_param" | "flat_param" => Some(FLAT),
        "_packed_params" | "weight_scale" | "weight_zero_point" => Some(INTEGERS),
        _ => None,
    }
}

/// The name of the weight that the tensor is a part of: `conv1.weight` for `conv1.lora_A.default.weight`.
pub(super) fn name_of_weight(name: &str) -> String {
    let name = without_wrappers(name);
    if let Some((layer, rest)) = name.split_once(".parametrizations.") {
        let parameter = rest.split('.').next().unwrap_or_default();
        return format!("{layer}.{parameter}");
    }
    let mut parts: Vec<&str> = name.split('.').collect();
    if let Some(at) = parts.iter().position(|part| QUANTISERS.contains(part)) {
        parts.truncate(at);
        return format!("{}.weight", parts.join("."));
    }
    if let Some(at) = parts.iter().position(|part| ADAPTERS.iter().any(|start| part.starts_with(start))) {
        let is_bias = parts[at..] == ["base_layer", "bias"];
        parts.truncate(at);
        parts.push(if is_bias { "bias" } else { "weight" });
    }
    let name = parts.join(".");
    if let Some(layer) = name.strip_suffix("._packed_params") {
        return format!("{layer}.weight");
    }
    let ends = ["_g", "_v", "_u", "_orig", "_mask", "_scale", "_zero_point"];
    ends.iter().find_map(|end| name.strip_suffix(end)).map_or_else(|| name.clone(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_weights_are_known_by_their_names() {
        for (name, what, weight) in [
            ("conv1.base_layer.weight", ADAPTER, "conv1.weight"),
            ("model.layer1.0.conv1.lora_A.default.weight", ADAPTER, "model.layer1.0.conv1.weight"),
            ("layer1.0.conv1.lora_B", ADAPTER, "layer1.0.conv1.weight"),
            ("conv1.parametrizations.weight.original0", PARAMETRISATION, "conv1.weight"),
            ("layer1.0.conv2.weight_g", WEIGHT_NORM, "layer1.0.conv2.weight"),
            ("module.layer1.0.conv2.weight_orig", SPECTRAL_NORM, "layer1.0.conv2.weight"),
            ("conv1.weight_mask", PRUNING, "conv1.weight"),
            ("layer1.0.conv1.weight_scale", INTEGERS, "layer1.0.conv1.weight"),
            ("conv1._packed_params", INTEGERS, "conv1.weight"),
            ("conv1.activation_post_process.min_val", QUANTISED, "conv1.weight"),
            ("layer1.0.conv1.weight_fake_quant.scale", QUANTISED, "layer1.0.conv1.weight"),
        ] {
            assert_eq!((unmerged(name), name_of_weight(name).as_str()), (Some(what), weight), "{name}");
        }
        for name in ["conv1.weight", "bn1.running_mean", "layer1.0.gamma", "global_model.weight"] {
            assert_eq!(unmerged(name), None, "{name}");
        }
    }
}
