//! Versions of what the figures of a run depend on.

use serde::Serialize;

/// The engine's versions, as recorded in `summary.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// The binding.
    pub tch: &'static str,
    /// The library, as loaded.
    pub libtorch: String,
}

/// Versions of the binding and of libtorch.
pub fn versions() -> Versions {
    Versions { tch: "0.24.0", libtorch: LIBTORCH.into() }
}

/// The version that this binding is built against; torch-sys refuses another one when it is built.
const LIBTORCH: &str = "2.11.0";
