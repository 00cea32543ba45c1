//! Loops compiled three times: for processors of the baseline, for AVX2 and for AVX-512.

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

        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn with_avx512<L: Loop>(work: L) -> L::Output {
            work.run()
        }

        if has_avx512() {
            #[expect(unsafe_code, reason = "the compiler does not know what the processor has")]
            // SAFETY: the function needs these four parts of AVX-512 and nothing else, and the processor has them.
            return unsafe { with_avx512(work) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "the compiler does not know what the processor has")]
            // SAFETY: the function needs AVX2 and nothing else, and the processor has it.
            return unsafe { with_avx2(work) };
        }
    }
    work.run()
}

/// `value as u8`: cut to 0..=255 and towards zero. In a [`Loop`] several are computed at a time, unlike with `as`.
#[allow(clippy::inline_always, reason = "see Loop")]
#[inline(always)]
pub fn byte(value: f32) -> u8 {
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    #[expect(unsafe_code, reason = "the compiler does not know the range")]
    // SAFETY: the value lies in 0..=255; NaN has become 0.
    let whole: i32 = unsafe { value.to_int_unchecked() };
    whole as u8
}

/// [`byte`] of a number in double precision.
#[allow(clippy::inline_always, reason = "see Loop")]
#[inline(always)]
pub fn byte_of_double(value: f64) -> u8 {
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    #[expect(unsafe_code, reason = "the compiler does not know the range")]
    // SAFETY: the value lies in 0..=255; NaN has become 0.
    let whole: i32 = unsafe { value.to_int_unchecked() };
    whole as u8
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl")
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
    fn bytes_are_those_of_the_cast() {
        let edges = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, -1.0, 255.0, 255.999, 256.0, 1e30];
        for value in edges.into_iter().chain((-40..2600).map(|tenth| f64::from(tenth) / 10.0)) {
            assert_eq!((byte(value as f32), byte_of_double(value)), (value as f32 as u8, value as u8), "{value}");
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
