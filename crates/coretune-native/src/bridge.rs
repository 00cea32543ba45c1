//! What tch does not bind of libtorch. Every function calls one function of `bridge/bridge.cpp`.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

#[expect(unsafe_code, reason = "functions of C++")]
unsafe extern "C" {
    fn coretune_free_text(text: *mut c_char);
    fn coretune_scale_each(tensors: *const *const C_tensor, count: usize, factor: *const C_tensor) -> *mut c_char;
    fn coretune_add_one_to_each(tensors: *const *const C_tensor, count: usize) -> *mut c_char;
    fn coretune_fused_sgd(
        weights: *const *const C_tensor,
        gradients: *const *const C_tensor,
        momenta: *const *const C_tensor,
        count: usize,
        rate: f64,
        weight_decay: f64,
        momentum: f64,
        nesterov: bool,
    ) -> *mut c_char;
    fn coretune_copy_to_host(values: *const C_tensor, host: *mut *mut C_tensor, event: *mut *mut c_void)
    -> *mut c_char;
    fn coretune_wait(event: *mut c_void) -> *mut c_char;
    fn coretune_free_event(event: *mut c_void);
    fn coretune_count_calls(handle: *mut u64) -> *mut c_char;
    fn coretune_take_calls(
        handle: u64,
        take: extern "C" fn(*const c_char, u64, *mut c_void),
        into: *mut c_void,
    ) -> *mut c_char;
    fn coretune_page_locked(bytes: i64, result: *mut *mut C_tensor) -> *mut c_char;
    fn coretune_is_page_locked(tensor: *const C_tensor, result: *mut bool) -> *mut c_char;
    fn coretune_peak_device_memory(device: i8, peak: *mut u64) -> *mut c_char;
    fn coretune_add_scaled(target: *const C_tensor, source: *const C_tensor, factor: f64) -> *mut c_char;
}

/// A text of the bridge, which is freed.
fn taken(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    #[expect(unsafe_code, reason = "a C string that the bridge allocated")]
    // SAFETY: the bridge returns null or a string ended by zero that strdup made; it is read once and freed once.
    unsafe {
        let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
        coretune_free_text(text);
        Some(copy)
    }
}

/// What the bridge returned: nothing, or the text of libtorch's exception.
pub(crate) fn checked(text: *mut c_char) -> Result<(), TchError> {
    taken(text).map_or(Ok(()), |text| Err(TchError::Torch(text)))
}

pub(crate) fn pointers(tensors: &[&Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(|tensor| tensor.as_ptr()).collect()
}

/// Refuses lists of different lengths, and tensors whose elements lie in another order than those of the first list:
/// the fused kernels walk over all of them at once and check neither.
fn check_alike(weights: &[&Tensor], others: &[&[&Tensor]]) -> Result<(), TchError> {
    for list in others {
        let alike =
            |(weight, other): (&&Tensor, &&Tensor)| is_same_order(weight, other) && weight.kind() == other.kind();
        if list.len() != weights.len() || !weights.iter().zip(*list).all(alike) {
            return Err(TchError::Torch("tensors of a fused update differ in number, shape, order or type".into()));
        }
    }
    Ok(())
}

/// Whether two tensors have the same shape, and their elements lie in the same order in memory.
pub fn is_same_order(first: &Tensor, second: &Tensor) -> bool {
    let size = first.size();
    // The stride of a dimension of one element is never used.
    let order = |tensor: &Tensor| -> Vec<i64> {
        tensor.stride().into_iter().zip(&size).filter(|(_, n)| **n > 1).map(|(stride, _)| stride).collect()
    };
    size == second.size() && order(first) == order(second)
}

/// Multiplies each tensor with a scalar tensor on the same device, in place.
///
/// # Errors
/// Exceptions of libtorch.
pub fn scale_each(tensors: &[&Tensor], factor: &Tensor) -> Result<(), TchError> {
    let list = pointers(tensors);
    #[expect(unsafe_code, reason = "a function of C++")]
    // SAFETY: the pointers are of tensors that are borrowed for the whole call, and `count` is their number.
    checked(unsafe { coretune_scale_each(list.as_ptr(), list.len(), factor.as_ptr()) })
}

/// Adds 1 to each of some counters, in place.
///
/// # Errors
/// Exceptions of libtorch.
pub fn add_one_to_each(counters: &[&Tensor]) -> Result<(), TchError> {
    let list = pointers(counters);
    #[expect(unsafe_code, reason = "a function of C++")]
    // SAFETY: the pointers are of tensors that are borrowed for the whole call, and `count` is their number.
    checked(unsafe { coretune_add_one_to_each(list.as_ptr(), list.len()) })
}

/// What stochastic gradient descent does to all weights alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// Learning rate.
    pub rate: f64,
    /// Weight decay, added to the gradient.
    pub weight_decay: f64,
    /// Fraction of the old direction; at 0 the buffers are left alone.
    pub momentum: f64,
    /// Nesterov momentum.
    pub nesterov: bool,
}

