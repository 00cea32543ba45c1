//! The number format of convolutions, and when bf16 pays.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use crate::settings::choice;

/// The number format in which the convolutions of a backbone run; batch norm and losses are in f32 either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// bfloat16 for activations and convolutions, f32 for the weights that the optimizer sees.
    Bf16,
}

impl Precision {
    /// The element type of activations.
    pub fn kind(self) -> Kind {
        match self {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        }
    }

    /// What `amp` means on `device`, and a warning if that is likely a mistake.
    ///
    /// On a CPU bf16 pays only where the processor multiplies bf16 itself (`avx512_bf16` or `amx_bf16`); elsewhere
    /// libtorch emulates it, and a matrix product slows down by two orders of magnitude.
    pub fn resolve(amp: Amp, device: Device) -> (Precision, Option<String>) {
        Self::resolve_with(amp, device, cpu_multiplies_bf16())
    }

    fn resolve_with(amp: Amp, device: Device, cpu_multiplies_bf16: bool) -> (Precision, Option<String>) {
        let fast = match device {
            Device::Cpu => cpu_multiplies_bf16,
            Device::Cuda(_) => true,
            Device::Mps | Device::Vulkan => false,
        };
        match amp {
            Amp::Off => (Precision::F32, None),
            Amp::Auto => (if fast { Precision::Bf16 } else { Precision::F32 }, None),
            Amp::Bf16 if fast => (Precision::Bf16, None),
            Amp::Bf16 => (Precision::Bf16, Some(SLOW_BF16.into())),
        }
    }
}

const SLOW_BF16: &str = "bf16 will be slower than f32 here: this CPU has neither avx512_bf16 nor amx_bf16, \
                         so that libtorch emulates bf16; run.amp = auto takes f32";

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        })
    }
}

choice! {
    /// When to compute in bf16.
    #[derive(Default)]
    Amp {
        /// bf16 where the device multiplies bf16 itself, f32 elsewhere.
        #[default]
        Auto = "auto",
        /// f32.
        Off = "off",
        /// bf16 even where it is slow.
        Bf16 = "bf16",
    }
}

impl From<Precision> for Amp {
    /// What asks for this precision by name.
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Amp::Off,
            Precision::Bf16 => Amp::Bf16,
        }
    }
}

/// Whether this processor has instructions that multiply bf16.
///
/// `amx_bf16` cannot be asked of the standard library on the pinned toolchain, so Linux's own list is read for it.
pub fn cpu_multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    let avx512_bf16 = std::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    let avx512_bf16 = false;
    avx512_bf16 || std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| lists_bf16_products(&text))
}

/// Whether the flags (x86-64) or features (aarch64) that `/proc/cpuinfo` lists include products of bf16.
fn lists_bf16_products(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags") || line.starts_with("Features"))
        .flat_map(str::split_whitespace)
        .any(|flag| matches!(flag, "avx512_bf16" | "amx_bf16" | "bf16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_bf16_only_where_the_device_multiplies_it() {
        let auto = |device, fast| Precision::resolve_with(Amp::Auto, device, fast);
        assert_eq!(auto(Device::Cpu, false), (Precision::F32, None));
        assert_eq!(auto(Device::Cpu, true), (Precision::Bf16, None));
        assert_eq!(auto(Device::Cuda(0), false), (Precision::Bf16, None));
    }

    #[test]
    fn asking_for_bf16_on_a_cpu_that_emulates_it_warns() {
        let (precision, warning) = Precision::resolve_with(Amp::Bf16, Device::Cpu, false);
        assert_eq!(precision, Precision::Bf16);
        assert!(warning.unwrap().contains("avx512_bf16"));
        assert_eq!(Precision::resolve_with(Amp::Bf16, Device::Cpu, true), (Precision::Bf16, None));
    }

    #[test]
    fn off_is_f32_everywhere() {
        assert_eq!(Precision::resolve_with(Amp::Off, Device::Cuda(0), true), (Precision::F32, None));
    }

    #[test]
    fn cpuinfo_is_read_by_whole_flags() {
        assert!(lists_bf16_products("processor: 0\nflags\t\t: fpu amx_bf16 amx_tile\n"));
        assert!(lists_bf16_products("flags\t\t: fpu avx512f avx512_bf16\n"));
        assert!(!lists_bf16_products("flags\t\t: fpu avx2 avx512f\nmodel name: bf16\n"));
    }

    #[test]
    fn the_words_of_amp_round_trip() {
        for amp in [Amp::Auto, Amp::Off, Amp::Bf16] {
            assert_eq!(amp.to_string().parse::<Amp>(), Ok(amp));
        }
        assert!("fp16".parse::<Amp>().is_err());
    }
}
