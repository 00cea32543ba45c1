use coretune::random::Stream;
use rand::RngExt;

/// A place in a file: as often in its first or last kilobytes, where the structure lies, as anywhere.
fn place(length: usize, random: &mut Stream) -> usize {
    const EDGE: usize = 4096;
    let edge = EDGE.min(length);
    match random.random_range(0..4) {
        0 => random.random_range(0..edge),
        1 => length - 1 - random.random_range(0..edge),
        _ => random.random_range(0..length),
    }
}

/// Alters a file in one place at random; its tail may become that of `other`.
pub fn alter(file: &mut Vec<u8>, other: &[u8], random: &mut Stream) {
    let at = place(file.len(), random);
    match random.random_range(0..8) {
        0 => file[at] ^= 1 << random.random_range(0..8),
        1 => file[at] = random.random_range(0..=255),
        2 => file.truncate(at.max(1)),
        3 => {
            let end = (at + random.random_range(1..64)).min(file.len());
            file.drain(at..end);
        }
        4 => {
            let inserted: Vec<u8> = (0..random.random_range(1..32)).map(|_| random.random_range(0..=255)).collect();
            file.splice(at..at, inserted);
        }
        // A length, a count or an offset becomes extreme.
        5 => {
            let extreme = [0u64, 1, u64::MAX, i64::MAX as u64, 1 << 31, u64::from(u32::MAX)];
            let extreme = extreme[random.random_range(0..extreme.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.random_range(0..4)];
            let end = (at + width).min(file.len());
            file[at..end].copy_from_slice(&extreme[..end - at]);
        }
        // A digit of a JSON or numpy header.
        6 => {
            let digits: Vec<usize> =
                (0..file.len().min(1 << 16)).filter(|&place| file[place].is_ascii_digit()).collect();
            if !digits.is_empty() {
                file[digits[random.random_range(0..digits.len())]] = b'0' + random.random_range(0..10);
            }
        }
        // The head of one file on the tail of another.
        _ => {
            file.truncate(at.max(1));
            file.extend_from_slice(&other[place(other.len(), random)..]);
        }
    }
    if file.is_empty() {
        file.push(0);
    }
}
