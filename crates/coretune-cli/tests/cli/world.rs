use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use coretune::checkpoints::safetensors_file;
use coretune::models::{Architecture, Backbone, Family, Stem};
use tempfile::TempDir;

/// A folder with a small checkpoint, images of two colours, and room for runs.
pub(super) struct World {
    folder: TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        for (split, images) in [("train", 10), ("test", 4)] {
            for (class, colour) in [("dark", 40u8), ("light", 200)] {
                let folder = world.folder.path().join("data").join(split).join(class);
                fs::create_dir_all(&folder).unwrap();
                for index in 0..images {
                    fs::write(
                        folder.join(format!("{index}.ppm")),
                        image(colour + index * 3 + u8::from(split == "test")),
                    )
                    .unwrap();
                }
            }
        }
        let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
        let backbone = Backbone::new(&architecture, 7, tch::Device::Cpu).unwrap();
        let tensors: Vec<_> =
            backbone.parameters().iter().map(|p| (p.name.clone(), p.tensor.shallow_clone())).collect();
        safetensors_file::write(world.folder.path().join("resnet.safetensors"), &BTreeMap::new(), &tensors).unwrap();
        world
    }

    /// A path in the folder, as an argument.
    pub(super) fn path(&self, name: &str) -> String {
        PathBuf::from(self.folder.path()).join(name).display().to_string()
    }

    /// `coretune fit` of one epoch into the run folder `run`, with more arguments.
    pub(super) fn fit(&self, run: &str, more: &[&str]) -> Vec<String> {
        let (checkpoint, data, output) = (self.path("resnet.safetensors"), self.path("data"), self.path(run));
        let own = ["fit", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output];
        let short = ["--batch-size", "4", "--img-size", "16", "--device", "cpu", "--log-every", "1"];
        let epochs: &[&str] = if more.contains(&"--epochs") { &[] } else { &["--epochs", "1"] };
        own.iter().chain(&short).chain(epochs).chain(more).map(ToString::to_string).collect()
    }
}

/// A plain image of 16 x 16 pixels, as PPM.
fn image(colour: u8) -> Vec<u8> {
    let mut bytes = b"P6 16 16 255\n".to_vec();
    bytes.extend(std::iter::repeat_n(colour, 16 * 16 * 3));
    bytes
}
