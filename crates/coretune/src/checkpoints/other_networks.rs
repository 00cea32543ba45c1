//! Networks that are known by their names and not read.

/// A kind of network, with names of tensors that mark it: all of one group.
struct Kind {
    name: &'static str,
    marks: &'static [&'static [&'static str]],
    /// Name of the convolution that cuts the image into patches.
    patches: &'static [&'static str],
}

/// Special ones before general ones.
const KINDS: &[Kind] = &[
    Kind {
        name: "a Swin Transformer",
        marks: &[
            &["layers.0.blocks.0.attn.relative_position_bias_table"],
            &["layers.0.blocks.0.attention.self.relative_position_bias_table"],
            &["features.1.0.attn.relative_position_bias_table"],
        ],
        patches: &[],
    },
    Kind {
        name: "a Vision Transformer",
        marks: &[
            // timm, DINO, MAE, MoCo v3
            &["patch_embed.proj.weight", "blocks.0.attn.qkv.weight"],
            // DINOv2, in chunks of blocks
            &["patch_embed.proj.weight", "blocks.0.0.attn.qkv.weight"],
            // Hugging Face: ViT, DeiT, BEiT, DINOv2; DINOv3; CLIP and SigLIP
            &["embeddings.patch_embeddings.projection.weight", "encoder.layer.0.attention.attention.query.weight"],
            &["embeddings.patch_embeddings.weight", "layer.0.attention.q_proj.weight"],
            &["embeddings.patch_embedding.weight", "encoder.layers.0.self_attn.q_proj.weight"],
            // torchvision
            &["conv_proj.weight", "encoder.layers.encoder_layer_0.self_attention.in_proj_weight"],
            // MMPretrain
            &["patch_embed.projection.weight", "layers.0.attn.qkv.weight"],
            // lucidrains' vit-pytorch
            &["to_patch_embedding.1.weight", "transformer.layers.0.0.to_qkv.weight"],
            &["to_patch_embedding.2.weight", "transformer.layers.0.0.to_qkv.weight"],
            &["to_patch_embedding.1.weight", "transformer.layers.0.0.fn.to_qkv.weight"],
            &["to_patch_embedding.2.weight", "transformer.layers.0.0.fn.to_qkv.weight"],
            // CLIP
            &["conv1.weight", "transformer.resblocks.0.attn.in_proj_weight"],
        ],
        patches: &[
            "patch_embed.proj.weight",
            "embeddings.patch_embeddings.projection.weight",
            "embeddings.patch_embeddings.weight",
            "embeddings.patch_embedding.weight",
            "conv_proj.weight",
            "visual.conv1.weight",
            "patch_embed.projection.weight",
        ],
    },
    Kind {
        name: "a ConvNeXt",
        marks: &[
            &["downsample_layers.0.0.weight", "stages.0.0.dwconv.weight"],
            &["stages.0.blocks.0.conv_dw.weight"],
            &["encoder.stages.0.layers.0.dwconv.weight"],
            &["features.1.0.layer_scale"],
        ],
        patches: &[],
    },
    Kind {
        name: "an EfficientNet or a MobileNet for large images",
        marks: &[
            &["conv_stem.weight", "blocks.0.0.conv_dw.weight"],
            &["features.0.0.weight", "features.1.conv.0.0.weight"],
            &["features.0.0.weight", "features.1.0.block.0.0.weight"],
        ],
        patches: &[],
    },
    Kind { name: "a DenseNet", marks: &[&["features.denseblock1.denselayer1.conv1.weight"]], patches: &[] },
    Kind { name: "a VGG or AlexNet", marks: &[&["features.0.weight", "classifier.6.weight"]], patches: &[] },
];

/// What network the tensors of these names are, in words, if it is one of those that are not read. `shape` gives the shape of
/// a tensor.
pub(super) fn other_network(names: &[&str], shape: impl Fn(&str) -> Vec<i64>) -> Option<String> {
    let named = |mark: &str| {
        let is_it =
            |name: &&str| name.strip_suffix(mark).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'));
        names.iter().copied().find(is_it)
    };
    let is_marked = |kind: &&Kind| kind.marks.iter().any(|group| group.iter().all(|mark| named(mark).is_some()));
    let kind = KINDS.iter().find(is_marked)?;
    let patches = kind.patches.iter().find_map(|name| named(name)).map(shape);
    Some(match patches.as_deref() {
        Some([width, _, height, across]) => {
            format!("{} of width {width} with patches of {height} x {across} pixels", kind.name)
        }
        _ => kind.name.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Option<String> {
        other_network(names, |_| vec![384, 3, 16, 16])
    }

    #[test]
    fn transformers_are_known_by_the_names_of_each_source() {
        let expected = "a Vision Transformer of width 384 with patches of 16 x 16 pixels";
        for names in [
            &["cls_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"][..],
            &["teacher.backbone.patch_embed.proj.weight", "teacher.backbone.blocks.0.attn.qkv.weight"],
            &["state_dict.base_encoder.patch_embed.proj.weight", "state_dict.base_encoder.blocks.0.attn.qkv.weight"],
            &["patch_embed.proj.weight", "blocks.0.0.attn.qkv.weight"],
            &[
                "vit.embeddings.patch_embeddings.projection.weight",
                "vit.encoder.layer.0.attention.attention.query.weight",
            ],
            &["embeddings.patch_embeddings.weight", "layer.0.attention.q_proj.weight"],
            &[
                "vision_model.embeddings.patch_embedding.weight",
                "vision_model.encoder.layers.0.self_attn.q_proj.weight",
            ],
            &["conv_proj.weight", "encoder.layers.encoder_layer_0.self_attention.in_proj_weight"],
            &["backbone.patch_embed.projection.weight", "backbone.layers.0.attn.qkv.weight"],
            &["visual.conv1.weight", "visual.transformer.resblocks.0.attn.in_proj_weight"],
        ] {
            assert_eq!(found(names).as_deref(), Some(expected), "{names:?}");
        }
        let linear = ["to_patch_embedding.1.weight", "transformer.layers.0.0.to_qkv.weight", "cls_token"];
        assert_eq!(found(&linear).as_deref(), Some("a Vision Transformer"));
        let swin = ["patch_embed.proj.weight", "layers.0.blocks.0.attn.qkv.weight"];
        let table = "layers.0.blocks.0.attn.relative_position_bias_table";
        assert_eq!(found(&[swin[0], swin[1], table]).as_deref(), Some("a Swin Transformer"));
        assert_eq!(found(&["conv1.weight", "layer1.0.conv1.weight"]), None);
        assert_eq!(found(&["transformer.h.0.attn.weight"]), None, "a language model");
    }
}
