//! A small world: images whose class is their colour, and a checkpoint of a small ResNet.

use std::path::{Path, PathBuf};

use coretune::checkpoints::safetensors_file;
use coretune::config::{Layers, RunConfig};
use coretune::models::{Architecture, Backbone, Family, Stem};
use coretune::random::{Purpose, stream};
use image::{Rgb, RgbImage};
use rand::RngExt;
use tempfile::TempDir;

/// A folder with images, a checkpoint, and room for runs.
pub(crate) struct World {
    folder: TempDir,
}

const CLASSES: [(&str, [u8; 3]); 3] = [("blue", [40, 60, 200]), ("green", [50, 180, 60]), ("red", [190, 60, 50])];

impl World {
    /// `train` and `test` images of each of three classes; 16 x 16 pixels, the class's colour under noise.
    pub(crate) fn new(train: usize, test: usize) -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        for (split, images) in [("train", train), ("test", test)] {
            for (class, (name, colour)) in CLASSES.iter().enumerate() {
                let folder = world.data().join(split).join(name);
                std::fs::create_dir_all(&folder).unwrap();
                for index in 0..images {
                    let number = (class * 1000 + index) as u64 + if split == "test" { 500 } else { 0 };
                    noisy(*colour, number).save(folder.join(format!("{index}.png"))).unwrap();
                }
            }
        }
        world.write_checkpoint();
        world
    }

    /// The images.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The checkpoint.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.folder.path().join("resnet.safetensors")
    }

    /// A run folder.
    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Two epochs of Core-tuning at 16 pixels, with `settings` over it.
    pub(crate) fn config(&self, settings: &[&str]) -> RunConfig {
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let own = [
            format!("checkpoint.path={}", quoted(&self.checkpoint())),
            format!("data.dir={}", quoted(&self.data())),
            "data.img_size=16".into(),
            "train.epochs=2".into(),
            "train.batch_size=8".into(),
            "train.log_every=1".into(),
            "run.device=cpu".into(),
        ];
        let all = own.iter().map(String::as_str).chain(settings.iter().copied());
        all.fold(Layers::defaults(), |typed, text| typed.assignment(text).unwrap()).validate().unwrap()
    }

    fn write_checkpoint(&self) {
        let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
        let backbone = Backbone::new(&architecture, 7, tch::Device::Cpu).unwrap();
        let tensors: Vec<_> =
            backbone.parameters().iter().map(|p| (p.name.clone(), p.tensor.shallow_clone())).collect();
        safetensors_file::write(self.checkpoint(), &std::collections::BTreeMap::new(), &tensors).unwrap();
    }
}

fn noisy([r, g, b]: [u8; 3], number: u64) -> RgbImage {
    let mut random = stream(number, Purpose::Augmentation, 0, 0);
    RgbImage::from_fn(16, 16, |_, _| {
        let mut near = |value: u8| value.saturating_add(random.random_range(0..40)).saturating_sub(20);
        Rgb([near(r), near(g), near(b)])
    })
}
