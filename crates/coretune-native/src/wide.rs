//! Loops compiled twice: for processors of the baseline, and for wider registers.

/// A loop that the compiler computes several values at a time; `run` must be `#[inline(always)]` to be compiled for wider
/// registers. The results are the same bits: nothing is contracted or reordered.
pub trait Loop {
    /// What it gives.
    type Output;

    /// Runs the loop.
    fn run(self) -> Self::Output;
}

/// Runs a loop with the widest registers that the processor has.
pub fn run_wide<L: Loop>(work: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<L: Loop>(work: L) -> L::Output {
            work.run()
        }

        if std::arch::is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "the compiler does not know what the processor has")]
            // SAFETY: the function needs AVX2 and nothing else, and the processor has it.
            return unsafe { with_avx2(work) };
        }
    }
    work.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scale<'a> {
        values: &'a mut [f32],
        factor: f32,
    }

    impl Loop for Scale<'_> {
        type Output = f32;

        #[allow(clippy::inline_always, reason = "see Loop")]
        #[inline(always)]
        fn run(self) -> f32 {
            self.values.iter_mut().for_each(|value| *value = *value * self.factor + 0.1);
            self.values.iter().sum()
        }
    }

    #[test]
    fn a_wide_loop_gives_the_bits_of_a_narrow_one() {
        let values: Vec<f32> = (0..1001).map(|i| i as f32 * 0.37).collect();
        let (mut wide, mut narrow) = (values.clone(), values);
        let sums =
            [run_wide(Scale { values: &mut wide, factor: 1.7 }), Scale { values: &mut narrow, factor: 1.7 }.run()];
        assert_eq!(sums[0].to_bits(), sums[1].to_bits());
        assert_eq!(wide, narrow);
    }
}
