use thiserror::Error;

use super::ranks::RanksError;
use crate::settings::Hint;

/// What can go wrong between this crate and libtorch.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum EngineError {
    /// A tensor has another shape than the formula needs.
    #[error("{tensor} has shape {found:?}, expected {expected}")]
    Shape {
        /// Name of the tensor, as in the signature.
        tensor: &'static str,
        /// The shape as text, such as `[n, D]`.
        expected: String,
        found: Vec<i64>,
    },
    /// A tensor has another element type than the formula needs.
    #[error("{tensor} holds {found}, expected {expected}")]
    Kind {
        /// Name of the tensor.
        tensor: &'static str,
        /// Element types accepted, as text.
        expected: &'static str,
        found: String,
    },
    /// A value lies outside the range where the formula is defined.
    #[error("{name} is {found}, expected {expected}")]
    Value {
        /// Name of the argument.
        name: &'static str,
        /// The range as text.
        expected: String,
        found: String,
    },
    /// libtorch threw an exception.
    #[error("libtorch failed while {doing}: {message}")]
    Torch {
        /// What was being done, as text.
        doing: &'static str,
        /// First line of the exception's message.
        message: String,
    },
    /// Another rank.
    #[error(transparent)]
    Ranks(#[from] RanksError),
}

/// What libtorch writes when the memory of a device or of the host is used up, in lower case.
const OUT_OF_MEMORY: [&str; 5] =
    ["out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed", "bad_alloc"];

impl EngineError {
    /// Whether the memory of the device or of the host was used up.
    pub fn is_out_of_memory(&self) -> bool {
        let Self::Torch { message, .. } = self else { return false };
        let message = message.to_lowercase();
        OUT_OF_MEMORY.iter().any(|words| message.contains(words))
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Torch { .. } if self.is_out_of_memory() => {
                Some("a smaller {train.batch_size} or {data.img_size} needs less memory".into())
            }
            Self::Ranks(error) => error.hint(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allocator_of_libtorch_is_understood_when_its_memory_is_used_up() {
        let is_out_of_memory =
            |message: &str| EngineError::Torch { doing: "multiplying", message: message.into() }.is_out_of_memory();
        for message in [
            "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139.81 GiB",
            "CUDA error: out of memory",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to \
             allocate 400000000000000 bytes. Error code 12 (Cannot allocate memory)",
            "std::bad_alloc",
        ] {
            assert!(is_out_of_memory(message), "{message}");
        }
        assert!(!is_out_of_memory("CUDA error: an illegal memory access was encountered"));
    }
}
