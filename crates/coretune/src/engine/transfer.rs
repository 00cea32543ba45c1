//! Copies from the host to the device. All that a step makes go through here, and are counted.

use std::cell::{Cell, RefCell};

use coretune_native::{Slots, is_page_locked};
use tch::{Device, Kind, Tensor};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// Lists that were sent last, newest last: several formulas of a step read the same labels.
    static SENT: RefCell<Vec<Sent>> = const { RefCell::new(Vec::new()) };
}

/// Lists that are remembered.
const REMEMBERED: usize = 4;

struct Sent {
    values: Vec<i64>,
    device: Device,
    tensor: Tensor,
}

/// Transfers of this thread so far. They are counted on the CPU too, where nothing is copied.
pub fn count() -> u64 {
    COUNT.get()
}

/// The tensor on `device`. From page-locked memory the copy is made while the host goes on.
///
/// # Panics
/// On an exception of libtorch: call inside [`super::guard`].
pub fn to_device(tensor: &Tensor, device: Device) -> Tensor {
    COUNT.set(COUNT.get() + 1);
    if device == tensor.device() {
        return tensor.shallow_clone();
    }
    let page_locked = device.is_cuda() && is_page_locked(tensor);
    tensor.to_device_(device, tensor.kind(), page_locked, false)
}

/// A list of integers on `device`, int64 `[values]`. A list that was sent a moment ago is not sent again: do not change
/// the tensor in place.
///
/// # Panics
/// As [`to_device`].
pub fn integers(values: &[i64], device: Device) -> Tensor {
    if let Some(tensor) = remembered(values, device) {
        return tensor;
    }
    let (mut sent, _) = together(&[values], &[], device);
    sent.remove(0)
}

/// Lists of one step in a single transfer: int64 `[values]` each, and float64 `[values]` each.
///
/// # Panics
/// As [`to_device`].
pub fn together(integers: &[&[i64]], floats: &[&[f64]], device: Device) -> (Vec<Tensor>, Vec<Tensor>) {
    let bytes = integers.iter().flat_map(|list| list.iter().flat_map(|value| value.to_ne_bytes()));
    let bytes: Vec<u8> =
        bytes.chain(floats.iter().flat_map(|list| list.iter().flat_map(|value| value.to_ne_bytes()))).collect();
    let sent = to_device(&on_host(&bytes, device.is_cuda()), device);
    let mut first = 0;
    let mut next = |length: usize, kind: Kind| {
        let bytes = 8 * length as i64;
        let part = sent.narrow(0, first, bytes);
        first += bytes;
        part.view_dtype(kind)
    };
    let of_integers: Vec<Tensor> = integers.iter().map(|list| next(list.len(), Kind::Int64)).collect();
    let of_floats = floats.iter().map(|list| next(list.len(), Kind::Double)).collect();
    for (values, tensor) in integers.iter().zip(&of_integers) {
        remember(values, device, tensor);
    }
    (of_integers, of_floats)
}

/// A copy of a tensor of bytes in memory of the host from which a GPU copies without help of the processor.
///
/// # Panics
/// As [`to_device`], and without CUDA.
pub fn in_page_locked_memory(bytes: &Tensor) -> Tensor {
    let values: Vec<u8> = bytes.flatten(0, -1).try_into().expect("a tensor of bytes");
    on_host(&values, true).view(bytes.size().as_slice())
}

fn on_host(bytes: &[u8], page_locked: bool) -> Tensor {
    let slots = Slots::new(1, bytes.len(), page_locked).expect("memory for the numbers of a step");
    slots.write(0, bytes);
    slots.tensor()
}

fn remembered(values: &[i64], device: Device) -> Option<Tensor> {
    SENT.with_borrow(|sent| {
        let found = sent.iter().find(|sent| sent.device == device && sent.values == values);
        found.map(|sent| sent.tensor.shallow_clone())
    })
}

fn remember(values: &[i64], device: Device, tensor: &Tensor) {
    SENT.with_borrow_mut(|sent| {
        if sent.len() == REMEMBERED {
            sent.remove(0);
        }
        sent.push(Sent { values: values.to_vec(), device, tensor: tensor.shallow_clone() });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_travel_together_and_are_remembered() {
        let before = count();
        let (integers, floats) = together(&[&[3, -1], &[], &[7]], &[&[0.5, f64::INFINITY]], Device::Cpu);
        assert_eq!(count(), before + 1);
        assert_eq!(Vec::<i64>::try_from(&integers[0]).unwrap(), [3, -1]);
        assert_eq!(integers[1].size(), [0]);
        assert_eq!(Vec::<i64>::try_from(&integers[2]).unwrap(), [7]);
        assert_eq!(Vec::<f64>::try_from(&floats[0]).unwrap(), [0.5, f64::INFINITY]);
        assert_eq!(Vec::<i64>::try_from(super::integers(&[3, -1], Device::Cpu)).unwrap(), [3, -1]);
        assert_eq!(count(), before + 1);
        assert_eq!(Vec::<i64>::try_from(super::integers(&[3, -2], Device::Cpu)).unwrap(), [3, -2]);
        assert_eq!(count(), before + 2);
    }
}
