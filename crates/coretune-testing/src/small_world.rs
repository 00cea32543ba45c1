use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use coretune::checkpoints::safetensors_file;
use coretune::config::{Layers, PretrainConfig, RunConfig, SegmentationConfig};
use coretune::models::{Architecture, Backbone, Family, Stem};
use coretune::random::{Purpose, stream};
use coretune::run_folder::RunKind;
use rand::RngExt;
use tempfile::TempDir;

const SIDE: usize = 16;
const CLASSES: [(&str, [u8; 3]); 3] = [("blue", [40, 60, 200]), ("green", [50, 180, 60]), ("red", [190, 60, 50])];

/// A temporary folder with images in `data`, a checkpoint of a narrow ResNet-18 in `resnet.safetensors`, and room for runs.
#[derive(Debug)]
pub struct SmallWorld {
    folder: TempDir,
}

impl SmallWorld {
    /// The classes `blue`, `green` and `red`, with so many `train` and `test` images each.
    pub fn new(train: usize, test: usize) -> Self {
        SmallWorld::of_classes(&CLASSES, train, test)
    }

    /// Classes by name and colour. Images are `data/SPLIT/CLASS/INDEX.ppm`, 16 x 16 pixels of the colour under noise.
    pub fn of_classes(classes: &[(&str, [u8; 3])], train: usize, test: usize) -> Self {
        let world = SmallWorld::empty();
        for (split, images) in [("train", train), ("test", test)].into_iter().filter(|(_, images)| *images > 0) {
            for (class, (name, colour)) in classes.iter().enumerate() {
                let first = class as u64 * 1000 + if split == "test" { 500 } else { 0 };
                write_images(&world.data().join(split).join(name), images, *colour, first);
            }
        }
        world
    }

    /// Images without classes, `data/INDEX.ppm`.
    pub fn unlabelled(images: usize) -> Self {
        let world = SmallWorld::empty();
        write_images(&world.data(), images, [128; 3], 0);
        world
    }

    /// Images of 32 x 32 pixels with masks: so many in `data/train` and `data/trainannot`, half as many for validation and for
    /// test. Each shows a blue ground (class 0) with a green (1) and a red rectangle (2) under noise; the mask's first row is
    /// ignored.
    pub fn with_masks(train: usize) -> Self {
        let world = SmallWorld::empty();
        for (first, split, images) in [(0, "train", train), (500, "val", train / 2), (700, "test", train / 2)] {
            for index in 0..images {
                write_scene(&world.data(), split, index, first + index as u64);
            }
        }
        world
    }

    fn empty() -> Self {
        let world = SmallWorld { folder: tempfile::tempdir().expect("a temporary folder") };
        world.write_checkpoint();
        world
    }

