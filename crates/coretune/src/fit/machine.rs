//! Where and in which precision a command computes.

use tch::Device;

use crate::config::RunSection;
use crate::engine::{DeviceChoice, Precision, device_name, threads};
use crate::train::TrainError;

/// Where and in which precision a command computes.
pub(crate) struct Machine {
    pub(crate) device: Device,
    pub(crate) precision: Precision,
    /// What the user should know about the choice.
    pub(crate) notes: Vec<String>,
}

impl Machine {
    /// Takes the device, the threads and the precision that `run` asks for.
    pub(crate) fn choose(run: &RunSection) -> Result<Self, TrainError> {
        let (device, device_note) = run.device.parse::<DeviceChoice>()?.resolve()?;
        if let Some(count) = run.threads {
            threads::set(count)?;
        }
        let (precision, precision_note) = Precision::resolve(run.amp, device);
        Ok(Machine { device, precision, notes: device_note.into_iter().chain(precision_note).collect() })
    }

    /// Puts what was taken into the section that is saved with a run.
    pub(crate) fn record(&self, run: &mut RunSection) {
        run.device = device_name(self.device);
        run.amp = self.precision.into();
        run.threads = Some(threads::get());
    }
}
