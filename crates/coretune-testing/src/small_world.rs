use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use coretune::checkpoints::safetensors_file;
use coretune::config::{Layers, PretrainConfig, RunConfig};
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
