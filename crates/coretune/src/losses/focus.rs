/// The focal weight (1 - p)^exponent of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Focus {
    /// g of M5: 0 (no focus) or at least 1.
    pub exponent: f64,
    /// Whether the weight is treated as a constant; by default it carries gradient.
    pub detached: bool,
}

impl Focus {
    /// No focus: every pair counts alike.
    pub const NONE: Focus = Focus { exponent: 0.0, detached: false };
}
