//! A tensor of bytes that several threads fill, each its own part.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Device, Kind, TchError, Tensor};

/// A tensor of bytes in parts of equal length, each of which is written once, by any thread.
pub struct Slots {
    tensor: Tensor,
    data: *mut u8,
    part: usize,
    written: Box<[AtomicBool]>,
}

#[expect(unsafe_code, reason = "a raw pointer is neither Send nor Sync")]
// SAFETY: `data` points into the memory of `tensor`, which lives as long as the slots do and may be used on any thread.
unsafe impl Send for Slots {}

#[expect(unsafe_code, reason = "as above")]
// SAFETY: threads that share the slots only reach the memory through `write`, which hands out each part once.
unsafe impl Sync for Slots {}

impl Slots {
    /// `parts` parts of `part` bytes each, in memory of the host; page-locked on request, which needs CUDA.
    ///
    /// # Errors
    /// Exceptions of libtorch, such as too little memory.
    pub fn new(parts: usize, part: usize, page_locked: bool) -> Result<Self, TchError> {
        let bytes = parts.checked_mul(part).and_then(|bytes| i64::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| TchError::Torch(format!("{parts} parts of {part} bytes are too many")))?;
        let tensor = if page_locked {
            super::page_locked(bytes)?
        } else {
            Tensor::f_empty([bytes], (Kind::Uint8, Device::Cpu))?
        };
        let data = tensor.data_ptr().cast::<u8>();
        Ok(Slots { tensor, data, part, written: (0..parts).map(|_| AtomicBool::new(false)).collect() })
    }

    /// Copies `bytes` into part `number`.
    ///
    /// # Panics
    /// When there is no such part, when it has another length, or when it was written before.
    pub fn write(&self, number: usize, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.part, "the length of a part");
        assert!(!self.written[number].swap(true, Ordering::AcqRel), "part {number} is written twice");
        #[expect(unsafe_code, reason = "threads write to different parts of one allocation")]
        // SAFETY: part `number` is inside the allocation of `written.len()` parts, and the flag, which was taken just now,
        // makes this the only access to it before `tensor` is called.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.data.add(number * self.part), self.part);
        }
    }

    /// All parts one after the other, `[parts x part]`, once each is written.
    ///
    /// # Panics
    /// When a part is missing.
    pub fn tensor(&self) -> Tensor {
        assert!(self.written.iter().all(|written| written.load(Ordering::Acquire)), "a part is missing");
        self.tensor.shallow_clone()
    }
}

impl fmt::Debug for Slots {
    /// Without the bytes, which another thread may be writing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("parts", &self.written.len()).field("part", &self.part).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_fill_the_parts_of_one_tensor() {
        let slots = Slots::new(6, 3, false).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..3u8 {
                let slots = &slots;
                scope.spawn(move || (0..2u8).for_each(|i| slots.write(usize::from(thread + 3 * i), &[thread, i, 9])));
            }
        });
        let bytes: Vec<u8> = slots.tensor().try_into().unwrap();
        assert_eq!(bytes, [0, 0, 9, 1, 0, 9, 2, 0, 9, 0, 1, 9, 1, 1, 9, 2, 1, 9]);
    }

    #[test]
    #[should_panic(expected = "written twice")]
    fn a_part_is_written_once() {
        let slots = Slots::new(1, 1, false).unwrap();
        slots.write(0, &[1]);
        slots.write(0, &[2]);
    }

    #[test]
    #[should_panic(expected = "a part is missing")]
    fn a_tensor_that_is_not_full_is_refused() {
        drop(Slots::new(2, 1, false).unwrap().tensor());
    }
}