/// One step of stochastic gradient descent of all weights: b <- momentum b + g + decay w; w <- w - rate b. The
/// gradients may be changed.
///
/// # Errors
/// Lists that do not fit each other, and exceptions of libtorch.
pub fn fused_sgd(
    weights: &[&Tensor],
    gradients: &[&Tensor],
    momenta: &[&Tensor],
    step: SgdStep,
) -> Result<(), TchError> {
    check_alike(weights, &[gradients, momenta])?;
    let (weights, gradients, momenta) = (pointers(weights), pointers(gradients), pointers(momenta));
    let SgdStep { rate, weight_decay, momentum, nesterov } = step;
    #[expect(unsafe_code, reason = "a function of C++")]
    // SAFETY: the pointers are of tensors that are borrowed for the whole call, the lists are of equal length, and their
    // tensors have equal shapes and strides, so that the kernel stays inside each of them.
    checked(unsafe {
        coretune_fused_sgd(
            weights.as_ptr(),
            gradients.as_ptr(),
            momenta.as_ptr(),
            weights.len(),
            rate,
            weight_decay,
            momentum,
            nesterov,
        )
    })
}

/// `target += factor source`, in place and without a temporary; the factor travels as an argument, not as a tensor.
///
/// # Errors
/// Exceptions of libtorch.
pub fn add_scaled(target: &Tensor, source: &Tensor, factor: f64) -> Result<(), TchError> {
    #[expect(unsafe_code, reason = "a function of C++")]
    // SAFETY: both tensors are borrowed for the whole call.
    checked(unsafe { coretune_add_scaled(target.as_ptr(), source.as_ptr(), factor) })
}

/// Bytes in memory of the host that a GPU copies from without help of the processor; libtorch uses freed ones again.
///
/// # Errors
/// Exceptions of libtorch, such as a build without CUDA.
pub(crate) fn page_locked(bytes: i64) -> Result<Tensor, TchError> {
    let mut result = std::ptr::null_mut();
    #[expect(unsafe_code, reason = "a function of C++")]
    // SAFETY: `result` is written before the function returns without an exception, and then owns one new tensor.
    unsafe {
        checked(coretune_page_locked(bytes, &raw mut result))?;
        Ok(Tensor::from_ptr(result))
    }
}

/// Whether a GPU can copy from this tensor's memory without help of the processor; not where that cannot be found out.
pub fn is_page_locked(tensor: &Tensor) -> bool {
    let mut result = false;
    #[expect(unsafe_code, reason = "a function of C++")]
    // SAFETY: the tensor is borrowed for the whole call, and `result` lives as long.
    let answered = checked(unsafe { coretune_is_page_locked(tensor.as_ptr(), &raw mut result) });
    answered.is_ok() && result
}

