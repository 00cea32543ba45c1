//! Contrast-regularised fine-tuning (Core-tuning) of visual models that were pre-trained by contrastive self-supervised
//! learning.
//!
//! The command line `coretune` is a thin layer over this library, which prints nothing and never exits.
//!
//! # A loss on tensors of your own
//! Objectives are functions of features, labels and heads; a head is any differentiable map of rows:
//!
//! ```
//! use coretune::losses::Focus;
//! use coretune::objectives::{CoreTuning, FeatureBatch, Heads, PairScheme};
//! use tch::{Device, Kind, Tensor};
//!
//! let features = Tensor::randn([8, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true);
//! let classifier = Tensor::randn([3, 16], (Kind::Float, Device::Cpu));
//! let projection = Tensor::randn([4, 16], (Kind::Float, Device::Cpu));
//! let labels = [0, 1, 2, 0, 1, 2, 0, 1];
//!
//! let core_tuning = CoreTuning {
//!     pairs: PairScheme::Own,
//!     eta: 1.0,
//!     alpha: 1.0,
//!     temperature: 0.07,
//!     focus: Focus { exponent: 1.0, detached: false },
//!     label_smoothing: 0.0,
//!     ..CoreTuning::PUBLISHED
//! };
//! let (seed, step) = (0, 0);
//! let batch = FeatureBatch::new(&features, &labels, 3, (seed, step));
//! let heads = Heads {
//!     classifier: &|rows| rows.matmul(&classifier.tr()),
//!     projection: &|rows| rows.matmul(&projection.tr()),
//! };
//! let draws = core_tuning.draws(&labels, (seed, step))?;
//! let loss = core_tuning.loss_with(&batch, &heads, &draws)?;
//! loss.total.backward();
//! assert!(features.grad().norm().double_value(&[]) > 0.0);
//! # Ok::<(), coretune::engine::EngineError>(())
//! ```
//!
//! # Which pairs are hard
//! ```
//! use coretune::mining::{cosines, hardest_pairs};
//! use tch::Tensor;
//!
//! let features = Tensor::from_slice2(&[[1.0f32, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]]);
//! let pairs = hardest_pairs(&cosines(&features)?, &[0, 0, 1, 1])?;
//! // For the first image: the other image of its class, and the most similar image of the other class.
//! assert_eq!(pairs.positive.int64_value(&[0]), 1);
//! assert_eq!(pairs.negative.int64_value(&[0]), 3);
//! # Ok::<(), coretune::engine::EngineError>(())
//! ```
//!
//! # What a checkpoint holds
//! ```
//! use coretune::checkpoints::{Checkpoint, recognise, safetensors_file};
//! use coretune::models::{Architecture, Backbone, Family};
//! use tch::Device;
//!
//! # let folder = std::env::temp_dir().join(format!("coretune-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("moco.safetensors");
//! # let network = Backbone::new(&Architecture { width: 0.125, ..Architecture::published(Family::ResNet18) }, 0, Device::Cpu)?;
//! # let tensors = network.parameters().iter().map(|entry| (entry.name.clone(), entry.tensor.shallow_clone())).collect::<Vec<_>>();
//! # safetensors_file::write(&path, &Default::default(), &tensors)?;
//! let checkpoint = Checkpoint::open(&path)?;
//! let recognised = recognise(&checkpoint, None)?;
//! assert_eq!(recognised.architecture.family, Family::ResNet18);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A whole run
//! [`runs::begin`], [`runs::resume`] and [`runs::repeat`] do what `coretune fit`, `coretune pretrain` and
//! `coretune reproduce` do. Programs that use them are in `examples/`: `fine_tune.rs`, and `custom_objective.rs` with a
//! method of its own; `inspect_checkpoint.rs` reads a checkpoint, `decode_images.rs` image files. The tests run them.
//!
//! # Where to find what the paper says
//! `docs/method.md` has the paper's formulas under these numbers, which code and tests cite.
//!
//! | number | what | module | test |
//! |---|---|---|---|
//! | M1 | hardest pairs | [`mining`] `hardest_pairs.rs` | `tests/goldens`: `golden_mining_ties`, `golden_core_tuning_*` |
//! | M2, M3 | hard positives, semi-hard negatives by mixing | [`mining`] `mixing.rs` | `tests/goldens`: `golden_core_tuning_*` |
//! | M4, M5 | focal contrastive loss | [`losses`] `focal_contrastive.rs`, `pair_scheme.rs` | `tests/goldens`: `golden_focal_contrastive`, ... |
//! | M6 | classifier smoothed on mixed features | [`losses`] `soft_cross_entropy.rs` | `tests/goldens`: `golden_core_tuning_*` |
//! | M7 | the whole objective | [`objectives`] `core_tuning.rs` | `tests/goldens`, `tests/objectives` |
//! | R1-R3 | what the published script computes instead | [`objectives`] `core_tuning.rs`, [`losses`] `reference_contrastive.rs` | `tests/goldens`: `golden_reference_pairs*` |
//! | B1, B4, ... | the methods it is compared with, one file each | [`objectives`] | `tests/objectives`, `tests/goldens` |
//! | | training: step, schedule, optimizer, the loop | [`train`] `step.rs`, `gradients/`, `schedule.rs`, `optimizer.rs`, `trainer.rs` | `tests/train`, `tests/fit` |
//! | E1, E3, E4, E7 | accuracy, geometry, calibration, probes | [`evaluate`] | `tests/evaluate`, `tests/goldens` |

pub mod average;
pub mod bench;
pub mod checkpoints;
pub mod compare;
pub mod config;
pub mod data;
pub mod engine;
pub mod evaluate;
pub mod export;
pub mod figures;
pub mod files;
pub mod fit;
pub mod losses;
pub mod mining;
pub mod models;
pub mod objectives;
pub mod predict;
pub mod pretrain;
pub mod random;
pub mod report;
pub mod run_folder;
pub mod runs;
pub mod saved_models;
pub mod segment;
pub mod settings;
pub mod train;
pub mod transforms;