    /// The images.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.path("resnet.safetensors")
    }

    /// A path in the folder, such as that of a run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Two epochs of Core-tuning at 16 pixels, with `settings` over it.
    pub fn config(&self, settings: &[&str]) -> RunConfig {
        let own = [
            assignment("checkpoint.path", &self.checkpoint()),
            assignment("data.dir", &self.data()),
            "data.img_size=16".into(),
            "train.epochs=2".into(),
            "train.batch_size=8".into(),
            "train.log_every=1".into(),
            "run.device=cpu".into(),
        ];
        layers(Layers::defaults(), &own, settings).validate().expect("a valid configuration")
    }

    /// Three epochs of pre-training a narrow ResNet-18, with `settings` over it.
    pub fn pretraining(&self, settings: &[&str]) -> PretrainConfig {
        let own = [
            assignment("data.dir", &self.data()),
            "model.width=0.125".into(),
            "pretrain.bn_groups=2".into(),
            "pretrain.probe_epochs=1".into(),
            "train.epochs=3".into(),
            "train.batch_size=8".into(),
            "train.log_every=1".into(),
            "run.threads=1".into(),
        ];
        let layers = layers(Layers::defaults_of(RunKind::Pretraining), &own, settings);
        layers.validate_pretraining().expect("a valid configuration")
    }

    /// Two epochs of Core-tuning on pixels, crops of 32 pixels, an FCN head, with `settings` over it.
    pub fn segmentation(&self, settings: &[&str]) -> SegmentationConfig {
        let own = [
            assignment("checkpoint.path", &self.checkpoint()),
            assignment("data.dir", &self.data()),
            "segmentation.head=fcn".into(),
            "segmentation.crop=32".into(),
            "segmentation.output_stride=8".into(),
            "train.epochs=2".into(),
            "train.batch_size=4".into(),
            "train.log_every=1".into(),
            "run.device=cpu".into(),
            "run.threads=1".into(),
        ];
        let layers = layers(Layers::defaults_of(RunKind::Segmentation), &own, settings);
        layers.validate_segmentation().expect("a valid configuration")
    }

    fn write_checkpoint(&self) {
        let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
        let backbone = Backbone::new(&architecture, 7, tch::Device::Cpu).expect("a small network");
        let tensors: Vec<_> =
            backbone.parameters().iter().map(|p| (p.name.clone(), p.tensor.shallow_clone())).collect();
        safetensors_file::write(self.checkpoint(), &BTreeMap::new(), &tensors).expect("a temporary file");
    }
}

fn assignment(key: &str, path: &Path) -> String {
    format!("{key}={:?}", path.display().to_string())
}

fn layers(defaults: Layers, own: &[String], more: &[&str]) -> Layers {
    let all = own.iter().map(String::as_str).chain(more.iter().copied());
    all.fold(defaults, |layers, text| layers.assignment(text).expect("a valid setting"))
}

fn write_images(folder: &Path, images: usize, colour: [u8; 3], first: u64) {
    fs::create_dir_all(folder).expect("a temporary folder");
    for index in 0..images {
        fs::write(folder.join(format!("{index}.ppm")), noisy(colour, first + index as u64)).expect("a temporary file");
    }
}

/// An image as PPM: the colour, each value up to 20 more or less.
fn noisy(colour: [u8; 3], number: u64) -> Vec<u8> {
    let mut random = stream(number, Purpose::Augmentation, 0, 0);
    let mut bytes = format!("P6 {SIDE} {SIDE} 255\n").into_bytes();
    bytes.extend(
        colour
            .iter()
            .cycle()
            .take(3 * SIDE * SIDE)
            .map(|value| value.saturating_add(random.random_range(0..40)).saturating_sub(20)),
    );
    bytes
}

/// Side of a scene, pixels.
const SCENE: usize = 32;

/// An image with its mask: rectangles of 8 x 16 pixels at places that the number decides.
fn write_scene(data: &Path, split: &str, index: usize, number: u64) {
    let mut random = stream(number, Purpose::Augmentation, 1, 0);
    let mut labels = vec![0u8; SCENE * SCENE];
    for class in [1u8, 2] {
        let (left, top) = (8 * random.random_range(0..3), 8 * random.random_range(0..3));
        for y in top..top + SCENE / 2 {
            for x in left..left + SCENE / 4 {
                labels[y * SCENE + x] = class;
            }
        }
    }
    let mut pixels = Vec::with_capacity(3 * labels.len());
    for &label in &labels {
        let (_, colour) = CLASSES[usize::from(label)];
        pixels.extend(colour.map(|value: u8| value.saturating_add(random.random_range(0..40)).saturating_sub(20)));
    }
    labels[..SCENE].fill(255);
    for (folder, name, kind, bytes) in [
        (split.to_string(), format!("{index}.ppm"), "P6", pixels),
        (format!("{split}annot"), format!("{index}.pgm"), "P5", labels),
    ] {
        let folder = data.join(folder);
        fs::create_dir_all(&folder).expect("a temporary folder");
        let mut file = format!("{kind} {SCENE} {SCENE} 255\n").into_bytes();
        file.extend(bytes);
        fs::write(folder.join(name), file).expect("a temporary file");
    }
}
