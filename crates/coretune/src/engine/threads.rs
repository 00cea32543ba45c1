//! How many threads libtorch computes with.

use super::EngineError;

/// Number of threads that one operation of libtorch is spread over.
pub fn get() -> usize {
    tch::get_num_threads().max(1) as usize
}

/// Sets the number of threads that one operation of libtorch is spread over, for the whole process.
///
/// The sums of a reduction are split by thread, so the same number is part of what makes two runs equal bit for bit.
///
/// # Errors
/// [`EngineError::Value`] for 0 threads or more than libtorch takes.
pub fn set(threads: usize) -> Result<(), EngineError> {
    if !(1..=MOST).contains(&threads) {
        return Err(EngineError::Value {
            name: "threads",
            expected: format!("1 to {MOST}"),
            found: threads.to_string(),
        });
    }
    super::guard("setting the number of threads", || tch::set_num_threads(threads as i32))
}

const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    #[test]
    fn no_thread_at_all_is_refused() {
        assert!(super::set(0).is_err());
        assert!(super::set(2000).is_err());
        assert!(super::get() >= 1);
    }
}
