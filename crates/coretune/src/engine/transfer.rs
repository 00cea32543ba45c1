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
const REMEMBERED: usize = 6;

struct Sent {
    /// The values as they were sent, 64 bits each.
    bits: Vec<u64>,
    options: (Kind, Device),
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
    match remembered(&bits_of_integers(values), (Kind::Int64, device)) {
        Some(tensor) => tensor,
        None => together(&[values], &[], (Kind::Double, device)).0.remove(0),
    }
}

/// A list of numbers in the given format on a device, `[values]`. As [`integers`], it is not sent twice.
///
/// # Panics
/// As [`to_device`].
pub fn numbers(values: &[f64], options: (Kind, Device)) -> Tensor {
    match remembered_numbers(values, options) {
        Some(tensor) => tensor,
        None => together(&[], &[values], options).1.remove(0),
    }
}

/// [`numbers`], if the list was sent a moment ago.
pub fn remembered_numbers(values: &[f64], options: (Kind, Device)) -> Option<Tensor> {
    remembered(&bits_of_numbers(values), options)
}

/// Lists of one step in a single transfer: int64 `[values]` each, and numbers of the given format, `[values]` each.
///
/// # Panics
/// As [`to_device`].
pub fn together(integers: &[&[i64]], numbers: &[&[f64]], (kind, device): (Kind, Device)) -> (Vec<Tensor>, Vec<Tensor>) {
    let of_integers: Vec<Vec<u64>> = integers.iter().map(|list| bits_of_integers(list)).collect();
    let of_numbers: Vec<Vec<u64>> = numbers.iter().map(|list| bits_of_numbers(list)).collect();
    let bytes: Vec<u8> = of_integers.iter().chain(&of_numbers).flatten().flat_map(|bits| bits.to_ne_bytes()).collect();
    let sent = to_device(&on_host(&bytes, device.is_cuda()), device);
    let entries = |lists: &[Vec<u64>]| lists.iter().map(|list| list.len() as i64).sum::<i64>();
    let (first, rest) = (entries(&of_integers), entries(&of_numbers));
    let part = |first: i64, length: i64, kind: Kind| sent.narrow(0, 8 * first, 8 * length).view_dtype(kind);
    let divided = |all: &dyn Fn() -> Tensor, lists: &[Vec<u64>], options: (Kind, Device)| match lists {
        [] => Vec::new(),
        _ => divide(&all(), lists, options),
    };
    (
        divided(&|| part(0, first, Kind::Int64), &of_integers, (Kind::Int64, device)),
        divided(&|| part(first, rest, Kind::Double).to_kind(kind), &of_numbers, (kind, device)),
    )
}

/// The lists of which `all` holds the values one after the other; each is remembered.
fn divide(all: &Tensor, lists: &[Vec<u64>], options: (Kind, Device)) -> Vec<Tensor> {
    let lengths: Vec<i64> = lists.iter().map(|list| list.len() as i64).collect();
    let parts = all.split_with_sizes(lengths, 0);
    for (bits, tensor) in lists.iter().zip(&parts) {
        remember(bits, options, tensor);
    }
    parts
}

fn bits_of_integers(values: &[i64]) -> Vec<u64> {
    values.iter().map(|value| value.cast_unsigned()).collect()
}

fn bits_of_numbers(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
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

fn remembered(bits: &[u64], options: (Kind, Device)) -> Option<Tensor> {
    SENT.with_borrow(|sent| {
        let found = sent.iter().find(|sent| sent.options == options && sent.bits == bits);
        found.map(|sent| sent.tensor.shallow_clone())
    })
}

fn remember(bits: &[u64], options: (Kind, Device), tensor: &Tensor) {
    SENT.with_borrow_mut(|sent| {
        if sent.len() == REMEMBERED {
            sent.remove(0);
        }
        sent.push(Sent { bits: bits.to_vec(), options, tensor: tensor.shallow_clone() });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_travel_together_and_are_remembered() {
        let before = count();
        let (integers, floats) =
            together(&[&[3, -1], &[], &[7]], &[&[0.5, f64::INFINITY]], (Kind::Double, Device::Cpu));
        assert_eq!(count(), before + 1);
        assert_eq!(Vec::<i64>::try_from(&integers[0]).unwrap(), [3, -1]);
        assert_eq!(integers[1].size(), [0]);
        assert_eq!(Vec::<i64>::try_from(&integers[2]).unwrap(), [7]);
        assert_eq!(Vec::<f64>::try_from(&floats[0]).unwrap(), [0.5, f64::INFINITY]);
        assert_eq!(Vec::<i64>::try_from(super::integers(&[3, -1], Device::Cpu)).unwrap(), [3, -1]);
        let infinite = numbers(&[0.5, f64::INFINITY], (Kind::Double, Device::Cpu));
        assert_eq!(Vec::<f64>::try_from(infinite).unwrap(), [0.5, f64::INFINITY]);
        assert_eq!(count(), before + 1);
        // In another format they are another list.
        let halves = numbers(&[0.5, f64::INFINITY], (Kind::Float, Device::Cpu));
        assert_eq!(Vec::<f32>::try_from(halves).unwrap(), [0.5, f32::INFINITY]);
        assert_eq!(count(), before + 2);
        assert_eq!(Vec::<i64>::try_from(super::integers(&[3, -2], Device::Cpu)).unwrap(), [3, -2]);
        assert_eq!(count(), before + 3);
    }
}
