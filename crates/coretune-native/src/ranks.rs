//! What ranks of `torch.distributed` exchange: c10d's store and process group over gloo. Every function calls one function
//! of `bridge/ranks.cpp`.

use std::ffi::{CString, c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tch::{Kind, TchError, Tensor};
use torch_sys::C_tensor;

use crate::bridge::checked;

#[repr(C)]
struct RawStore {
    _private: [u8; 0],
}

#[repr(C)]
struct RawGroup {
    _private: [u8; 0],
}

#[expect(unsafe_code, reason = "functions of C++")]
unsafe extern "C" {
    fn coretune_store_open(
        host: *const c_char,
        port: u16,
        serves: bool,
        timeout_ms: u64,
        store: *mut *mut RawStore,
    ) -> *mut c_char;
    fn coretune_store_port(store: *const RawStore) -> u16;
    fn coretune_store_set(store: *mut RawStore, key: *const c_char, bytes: *const u8, count: usize) -> *mut c_char;
    fn coretune_store_get(
        store: *mut RawStore,
        key: *const c_char,
        bytes: *mut *mut u8,
        count: *mut usize,
    ) -> *mut c_char;
    fn coretune_free_bytes(bytes: *mut u8);
    fn coretune_store_add(store: *mut RawStore, key: *const c_char, value: i64, result: *mut i64) -> *mut c_char;
    fn coretune_store_close(store: *mut RawStore);
    fn coretune_group_open(
        store: *mut RawStore,
        prefix: *const c_char,
        address: *const c_char,
        rank: c_int,
        ranks: c_int,
        timeout_ms: u64,
        ended: *const AtomicBool,
        group: *mut *mut RawGroup,
    ) -> *mut c_char;
    fn coretune_group_traffic(group: *const RawGroup, three: *mut u64);
    fn coretune_group_is_broken(group: *const RawGroup) -> bool;
    fn coretune_group_sum(group: *const RawGroup, tensor: *const C_tensor) -> *mut c_char;
    fn coretune_group_sum_in_graph(
        group: *const RawGroup,
        tensor: *const C_tensor,
        total: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn coretune_group_gather(group: *const RawGroup, input: *const C_tensor, output: *const C_tensor) -> *mut c_char;
    fn coretune_group_broadcast(group: *const RawGroup, tensor: *const C_tensor, root: c_int) -> *mut c_char;
}

fn c_text(text: &str) -> Result<CString, TchError> {
    CString::new(text).map_err(|_| TchError::Torch(format!("{text:?} contains a zero byte")))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(1 << 40)
}

/// A connection to c10d's `TCPStore`: keys and values that all ranks read and write.
#[derive(Debug)]
pub struct Store(*mut RawStore);

#[expect(unsafe_code, reason = "a C++ object that locks itself")]
// SAFETY: every operation of a TCPStore takes the lock of its connection.
unsafe impl Send for Store {}
#[expect(unsafe_code, reason = "a C++ object that locks itself")]
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Store {
    /// Connects to the store at this address; the rank that `serves` it opens it first, at a free port if `port` is 0.
    ///
    /// # Errors
    /// A port in use, an address without a store after `timeout`.
    pub fn open(host: &str, port: u16, serves: bool, timeout: Duration) -> Result<Self, TchError> {
        let (host, mut store) = (c_text(host)?, ptr::null_mut());
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: the text and the place for the result live for the whole call.
        checked(unsafe { coretune_store_open(host.as_ptr(), port, serves, milliseconds(timeout), &raw mut store) })?;
        Ok(Store(store))
    }

    /// The port of the store.
    pub fn port(&self) -> u16 {
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: the store is open until it is dropped.
        unsafe {
            coretune_store_port(self.0)
        }
    }

    /// Writes a value.
    ///
    /// # Errors
    /// A store that is gone.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), TchError> {
        let key = c_text(key)?;
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: the store is open, and key and value are borrowed for the whole call.
        checked(unsafe { coretune_store_set(self.0, key.as_ptr(), value.as_ptr(), value.len()) })
    }

    /// The value of a key, if it exists.
    ///
    /// # Errors
    /// A store that is gone.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, TchError> {
        let (key, mut bytes, mut count) = (c_text(key)?, ptr::null_mut(), 0);
        #[expect(unsafe_code, reason = "functions of C++")]
        // SAFETY: the store is open; the bridge returns null or `count` bytes that malloc gave, which are copied once and
        // freed once.
        unsafe {
            checked(coretune_store_get(self.0, key.as_ptr(), &raw mut bytes, &raw mut count))?;
            if bytes.is_null() {
                return Ok(None);
            }
            let value = std::slice::from_raw_parts(bytes, count).to_vec();
            coretune_free_bytes(bytes);
            Ok(Some(value))
        }
    }

    /// Adds to the number under a key, which begins at 0; gives the sum.
    ///
    /// # Errors
    /// A store that is gone.
    pub fn add(&self, key: &str, value: i64) -> Result<i64, TchError> {
        let (key, mut sum) = (c_text(key)?, 0);
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: the store is open, and the place for the result lives for the whole call.
        checked(unsafe { coretune_store_add(self.0, key.as_ptr(), value, &raw mut sum) })?;
        Ok(sum)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: nothing else refers to the connection; a group has a reference of its own to the store.
        unsafe {
            coretune_store_close(self.0);
        }
    }
}

