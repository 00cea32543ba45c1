//! Where tensors live, decided when the program runs.
//!
//! The program is linked against libtorch's CPU library only. Its CUDA library lies beside that one in the same wheel,
//! but needs the wheels of CUDA's own libraries (`make setup CUDA=1`); it is loaded when a CUDA device is asked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::{Cuda, Device};
use thiserror::Error;

use crate::settings::Hint;

/// What the user asked for with `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The first CUDA device if one works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number, counted as CUDA does (`CUDA_VISIBLE_DEVICES`).
    Cuda(usize),
}

/// A word that does not name a device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{found} is not a device; there are cpu, cuda, cuda:<number> and auto")]
pub struct UnknownDevice {
    /// The word given.
    pub found: String,
}

/// Why a CUDA device that was asked for cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum DeviceError {
    /// libtorch's folder is unknown or has no CUDA library.
    #[error("libtorch's CUDA library is missing: {}", path.display())]
    NoCudaLibrary {
        /// Where it should be.
        path: PathBuf,
    },
    /// The library is there, something that it needs is not.
    #[error("{} cannot be loaded: {reason}", path.display())]
    Load {
        path: PathBuf,
        /// The loader's words; they name what is missing.
        reason: String,
    },
    /// Everything is loaded, CUDA finds no device.
    #[error("CUDA finds no device: no NVIDIA driver, or none visible (CUDA_VISIBLE_DEVICES)")]
    NoDevice,
    /// There are fewer devices.
    #[error("there is no device cuda:{found}: CUDA finds {devices}, numbered from 0")]
    Number {
        /// The number asked for.
        found: usize,
        /// How many there are.
        devices: usize,
    },
}

impl DeviceError {
    /// What the user can do about it, if anything.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            DeviceError::NoCudaLibrary { .. } | DeviceError::Load { .. } => {
                Some("`make setup CUDA=1` downloads the CUDA libraries; {run.device=cpu} computes without a GPU".into())
            }
            DeviceError::NoDevice => Some("{run.device=cpu} computes without a GPU".into()),
            DeviceError::Number { devices, .. } => {
                Some(format!("the last one is cuda:{}", devices.saturating_sub(1)).into())
            }
        }
    }
}

impl DeviceChoice {
    /// The device, and a warning where `auto` passes over a GPU that it cannot use.
    ///
    /// Call it before the first tensor is made: libtorch counts its devices once.
    ///
    /// # Errors
    /// [`DeviceError`] for a GPU that was named and cannot be used.
    pub fn resolve(self) -> Result<(Device, Option<String>), DeviceError> {
        match self {
            DeviceChoice::Cpu => Ok((Device::Cpu, None)),
            DeviceChoice::Cuda(number) => Ok((cuda(number)?, None)),
            DeviceChoice::Auto if !driver_is_there() => Ok((Device::Cpu, None)),
            DeviceChoice::Auto => Ok(cuda(0).map_or_else(
                |error| (Device::Cpu, Some(format!("the GPU is not used: {error}"))),
                |device| (device, None),
            )),
        }
    }
}

fn cuda(number: usize) -> Result<Device, DeviceError> {
    let library = cuda_library();
    if !library.is_file() {
        return Err(DeviceError::NoCudaLibrary { path: library });
    }
    coretune_native::load_for_good(&library).map_err(|reason| DeviceError::Load { path: library, reason })?;
    if !Cuda::is_available() {
        return Err(DeviceError::NoDevice);
    }
    let devices = usize::try_from(Cuda::device_count()).unwrap_or(0);
    if number >= devices {
        return Err(DeviceError::Number { found: number, devices });
    }
    Ok(Device::Cuda(number))
}

/// Whether this choice is a GPU, or may become one.
pub fn may_be_gpu(choice: DeviceChoice) -> bool {
    match choice {
        DeviceChoice::Cpu => false,
        DeviceChoice::Cuda(_) => true,
        DeviceChoice::Auto => driver_is_there() && cuda_library().is_file(),
    }
}

/// Whether the kernel has NVIDIA's driver.
fn driver_is_there() -> bool {
    Path::new("/proc/driver/nvidia/version").exists()
}

/// Path of `libtorch_cuda.so`: beside the `libtorch_cpu.so` that this process has mapped.
fn cuda_library() -> PathBuf {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    folder_of("libtorch_cpu.so", &maps).unwrap_or_default().join("libtorch_cuda.so")
}

/// The folder from which `library` is mapped, according to Linux's list of mappings (the path is the sixth column, and
/// may have spaces).
fn folder_of(library: &str, maps: &str) -> Option<PathBuf> {
    maps.lines()
        .filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])))
        .find(|path| path.file_name().is_some_and(|name| name == library))
        .and_then(Path::parent)
        .map(Path::to_path_buf)
}

/// The device as [`DeviceChoice`] spells it: `cpu`, `cuda:0`.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(word: &str) -> Result<Self, UnknownDevice> {
        let unknown = || UnknownDevice { found: word.into() };
        match word {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            _ => {
                let number = word.strip_prefix("cuda:").ok_or_else(unknown)?;
                number.parse().map(DeviceChoice::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = UnknownDevice;

    fn try_from(word: String) -> Result<Self, UnknownDevice> {
        word.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> String {
        choice.to_string()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_written_as_torch_spells_them() {
        for (word, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:3", DeviceChoice::Cuda(3)),
        ] {
            assert_eq!(word.parse(), Ok(choice));
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        for word in ["gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", ""] {
            assert!(word.parse::<DeviceChoice>().is_err(), "{word}");
        }
    }

    #[test]
    fn the_cpu_needs_nothing() {
        assert_eq!(DeviceChoice::Cpu.resolve(), Ok((Device::Cpu, None)));
    }

    #[test]
    fn the_folder_of_a_mapped_library_is_found_though_it_has_spaces() {
        let maps = "7f00-7f01 r-xp 00000000 00:00 0 \n\
                    7f01-7f02 r-xp 00000000 fe:00 12   /usr/lib/libc.so.6\n\
                    7f02-7f03 r--p 00000000 fe:00 13   /home/a b/torch/lib/libtorch_cpu.so\n";
        assert_eq!(folder_of("libtorch_cpu.so", maps), Some(PathBuf::from("/home/a b/torch/lib")));
        assert_eq!(folder_of("libtorch.so", maps), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_cuda_library_is_looked_for_beside_the_libtorch_of_this_process() {
        // A call into libtorch, so that it is mapped.
        assert!(tch::get_num_threads() > 0);
        let folder = cuda_library();
        assert!(folder.with_file_name("libtorch_cpu.so").is_file(), "{}", folder.display());
    }

    #[test]
    fn asking_for_cuda_without_its_libraries_says_what_is_missing_and_how_to_get_it() {
        if driver_is_there() {
            return;
        }
        let error = DeviceChoice::Cuda(0).resolve().unwrap_err();
        assert!(error.hint().unwrap().to_string().contains("run.device = cpu"), "{error}");
        assert_eq!(DeviceChoice::Auto.resolve(), Ok((Device::Cpu, None)));
    }
}
