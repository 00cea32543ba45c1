//! Event files of `TensorBoard`: the records as scalars.
//!
//! No small, maintained crate writes this format, and scalars need little of it. A file is a
//! sequence of `TFRecord`s (length, its checksum, bytes, their checksum; little endian), the bytes of each an `Event` in
//! protobuf: `wall_time` = 1 (double), `step` = 2 (varint), `file_version` = 3 (string) in the first,
//! `summary` = 5 in the others, which holds `value` = 1 entries of `tag` = 1 (string) and `simple_value` = 2 (float).
//!
//! The wall time of an event is its step, in seconds, so that the same metrics give the same file. On the horizontal axis
//! "relative" a second is a step.

use super::derived::fields;
use super::{EvaluationRecord, MetricsRecord};

/// The events of all records: the whole file.
pub(super) fn events(records: &[MetricsRecord]) -> Vec<u8> {
    let mut file = Vec::new();
    write_record(&mut file, &event(0, |event| write_bytes(event, 3, b"brain.Event:2")));
    for record in records {
        let summary = summary(record);
        write_record(&mut file, &event(record.step(), |event| write_bytes(event, 5, &summary)));
    }
    file
}

/// Every figure of a record as a scalar, named `train/<figure>` or `<split>/<figure>`.
fn summary(record: &MetricsRecord) -> Vec<u8> {
    let group = match record {
        MetricsRecord::Step(_) => "train",
        MetricsRecord::Evaluation(EvaluationRecord { split, .. }) => split,
        MetricsRecord::Probe(_) => "probe",
    };
    let mut summary = Vec::new();
    for (name, figure) in fields(record) {
        if let (false, Some(figure)) = (name == "step", figure.as_f64()) {
            let mut value = Vec::new();
            write_bytes(&mut value, 1, format!("{group}/{name}").as_bytes());
            write_key(&mut value, 2, Wire::Fixed32);
            value.extend((figure as f32).to_le_bytes());
            write_bytes(&mut summary, 1, &value);
        }
    }
    summary
}

fn event(step: u64, what: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut event = Vec::new();
    write_key(&mut event, 1, Wire::Fixed64);
    event.extend((step as f64).to_le_bytes());
    write_key(&mut event, 2, Wire::Varint);
    write_varint(&mut event, step);
    what(&mut event);
    event
}

fn write_record(file: &mut Vec<u8>, bytes: &[u8]) {
    let length = (bytes.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked_checksum(&length));
    file.extend(bytes);
    file.extend(masked_checksum(bytes));
}

/// CRC-32C, rotated and shifted as `TFRecord` requires.
fn masked_checksum(bytes: &[u8]) -> [u8; 4] {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// How protobuf lays out a value.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

fn write_key(message: &mut Vec<u8>, field: u64, wire: Wire) {
    write_varint(message, field << 3 | wire as u64);
}

fn write_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    write_key(message, field, Wire::Bytes);
    write_varint(message, bytes.len() as u64);
    message.extend(bytes);
}

/// Seven bits a byte, lowest first; the top bit says that more follow.
fn write_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_masked_crc32c() {
        // CRC-32C of "123456789" is e3069283 in every catalogue of checksums.
        let rotated: u32 = 0xe306_9283_u32.rotate_right(15);
        assert_eq!(masked_checksum(b"123456789"), rotated.wrapping_add(0xa282_ead8).to_le_bytes());
    }

    #[test]
    fn varints_carry_over_at_seven_bits() {
        let varint = |value| {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            bytes
        };
        assert_eq!(varint(127), [127]);
        assert_eq!(varint(128), [0x80, 1]);
        assert_eq!(varint(300), [0xac, 2]);
    }
}
