//! Activation checkpointing: a part of a network whose activations are dropped, and computed again in the backward pass.

use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::bridge::{checked, pointers};

/// What is computed of an input; called once without graph, and, when a gradient is asked for, again with one (`true`).
pub type Work = Box<dyn Fn(&Tensor, bool) -> Tensor + Send>;

type Compute = extern "C" fn(*const c_void, *const C_tensor, bool, *mut *mut C_tensor) -> *mut c_char;

#[expect(unsafe_code, reason = "a function of C++")]
unsafe extern "C" {
    fn coretune_recomputed(
        state: *mut c_void,
        compute: Compute,
        drop: extern "C" fn(*mut c_void),
        input: *const C_tensor,
        weights: *const *const C_tensor,
        count: usize,
        result: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// What `work` computes of `input`, of which only the input is kept for the backward pass: there it is computed again, and the
/// gradients with respect to input and `weights` are those of that computation. The weights must need gradients, and `work` must
/// give the same values both times.
///
/// # Errors
/// Exceptions of libtorch, and panics of `work`.
pub fn recomputed(work: Work, input: &Tensor, weights: &[&Tensor]) -> Result<Tensor, TchError> {
    let state = Box::into_raw(Box::new(Mutex::new(work))).cast::<c_void>();
    let (list, mut result) = (pointers(weights), std::ptr::null_mut());
    #[expect(unsafe_code, reason = "a function of C++")]
    // SAFETY: the tensors are borrowed for the whole call. The bridge owns `state` from here on: it calls `compute` with it
    // until it calls `discard` once. `result` is written before the function returns without an exception, and then owns one
    // new tensor.
    unsafe {
        checked(coretune_recomputed(
            state,
            compute,
            discard,
            input.as_ptr(),
            list.as_ptr(),
            list.len(),
            &raw mut result,
        ))?;
        Ok(Tensor::from_ptr(result))
    }
}

/// Calls the work, on any thread; no panic leaves it.
extern "C" fn compute(
    state: *const c_void,
    input: *const C_tensor,
    again: bool,
    output: *mut *mut C_tensor,
) -> *mut c_char {
    let computed = catch_unwind(AssertUnwindSafe(|| {
        #[expect(unsafe_code, reason = "pointers from C++")]
        // SAFETY: `state` is the mutex that `recomputed` made, which lives until `discard`; `input` is a tensor that lives
        // during the call, and the copy is another handle of it.
        let (work, input) = unsafe { (&*state.cast::<Mutex<Work>>(), Tensor::clone_from_ptr(input.cast_mut())) };
        let work = work.lock().unwrap_or_else(PoisonError::into_inner);
        work(&input, again)
    }));
    match computed {
        Ok(tensor) => {
            #[expect(unsafe_code, reason = "a pointer from C++")]
            // SAFETY: `output` is a place for a pointer, which takes over the tensor: it is not dropped here.
            unsafe {
                *output = tensor.as_ptr().cast_mut();
            }
            std::mem::forget(tensor);
            std::ptr::null_mut()
        }
        Err(panic) => text_of(panic.as_ref()),
    }
}

/// The words of a panic as a C string of malloc, which the bridge frees.
fn text_of(panic: &(dyn std::any::Any + Send)) -> *mut c_char {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let words = CString::new(words.unwrap_or("no message").replace('\0', " ")).unwrap_or_default();
    #[expect(unsafe_code, reason = "a function of C")]
    // SAFETY: `words` is a string ended by zero.
    unsafe {
        libc::strdup(words.as_ptr())
    }
}

/// Frees the work, when the graph is freed.
extern "C" fn discard(state: *mut c_void) {
    #[expect(unsafe_code, reason = "a pointer from C++")]
    // SAFETY: made by `recomputed`, and freed once. A panic in a destructor of what the work holds must not leave this function.
    let work = unsafe { Box::from_raw(state.cast::<Mutex<Work>>()) };
    drop(catch_unwind(AssertUnwindSafe(|| drop(work))));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn leaf(values: &[f64]) -> Tensor {
        Tensor::from_slice(values).set_requires_grad(true)
    }

    #[test]
    fn the_gradients_are_those_of_the_plain_computation_and_the_work_is_done_twice() {
        let (x, w) = (leaf(&[1.0, -2.0, 3.0]), leaf(&[0.5, 0.25, 2.0]));
        let formula = |x: &Tensor, w: &Tensor| (x * w).exp() * x;
        let calls = Arc::new(AtomicUsize::new(0));
        let work: Work = Box::new({
            let (w, calls) = (w.shallow_clone(), Arc::clone(&calls));
            move |x, again| {
                assert_eq!(calls.fetch_add(1, Ordering::Relaxed), usize::from(again));
                formula(x, &w)
            }
        });
        let y = recomputed(work, &x, &[&w]).unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let gradients = Tensor::run_backward(&[&y.square().sum(None)], &[&x, &w], false, false);
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        let plain = formula(&x, &w);
        let expected = Tensor::run_backward(&[&plain.square().sum(None)], &[&x, &w], false, false);
        assert!(y.equal(&plain) && gradients.iter().zip(&expected).all(|(one, other)| one.equal(other)));
        drop(y);
        assert_eq!(Arc::strong_count(&calls), 1, "the work is dropped with the graph");
    }

    #[test]
    fn an_input_without_gradient_gets_none_and_without_a_graph_nothing_is_kept() {
        let (x, w) = (Tensor::from_slice(&[1.0, 2.0]), leaf(&[3.0, 4.0]));
        let work = |w: Tensor| -> Work { Box::new(move |x, _| x * &w) };
        let y = recomputed(work(w.shallow_clone()), &x, &[&w]).unwrap();
        let gradients = Tensor::run_backward(&[&y.sum(None)], &[&w], false, false);
        assert!(gradients[0].equal(&x));
        let y = tch::no_grad(|| recomputed(work(w.shallow_clone()), &x, &[&w])).unwrap();
        assert!(!y.requires_grad());
    }

    #[test]
    fn a_panic_of_the_work_is_an_error() {
        let x = leaf(&[1.0]);
        let failing: Work = Box::new(|_, _| panic!("no luck"));
        assert!(recomputed(failing, &x, &[]).unwrap_err().to_string().contains("no luck"));
        let later: Work = Box::new(|x, again| if again { panic!("not again") } else { x * 2.0 });
        let y = recomputed(later, &x, &[]).unwrap();
        let error = Tensor::f_run_backward(&[&y.sum(None)], &[&x], false, false).unwrap_err();
        assert!(error.to_string().contains("not again"), "{error}");
    }
}
