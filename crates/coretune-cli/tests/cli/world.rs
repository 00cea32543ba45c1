use coretune_testing::SmallWorld;

/// A folder with a small checkpoint, images of the classes `dark` and `light`, and room for runs.
pub(super) struct World(SmallWorld);

impl World {
    pub(super) fn new() -> Self {
        World(SmallWorld::of_classes(&[("dark", [50; 3]), ("light", [200; 3])], 10, 4))
    }

    /// A path in the folder, as an argument.
    pub(super) fn path(&self, name: &str) -> String {
        self.0.path(name).display().to_string()
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
