use thiserror::Error;

/// A transform that cannot be applied, or not to this image.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum TransformError {
    /// A setting lies outside the range where the transform is defined.
    #[error("{step}: {name} is {found}, expected {expected}")]
    Setting {
        /// Name of the step, as in a configuration.
        step: &'static str,
        /// Name of the setting.
        name: &'static str,
        /// The range in words.
        expected: &'static str,
        /// The value that came.
        found: String,
    },
    /// The result would have more pixels than an image may have (a very long and thin image, as a rule).
    #[error(
        "{step} would turn {from_width} x {from_height} pixels into {width} x {height}, the limit is {limit} pixels"
    )]
    TooLarge {
        /// Name of the step, as in a configuration.
        step: &'static str,
        /// Width of the image that came.
        from_width: u32,
        /// Height of the image that came.
        from_height: u32,
        /// Width of the result.
        width: u64,
        /// Height of the result.
        height: u64,
        /// Pixels a result may have.
        limit: u64,
    },
}
