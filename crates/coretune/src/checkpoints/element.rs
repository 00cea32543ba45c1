use std::fmt;

use tch::{Kind, Tensor};

use crate::engine::EngineError;

/// Element type of a tensor in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Element {
    Float64,
    Float32,
    Float16,
    BFloat16,
    Int64,
    Int32,
    Int16,
    Int8,
    UInt64,
    UInt32,
    UInt16,
    UInt8,
    Bool,
}

impl Element {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Element::Float64 | Element::Int64 | Element::UInt64 => 8,
            Element::Float32 | Element::Int32 | Element::UInt32 => 4,
            Element::Float16 | Element::BFloat16 | Element::Int16 | Element::UInt16 => 2,
            Element::Int8 | Element::UInt8 | Element::Bool => 1,
        }
    }

    /// Whether it is a floating point type.
    pub fn is_float(self) -> bool {
        matches!(self, Element::Float64 | Element::Float32 | Element::Float16 | Element::BFloat16)
    }

    /// A tensor from native-endian bytes in row-major order, of the type in the file.
    ///
    /// Unsigned types that libtorch lacks become the next wider signed one; a `uint64` above 2^63 wraps.
    pub(super) fn tensor(self, bytes: &[u8], shape: &[i64]) -> Result<Tensor, EngineError> {
        let count = shape.iter().product::<i64>() as usize;
        if bytes.len() != count * self.size() {
            return Err(EngineError::Value {
                name: "byte length",
                expected: format!("{} for {shape:?} of {self}", count * self.size()),
                found: bytes.len().to_string(),
            });
        }
        let build = |bytes: &[u8], kind: Kind| {
            Tensor::f_from_data_size(bytes, shape, kind)
                .map_err(|error| EngineError::Torch { doing: "reading a tensor", message: error.to_string() })
        };
        match self {
            Element::Float32 => build(bytes, Kind::Float),
            Element::Float64 => build(bytes, Kind::Double),
            Element::Float16 => build(bytes, Kind::Half),
            Element::BFloat16 => build(bytes, Kind::BFloat16),
            Element::Int64 | Element::UInt64 => build(bytes, Kind::Int64),
            Element::Int32 => build(bytes, Kind::Int),
            Element::Int16 => build(bytes, Kind::Int16),
            Element::Int8 => build(bytes, Kind::Int8),
            Element::UInt8 => build(bytes, Kind::Uint8),
            // In C++ a bool is 0 or 1; a file may hold other bytes.
            Element::Bool => build(&bytes.iter().map(|&byte| u8::from(byte != 0)).collect::<Vec<u8>>(), Kind::Bool),
            Element::UInt32 => {
                let wide = bytes.as_chunks::<4>().0.iter().map(|&four| i64::from(u32::from_ne_bytes(four)));
                build(&wide.flat_map(i64::to_ne_bytes).collect::<Vec<u8>>(), Kind::Int64)
            }
            Element::UInt16 => {
                let wide = bytes.as_chunks::<2>().0.iter().map(|&two| i32::from(u16::from_ne_bytes(two)));
                build(&wide.flat_map(i32::to_ne_bytes).collect::<Vec<u8>>(), Kind::Int)
            }
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Element::Float64 => "float64",
            Element::Float32 => "float32",
            Element::Float16 => "float16",
            Element::BFloat16 => "bfloat16",
            Element::Int64 => "int64",
            Element::Int32 => "int32",
            Element::Int16 => "int16",
            Element::Int8 => "int8",
            Element::UInt64 => "uint64",
            Element::UInt32 => "uint32",
            Element::UInt16 => "uint16",
            Element::UInt8 => "uint8",
            Element::Bool => "bool",
        })
    }
}
