//! Where and in which precision a command computes.

use tch::Device;
use thiserror::Error;

use crate::config::RunSection;
use crate::engine::{DeviceChoice, DeviceError, EngineError, Precision, UnknownDevice, device_name, threads};
use crate::settings::Hint;

/// Where and in which precision a command computes.
pub(crate) struct Machine {
    pub(crate) device: Device,
    pub(crate) precision: Precision,
    /// Notes about the choice for the user.
    pub(crate) notes: Vec<String>,
}

impl Machine {
    /// Chooses the device, the threads and the precision that `run` asks for.
    pub(crate) fn choose(run: &RunSection) -> Result<Self, MachineError> {
        let (device, device_note) = run.device.parse::<DeviceChoice>()?.resolve()?;
        if let Some(count) = run.threads {
            threads::set(count)?;
        }
        let (precision, precision_note) = Precision::resolve(run.amp, device);
        Ok(Machine { device, precision, notes: device_note.into_iter().chain(precision_note).collect() })
    }

    /// Writes the choice into the section that is saved with a run.
    pub(crate) fn record(&self, run: &mut RunSection) {
        run.device = device_name(self.device);
        run.amp = self.precision.into();
        run.threads = Some(threads::get());
    }
}

/// Why a command cannot compute on the machine that the configuration names.
#[derive(Debug, Error)]
pub enum MachineError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A name that no device has.
    #[error(transparent)]
    UnknownDevice(#[from] UnknownDevice),
    /// The number of threads.
    #[error(transparent)]
    Threads(#[from] EngineError),
}

impl MachineError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Device(error) => error.hint(),
            Self::UnknownDevice(_) => None,
            Self::Threads(error) => error.hint(),
        }
    }
}
