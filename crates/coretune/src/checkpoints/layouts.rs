//! The layouts of checkpoints in the wild: one rule table per source.
//!
//! A new source is a new entry of [`LAYOUTS`], in front of the more general ones, and a fixture of it in
//! `tests/checkpoints/write_fixtures.py`. Names are given without the components of wrappers (`module.`, `_orig_mod.`),
//! which may stand anywhere.

use super::names::{
    CHILDREN, CHILDREN_WITHOUT_POOL, CHILDREN_WITHOUT_RELU, HUGGING_FACE, MOBILENET, Rename, SIMCLR_V2, Spelling,
    TORCHVISION, rename,
};

/// One source of checkpoints.
#[derive(Debug)]
pub(super) struct Layout {
    /// Name in reports and tests.
    pub(super) name: &'static str,
    /// The method in the literature's words.
    pub(super) method: &'static str,
    /// Dictionary that holds the model; "" is the root. The first in which the rest fits counts.
    pub(super) containers: &'static [&'static str],
    /// One name of each group must start some tensor of the container, with or without the components of wrappers.
    pub(super) requires: &'static [&'static [&'static str]],
    /// Encoders, the one taken by default first.
    pub(super) encoders: &'static [Encoder],
    /// How the tensors of a backbone are spelled.
    pub(super) spellings: &'static [Spelling],
    /// Heads that this library has a place for, relative to the container.
    pub(super) heads: &'static [Rename],
    /// What else is in the file.
    pub(super) groups: &'static [Group],
}

/// One of the encoders of a layout.
#[derive(Debug)]
pub(super) struct Encoder {
    /// What `--encoder` calls it.
    pub(super) name: &'static str,
    /// Prefixes of its tensors inside the container; the first that fits counts.
    pub(super) prefixes: &'static [&'static str],
}

/// Tensors that are left out, for the report.
#[derive(Debug)]
pub(super) struct Group {
    /// What they are.
    pub(super) name: &'static str,
    /// Why they are left out.
    pub(super) reason: &'static str,
    /// Their prefixes: inside the encoder, inside the container, or from the root.
    pub(super) prefixes: &'static [&'static str],
}

const fn encoder(name: &'static str, prefixes: &'static [&'static str]) -> Encoder {
    Encoder { name, prefixes }
}

const DROPPED: &str = "dropped after pre-training";

const PROJECTION: Group = Group {
    name: "projection head",
    reason: DROPPED,
    prefixes: &[
        "fc.",
        "head.",
        "heads.",
        "head_jig.",
        "g.",
        "neck.",
        "projection.",
        "projection_head.",
        "projector.",
        "projector_k.",
        "momentum_projector.",
        "projection_head_momentum.",
        "contrastor.",
        "bn.",
        "classy_state_dict.base_model.model.heads.",
        "teacher.head.",
        "student.head.",
    ],
};
const PREDICTION: Group = Group {
    name: "prediction head",
    reason: DROPPED,
    prefixes: &["predictor.", "prediction_head.", "value_transform.", "head.predictor."],
};
const PROTOTYPES: Group = Group { name: "prototypes", reason: DROPPED, prefixes: &["prototypes.", "prototypes"] };
const QUEUE: Group = Group {
    name: "queue",
    reason: "features of other images, not weights",
    prefixes: &["queue", "contrast.", "memory", "dino_loss."],
};
const CLASSIFIER: Group = Group {
    name: "classifier",
    reason: "made for the classes of its own training",
    prefixes: &["fc.", "linear.", "classifier.", "head.", "momentum_classifier."],
};
const AVERAGE: Group =
    Group { name: "weight average", reason: "used by the encoder `average`", prefixes: &["average."] };
const TRAINING: Group = Group {
    name: "training state",
    reason: "belongs to the run that wrote it",
    prefixes: &[
        "optimizer",
        "optim",
        "opt.",
        "scheduler",
        "lr_schedulers",
        "amp",
        "scaler",
        "callbacks",
        "loops",
        "state.",
        "classy_state_dict.optimizer.",
    ],
};

/// Groups of every layout, after its own.
pub(super) const COMMON_GROUPS: &[Group] = &[TRAINING, QUEUE];

/// Dictionaries that hold a moving average of what their sibling holds.
pub(super) const AVERAGED_CONTAINERS: &[&str] = &["state_dict_ema", "model_ema", "ema_state_dict", "ema"];

/// Whether a name ends like the counters that profilers leave among the weights.
pub(super) fn is_counter(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| ["total_ops", "total_params"].contains(&last))
}

const ROOT_OR_STATE_DICT: &[&str] = &["", "state_dict"];
const STATE_DICT: &[&str] = &["state_dict", "", "model"];
const ANY: &[&str] =
    &["", "state_dict", "model", "model_state_dict", "net", "network", "weights", "state_dict_ema", "model_ema"];

const NO_HEADS: &[Rename] = &[];