/// The most memory that tensors have taken at one time on the GPU of this number, bytes; `None` without CUDA, and before the first
/// tensor on a GPU.
pub fn peak_gpu_bytes(number: usize) -> Option<u64> {
    let mut peak = 0;
    let number = i8::try_from(number).ok()?;
    #[expect(unsafe_code, reason = "a function of C++")]
    // SAFETY: `peak` lives as long as the call.
    let answered = checked(unsafe { coretune_peak_device_memory(number, &raw mut peak) });
    answered.ok().map(|()| peak).filter(|&peak| peak > 0)
}

/// A tensor on its way from the device to the host; the host waits for it only when it reads it.
#[derive(Debug)]
pub struct CopyToHost {
    host: Tensor,
    /// Null when the tensor was on the host already.
    event: *mut c_void,
}

#[expect(unsafe_code, reason = "a raw pointer is not Send")]
// SAFETY: the event belongs to this value alone, and libtorch's events may be used on any thread.
unsafe impl Send for CopyToHost {}

impl CopyToHost {
    /// Starts the copy behind everything that the device has been given so far.
    ///
    /// # Errors
    /// Exceptions of libtorch.
    pub fn start(values: &Tensor) -> Result<Self, TchError> {
        if values.device() == tch::Device::Cpu {
            return Ok(CopyToHost { host: values.shallow_clone(), event: std::ptr::null_mut() });
        }
        let (mut host, mut event) = (std::ptr::null_mut(), std::ptr::null_mut());
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: both are written before the function returns without an exception, and are then owned here.
        unsafe {
            checked(coretune_copy_to_host(values.as_ptr(), &raw mut host, &raw mut event))?;
            Ok(CopyToHost { host: Tensor::from_ptr(host), event })
        }
    }

    /// The copy, once it is complete.
    ///
    /// # Errors
    /// Exceptions of libtorch, also of what the device did before.
    pub fn finish(&self) -> Result<&Tensor, TchError> {
        if !self.event.is_null() {
            #[expect(unsafe_code, reason = "a function of C++")]
            // SAFETY: the event lives as long as this value.
            checked(unsafe { coretune_wait(self.event) })?;
        }
        Ok(&self.host)
    }
}

impl Drop for CopyToHost {
    fn drop(&mut self) {
        if !self.event.is_null() {
            #[expect(unsafe_code, reason = "a function of C++")]
            // SAFETY: made by `coretune_copy_to_host`, and freed once.
            unsafe {
                coretune_free_event(self.event);
            }
        }
    }
}

/// The operators of libtorch that `work` calls on any thread, by name, and what it returns. An operator that another one
/// calls does not count; one that a node of the backward pass calls does.
///
/// # Errors
/// Exceptions of libtorch.
pub fn dispatcher_calls<T>(work: impl FnOnce() -> T) -> Result<(T, BTreeMap<String, u64>), TchError> {
    extern "C" fn take(name: *const c_char, count: u64, into: *mut c_void) {
        #[expect(unsafe_code, reason = "pointers from C++")]
        // SAFETY: `name` is a string ended by zero that lives during the call, and `into` the map below.
        unsafe {
            let calls = &mut *into.cast::<BTreeMap<String, u64>>();
            calls.insert(CStr::from_ptr(name).to_string_lossy().into_owned(), count);
        }
    }
    let (mut handle, mut calls) = (0, BTreeMap::new());
    #[expect(unsafe_code, reason = "a function of C++")]
    // SAFETY: `handle` is written.
    checked(unsafe { coretune_count_calls(&raw mut handle) })?;
    let result = work();
    #[expect(unsafe_code, reason = "a function of C++")]
    // SAFETY: `take` is called during this call alone, with the map that is borrowed here.
    checked(unsafe { coretune_take_calls(handle, take, (&raw mut calls).cast()) })?;
    Ok((result, calls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_cuda_no_memory_is_page_locked_and_no_gpu_has_any() {
        let values = Tensor::from_slice(&[1.0f32, 2.0]);
        assert!(!is_page_locked(&values));
        assert_eq!(peak_gpu_bytes(0), None);
        assert_eq!(peak_gpu_bytes(1 << 20), None, "a number that no device has");
    }
}
