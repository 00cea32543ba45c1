use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::EngineError;

/// Runs `work`; a panic inside (tch turns every C++ exception into one) comes back as [`EngineError::Torch`].
///
/// `doing` completes the sentence "libtorch failed while ...".
///
/// # Errors
/// [`EngineError::Torch`] when `work` panics.
pub fn guard<T>(doing: &'static str, work: impl FnOnce() -> T) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| EngineError::Torch { doing, message: first_sentence(panic_text(panic.as_ref())) })
}

/// The text that a caught panic carries.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// The part of a C++ exception that says something: without the wrapping of `unwrap` and without the backtrace.
fn first_sentence(panic: &str) -> String {
    let inner = panic.split_once("Torch(\"").map_or(panic, |(_, inner)| inner);
    let line = inner.split("\\n").next().unwrap_or(inner).lines().next().unwrap_or(inner);
    line.trim_end_matches("\")").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    #[test]
    fn an_exception_of_libtorch_becomes_an_error_with_its_first_line() {
        let a = Tensor::zeros([2, 3], (Kind::Float, tch::Device::Cpu));
        let error = guard("multiplying", || a.matmul(&a)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("libtorch failed while multiplying: mat1 and mat2 shapes cannot be multiplied"),
            "{text}"
        );
        assert!(!text.contains("frame #"), "{text}");
    }
}