/// All layouts, special ones before general ones: the first that fits counts.
pub(super) const LAYOUTS: &[Layout] = &[
    Layout {
        name: "segmentation",
        method: "torchvision's segmentation networks",
        containers: ANY,
        requires: &[&["classifier.0.convs.0.0.weight", "classifier.0.weight"], &["classifier.4.weight"]],
        encoders: &[encoder("backbone", &["backbone."]), encoder("average", &["average.backbone."])],
        spellings: &[TORCHVISION],
        heads: &[
            rename("classifier", "classifier"),
            rename("aux_classifier", "aux_classifier"),
            rename("projection.0", "projection.0"),
            rename("projection.2", "projection.2"),
        ],
        groups: &[AVERAGE],
    },
    Layout {
        name: "coretune",
        method: "coretune run",
        containers: &[""],
        requires: &[&["classifier.weight", "projection.0.weight"]],
        encoders: &[encoder("trained", &["backbone."]), encoder("average", &["average.backbone."])],
        spellings: &[TORCHVISION, MOBILENET],
        heads: &[
            rename("classifier", "classifier"),
            rename("aux_classifier", "aux_classifier"),
            rename("projection.0", "projection.0"),
            rename("projection.2", "projection.2"),
        ],
        groups: &[AVERAGE],
    },
    Layout {
        name: "core-tuning",
        method: "Core-tuning, published script",
        containers: STATE_DICT,
        requires: &[&["contrastor.", "classifier."]],
        encoders: &[encoder("extractor", &["extractor."])],
        spellings: &[TORCHVISION, CHILDREN, MOBILENET],
        heads: &[
            rename("classifier", "classifier"),
            rename("contrastor.input", "projection.0"),
            rename("contrastor.output", "projection.2"),
        ],
        groups: &[PROJECTION],
    },
    Layout {
        name: "moco-v3",
        method: "MoCo v3",
        containers: STATE_DICT,
        requires: &[&["base_encoder."]],
        encoders: &[encoder("base", &["base_encoder."]), encoder("momentum", &["momentum_encoder."])],
        spellings: &[TORCHVISION],
        heads: NO_HEADS,
        groups: &[PREDICTION, PROJECTION],
    },
    Layout {
        name: "moco",
        method: "MoCo v1/v2",
        containers: STATE_DICT,
        requires: &[&["encoder_q."]],
        encoders: &[encoder("query", &["encoder_q."]), encoder("key", &["encoder_k."])],
        spellings: &[TORCHVISION, MOBILENET],
        heads: NO_HEADS,
        groups: &[PROJECTION, QUEUE],
    },
    Layout {
        name: "simclr",
        method: "SimCLR",
        containers: STATE_DICT,
        requires: &[&["backbone.fc.0."], &["backbone.fc.2."]],
        encoders: &[encoder("backbone", &["backbone."])],
        spellings: &[TORCHVISION, MOBILENET],
        heads: NO_HEADS,
        groups: &[PROJECTION],
    },
    Layout {
        name: "dino",
        method: "DINO",
        containers: &[""],
        requires: &[],
        encoders: &[encoder("teacher", &["teacher.backbone."]), encoder("student", &["student.backbone."])],
        spellings: &[TORCHVISION],
        heads: NO_HEADS,
        groups: &[PROJECTION, QUEUE],
    },
    Layout {
        name: "vissl",
        method: "VISSL",
        containers: &["classy_state_dict.base_model.model.trunk", ""],
        requires: &[],
        encoders: &[encoder("trunk", &["_feature_blocks.", "base_model._feature_blocks."])],
        spellings: &[TORCHVISION],
        heads: NO_HEADS,
        groups: &[PROJECTION],
    },
    Layout {
        name: "swav",
        method: "SwAV, DeepCluster v2",
        containers: ROOT_OR_STATE_DICT,
        requires: &[&["prototypes.", "projection_head."]],
        encoders: &[encoder("backbone", &[""])],
        spellings: &[TORCHVISION],
        heads: NO_HEADS,
        groups: &[PROJECTION, PROTOTYPES],
    },
    Layout {
        name: "pixpro",
        method: "PixPro",
        containers: &["model"],
        requires: &[&["projector."], &["encoder_k."]],
        encoders: &[encoder("query", &["encoder."]), encoder("key", &["encoder_k."])],
        spellings: &[TORCHVISION],
        heads: NO_HEADS,
        groups: &[PREDICTION, PROJECTION],
    },
    Layout {
        name: "pycontrast",
        method: "SupContrast, InfoMin, InsDis, PIRL",
        containers: &["model"],
        requires: &[],
        encoders: &[encoder("encoder", &["encoder."])],
        spellings: &[TORCHVISION],
        heads: NO_HEADS,
        groups: &[PROJECTION],
    },
    Layout {
        name: "simsiam",
        method: "SimSiam",
        containers: STATE_DICT,
        // Without a predictor, the wrapper of distributed training tells it from a Lightning module.
        requires: &[&["predictor.", "module.encoder."]],
        encoders: &[encoder("encoder", &["encoder."])],
        spellings: &[TORCHVISION],
        heads: NO_HEADS,
        groups: &[PREDICTION, PROJECTION],
    },
    Layout {
        name: "barlow-twins",
        method: "Barlow Twins, VICReg",
        containers: &["model"],
        requires: &[],
        encoders: &[encoder("backbone", &["backbone."])],
        spellings: &[TORCHVISION],
        heads: NO_HEADS,
        groups: &[PROJECTION],
    },
    Layout {
        name: "lightly",
        method: "lightly",
        containers: ROOT_OR_STATE_DICT,
        requires: &[],
        encoders: &[
            encoder("backbone", &["backbone.", "resnet_moco.backbone.", "student_backbone."]),
            encoder(
                "momentum",
                &["backbone_momentum.", "momentum_backbone.", "resnet_moco.momentum_backbone.", "teacher_backbone."],
            ),
        ],
        spellings: &[CHILDREN, CHILDREN_WITHOUT_POOL, CHILDREN_WITHOUT_RELU],
        heads: NO_HEADS,
        groups: &[PREDICTION, PROJECTION, PROTOTYPES],
    },
    Layout {
        name: "solo-learn",
        method: "solo-learn",
        containers: ROOT_OR_STATE_DICT,
        requires: &[&["projector.", "momentum_backbone.", "momentum_encoder.", "momentum_projector.", "classifier."]],
        encoders: &[
            encoder("backbone", &["backbone.", "encoder."]),
            encoder("momentum", &["momentum_backbone.", "momentum_encoder."]),
        ],
        spellings: &[TORCHVISION],
        heads: NO_HEADS,
        groups: &[PREDICTION, PROTOTYPES, CLASSIFIER, PROJECTION],
    },
    Layout {
        name: "openmmlab",
        method: "MMSelfSup, MMPretrain",
        containers: ROOT_OR_STATE_DICT,
        requires: &[],
        encoders: &[
            encoder("backbone", &["backbone.", "encoder_q.0.", "online_net.0."]),
            encoder("momentum", &["encoder_k.0.", "target_net.0."]),
        ],
        spellings: &[TORCHVISION],
        heads: NO_HEADS,
        groups: &[PREDICTION, PROJECTION],
    },
    Layout {
        name: "lightning",
        method: "Lightning module",
        containers: &["state_dict", ""],
        requires: &[],
        encoders: &[
            encoder("online", &["online_network.encoder.", "online_network.", "online_encoder.net."]),
            encoder("target", &["target_network.encoder.", "target_network.", "target_encoder.net."]),
            encoder("encoder", &["encoder.", "pl_module."]),
        ],
        spellings: &[TORCHVISION, CHILDREN],
        heads: NO_HEADS,
        groups: &[
            Group { name: "prediction head", reason: DROPPED, prefixes: &["predictor.", "online_network.predictor."] },
            Group {
                name: "projection head",
                reason: DROPPED,
                prefixes: &[
                    "online_network.projector.",
                    "target_network.projector.",
                    "projection.",
                    "projector.",
                    "fc.",
                ],
            },
        ],
    },
    Layout {
        name: "hugging-face",
        method: "Hugging Face ResNet",
        containers: ROOT_OR_STATE_DICT,
        requires: &[],
        encoders: &[encoder("backbone", &["resnet.", ""])],
        spellings: &[HUGGING_FACE],
        heads: NO_HEADS,
        groups: &[CLASSIFIER],
    },
    Layout {
        name: "simclr-converted",
        method: "SimCLR converted from TensorFlow",
        containers: ROOT_OR_STATE_DICT,
        requires: &[],
        encoders: &[encoder("resnet", &["resnet."])],
        spellings: &[TORCHVISION, SIMCLR_V2],
        heads: NO_HEADS,
        groups: &[CLASSIFIER_OF_RESNET, PROJECTION],
    },
    Layout {
        name: "simclr-leftthomas",
        method: "SimCLR",
        containers: ROOT_OR_STATE_DICT,
        requires: &[&["g."]],
        encoders: &[encoder("backbone", &["f.", ""])],
        spellings: &[CHILDREN_WITHOUT_POOL, CHILDREN, CHILDREN_WITHOUT_RELU, MOBILENET, TORCHVISION],
        heads: NO_HEADS,
        groups: &[PROJECTION, CLASSIFIER],
    },
    Layout {
        name: "torchvision",
        method: "torchvision or timm names",
        containers: ANY,
        requires: &[],
        encoders: &[encoder("backbone", &[""])],
        spellings: &[TORCHVISION, MOBILENET],
        heads: NO_HEADS,
        groups: &[CLASSIFIER],
    },
];

const CLASSIFIER_OF_RESNET: Group =
    Group { name: "classifier", reason: "made for the classes of its own training", prefixes: &["resnet.fc."] };