/// The process group of all ranks over gloo. It is never closed: its threads may still wait for a rank that is gone.
///
/// Every rank calls the same operations in the same order. Once the flag that it was opened with is set, an operation that
/// waits gives up; the group is of no use after that, nor after any other error.
#[derive(Debug)]
pub struct Group {
    raw: *mut RawGroup,
    ranks: usize,
}

#[expect(unsafe_code, reason = "a C++ object behind a pointer")]
// SAFETY: operations enter a queue that the process group locks.
unsafe impl Send for Group {}
#[expect(unsafe_code, reason = "a C++ object behind a pointer")]
// SAFETY: as above.
unsafe impl Sync for Group {}

/// How a rank joins its group.
#[derive(Debug, Clone, Copy)]
pub struct Membership<'a> {
    /// What the keys of the group begin with in the store.
    pub prefix: &'a str,
    /// The address of this machine at which the other ranks reach it.
    pub address: &'a str,
    /// This rank, from 0.
    pub rank: usize,
    /// Ranks of the group.
    pub ranks: usize,
    /// The longest wait for the connections to the other ranks.
    pub timeout: Duration,
    /// Ends every operation that waits.
    pub ended: &'static AtomicBool,
}

impl Group {
    /// Connects this rank to all others.
    ///
    /// # Errors
    /// Ranks that do not connect in time, and exceptions of libtorch.
    pub fn open(store: &Store, membership: Membership<'_>) -> Result<Self, TchError> {
        let Membership { prefix, address, rank, ranks, timeout, ended } = membership;
        let (prefix, address, mut raw) = (c_text(prefix)?, c_text(address)?, ptr::null_mut());
        // Fails for more ranks than an int of C counts.
        let number = |value: usize| c_int::try_from(value).map_err(|_| TchError::Torch(format!("{value} ranks")));
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: the store is open, the texts live for the whole call, and the flag lives for ever.
        checked(unsafe {
            coretune_group_open(
                store.0,
                prefix.as_ptr(),
                address.as_ptr(),
                number(rank)?,
                number(ranks)?,
                milliseconds(timeout),
                ended,
                &raw mut raw,
            )
        })?;
        ended.store(false, Ordering::Relaxed);
        Ok(Group { raw, ranks })
    }

    /// What went through the group so far, in backward passes too: operations, bytes of their results, and the time that this
    /// rank waited for them.
    pub fn traffic(&self) -> (u64, u64, Duration) {
        let mut three = [0; 3];
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: the group is never closed, and there is room for three numbers.
        unsafe {
            coretune_group_traffic(self.raw, three.as_mut_ptr());
        }
        let [operations, bytes, nanoseconds] = three;
        (operations, bytes, Duration::from_nanos(nanoseconds))
    }

    /// Whether an operation has failed, in a backward pass too.
    pub fn is_broken(&self) -> bool {
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: the group is never closed.
        unsafe {
            coretune_group_is_broken(self.raw)
        }
    }

    /// Replaces a tensor by its sum over all ranks.
    ///
    /// # Errors
    /// Ranks that are gone, tensors that gloo does not take.
    pub fn sum(&self, tensor: &Tensor) -> Result<(), TchError> {
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: the group is open and the tensor is borrowed for the whole call; an operation that is given up keeps a
        // reference of its own to it.
        checked(unsafe { coretune_group_sum(self.raw, tensor.as_ptr()) })
    }

    /// The sum of a tensor over all ranks, as a part of the graph: the backward pass sums its gradients over all ranks.
    ///
    /// # Errors
    /// As [`Group::sum`].
    pub fn sum_in_graph(&self, tensor: &Tensor) -> Result<Tensor, TchError> {
        let mut total = ptr::null_mut();
        #[expect(unsafe_code, reason = "functions of C++")]
        // SAFETY: as in `sum`; the graph keeps the pointer to the group, which is never closed. The tensor returned is
        // owned by this side from here on.
        unsafe {
            checked(coretune_group_sum_in_graph(self.raw, tensor.as_ptr(), &raw mut total))?;
            Ok(Tensor::from_ptr(total))
        }
    }

    /// The tensors of all ranks, which are of one shape, `[ranks, ..]`.
    ///
    /// # Errors
    /// As [`Group::sum`].
    pub fn gather(&self, tensor: &Tensor) -> Result<Tensor, TchError> {
        let input = tensor.f_detach()?.f_contiguous()?;
        let shape: Vec<i64> = [self.ranks as i64].into_iter().chain(input.size()).collect();
        let output = Tensor::f_empty(shape, (input.kind(), input.device()))?;
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: as in `sum`; the output has one entry of the input's shape for each rank.
        checked(unsafe { coretune_group_gather(self.raw, input.as_ptr(), output.as_ptr()) })?;
        Ok(output)
    }

    /// Replaces a tensor by that of rank `root`.
    ///
    /// # Errors
    /// As [`Group::sum`].
    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<(), TchError> {
        let root = c_int::try_from(root).map_err(|_| TchError::Torch(format!("rank {root}")))?;
        #[expect(unsafe_code, reason = "a function of C++")]
        // SAFETY: as in `sum`.
        checked(unsafe { coretune_group_broadcast(self.raw, tensor.as_ptr(), root) })
    }

    /// Waits until all ranks have come to this place.
    ///
    /// # Errors
    /// As [`Group::sum`].
    pub fn meet(&self) -> Result<(), TchError> {
        self.sum(&Tensor::f_zeros([1], (Kind::Float, tch::Device::Cpu))?)
    }
}
