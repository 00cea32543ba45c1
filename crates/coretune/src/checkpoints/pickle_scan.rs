//! Looks over a pickle before anything is built from it: how deep it nests, how many values and how much text it makes,
//! how long the names of its entries become. What is fetched from the memo is copied, so a few bytes can ask for much.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};

/// What unpickling a file may still take, over all of its pickles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Values made or copied.
    pub(super) values: u64,
    /// Bytes of text and byte strings made or copied.
    pub(super) text: u64,
    /// Bytes of all flattened names together.
    pub(super) names: u64,
}

/// Containers inside one another: as the crate that reads them.
const DEEPEST: u32 = 1000;
/// Bytes of one line of the old text opcodes.
const LONGEST_LINE: u64 = 1 << 16;

/// What a pickle held last, as far as the tables of tar files need it.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// The last whole number.
    pub(super) int: Option<i64>,
    /// The last class, without its module.
    pub(super) class: String,
}

/// Reads one pickle up to its STOP and takes what it needs off `allowance`.
///
/// # Errors
/// What is wrong, as text.
pub(super) fn scan(reader: &mut impl BufRead, allowance: &mut Allowance) -> Result<Last, String> {
    let (stack, marks, memo, last) = (Vec::new(), Vec::new(), HashMap::new(), Last::default());
    let mut scanner = Scanner { reader, allowance, stack, marks, memo, last };
    while scanner.step()? {}
    Ok(scanner.last)
}

/// A value as far as its size is concerned.
#[derive(Debug, Clone, Copy, Default)]
struct Sketch {
    /// Containers inside one another.
    depth: u32,
    /// Values in it, itself included.
    nodes: u64,
    /// Values in it that are not containers.
    leaves: u64,
    /// Bytes of the names that these get by their place in it.
    names: u64,
    /// Bytes of text in it.
    text: u64,
    /// The longest of these texts.
    longest: u64,
    /// Whether it is, or names, a function whose result holds its arguments.
    keeps_arguments: bool,
}

/// Functions whose result holds their arguments; every other call makes one object.
const KEEP_ARGUMENTS: [&[u8]; 6] = [
    b"OrderedDict",
    b"set",
    b"frozenset",
    b"_rebuild_parameter",
    b"_rebuild_parameter_with_state",
    b"_rebuild_from_type_v2",
];
/// Length of the longest of these.
const LONGEST_FUNCTION: u64 = 29;
/// Digits of a place in a list.
const INDEX: u64 = 7;
/// Digits of a whole number as a key.
const NUMBER: u64 = 20;

impl Sketch {
    const EMPTY: Sketch =
        Sketch { depth: 0, nodes: 1, leaves: 0, names: 0, text: 0, longest: 0, keeps_arguments: false };
    const LEAF: Sketch = Sketch { leaves: 1, ..Sketch::EMPTY };

    fn of_text(text: u64) -> Self {
        Sketch { text, longest: text, ..Sketch::LEAF }
    }

    /// Puts `value` into this container, where its names grow by `key` bytes and a dot.
    fn put(&mut self, value: Sketch, key: u64) {
        self.join(value);
        self.depth = self.depth.max(value.depth + 1);
        self.names = self.names.saturating_add(value.leaves.saturating_mul(key + 1));
    }

    /// Takes in what `value` holds.
    fn join(&mut self, value: Sketch) {
        self.depth = self.depth.max(value.depth);
        self.nodes = self.nodes.saturating_add(value.nodes);
        self.leaves = self.leaves.saturating_add(value.leaves);
        self.names = self.names.saturating_add(value.names);
        self.text = self.text.saturating_add(value.text);
        self.longest = self.longest.max(value.longest);
    }
}

/// CPython's stack machine over sketches.
struct Scanner<'a, R> {
    reader: &'a mut R,
    allowance: &'a mut Allowance,
    stack: Vec<Sketch>,
    marks: Vec<usize>,
    memo: HashMap<u32, Sketch>,
    last: Last,
}

impl<R: BufRead> Scanner<'_, R> {
    /// Follows one opcode; false at the end.
    fn step(&mut self) -> Result<bool, String> {
        let [opcode] = self.bytes()?;
        match opcode {
            b'.' => return self.pop().map(|_| false),
            0x80 => drop(self.bytes::<1>()?),
            0x95 => drop(self.bytes::<8>()?),
            b'N' | 0x88 | 0x89 => self.make(Sketch::LEAF)?,
            b'G' => self.bytes::<8>().and_then(|_| self.make(Sketch::LEAF))?,
            b'F' | b'P' => self.line().and_then(|_| self.make(Sketch::LEAF))?,
            b'I' | b'L' | b'J' | b'K' | b'M' | 0x8a | 0x8b => self.number(opcode)?,
            b'V' | b'X' | b'T' | b'U' | b'B' | b'C' | 0x8c | 0x8d | 0x8e | 0x96 => self.text(opcode)?,
            b')' | b']' | b'}' | 0x8f => self.make(Sketch::EMPTY)?,
            b'(' => self.mark()?,
            b't' | b'l' | 0x91 => self.list_of_marked()?,
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
            b'd' | b's' | b'u' => self.set(opcode)?,
            b'a' | b'e' | 0x90 => self.append(opcode)?,
            b'0' => self.discard()?,
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.top().and_then(|top| self.make(top))?,
            b'g' | b'h' | b'j' => self.fetch(opcode)?,
            b'p' | b'q' | b'r' | 0x94 => self.store(opcode)?,
            b'c' => self.global()?,
            0x93 => self.stack_global()?,
            b'Q' => self.object_of(1)?,
            0x81 => self.object_of(2)?,
            0x92 => self.object_of(3)?,
            b'R' => self.call()?,
            b'b' => self.build()?,
            other => return Err(format!("its pickle has an unsupported operation, {other:#04x}")),
        }
        Ok(true)
    }

    /// Pushes what is new: it is taken off the allowance.
    fn make(&mut self, value: Sketch) -> Result<(), String> {
        self.charge(value)?;
        self.push(value)
    }

    /// Pushes what holds values that were counted already.
    fn push(&mut self, value: Sketch) -> Result<(), String> {
        if value.depth > DEEPEST {
            return Err(format!("its pickle nests more than {DEEPEST} levels"));
        }
        if value.names > self.allowance.names {
            return Err(format!("the names of its objects take {} bytes or more", value.names));
        }
        self.stack.push(value);
        Ok(())
    }

    fn charge(&mut self, value: Sketch) -> Result<(), String> {
        let left = |allowed: u64, taken: u64, what: &str| {
            allowed.checked_sub(taken).ok_or_else(|| format!("its pickle makes more {what} than its size allows"))
        };
        self.allowance.values = left(self.allowance.values, value.nodes, "values")?;
        self.allowance.text = left(self.allowance.text, value.text, "text")?;
        Ok(())
    }

    fn top(&self) -> Result<Sketch, String> {
        let above_mark = self.marks.last().is_none_or(|&mark| mark < self.stack.len());
        self.stack.last().copied().filter(|_| above_mark).ok_or_else(underflow)
    }

    fn pop(&mut self) -> Result<Sketch, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn mark(&mut self) -> Result<(), String> {
        self.charge(Sketch::EMPTY)?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn discard(&mut self) -> Result<(), String> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Sketch>, String> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    /// A new container of values that were counted already.
    fn container(&mut self, items: impl IntoIterator<Item = Sketch>) -> Result<(), String> {
        self.charge(Sketch::EMPTY)?;
        let mut list = Sketch::EMPTY;
        for item in items {
            list.put(item, INDEX);
        }
        self.push(list)
    }

    fn list_of_marked(&mut self) -> Result<(), String> {
        let items = self.pop_to_mark()?;
        self.container(items)
    }

    fn tuple(&mut self, items: usize) -> Result<(), String> {
        let items = (0..items).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        self.container(items)
    }

    fn append(&mut self, opcode: u8) -> Result<(), String> {
        let items = if opcode == b'a' { vec![self.pop()?] } else { self.pop_to_mark()? };
        let mut list = self.pop()?;
        for item in items {
            list.put(item, INDEX);
        }
        self.push(list)
    }

    fn set(&mut self, opcode: u8) -> Result<(), String> {
        let items = if opcode == b's' {
            let value = self.pop()?;
            vec![self.pop()?, value]
        } else {
            self.pop_to_mark()?
        };
        let mut dictionary = if opcode == b'd' { Sketch::EMPTY } else { self.pop()? };
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("its pickle has a key without a value".into());
        }
        for [key, value] in pairs {
            dictionary.put(*value, key.text.max(NUMBER));
            dictionary.text = dictionary.text.saturating_add(key.text);
        }
        self.push(dictionary)
    }

    /// One object in the place of so many values.
    fn object_of(&mut self, values: usize) -> Result<(), String> {
        for _ in 0..values {
            self.pop()?;
        }
        self.make(Sketch::LEAF)
    }

    fn call(&mut self) -> Result<(), String> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        if !function.keeps_arguments {
            return self.make(Sketch::LEAF);
        }
        // Any text among the arguments may be the key of any value.
        let names = arguments.leaves.saturating_mul(arguments.longest + 1);
        self.push(Sketch { names: arguments.names.saturating_add(names), ..arguments })
    }

    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let mut object = self.pop()?;
        object.join(state);
        self.make(object)
    }

    fn fetch(&mut self, opcode: u8) -> Result<(), String> {
        let index = self.index(opcode, b'g', b'h')?;
        let value = self.memo.get(&index).copied().ok_or("its pickle fetches what it never stored")?;
        self.make(value)
    }

    fn store(&mut self, opcode: u8) -> Result<(), String> {
        let index = if opcode == 0x94 { self.memo.len() as u32 } else { self.index(opcode, b'p', b'q')? };
        let top = self.top()?;
        self.charge(top)?;
        self.memo.insert(index, top);
        Ok(())
    }

    /// The place in the memo after an opcode: a line, one byte, or four.
    fn index(&mut self, opcode: u8, line: u8, byte: u8) -> Result<u32, String> {
        if opcode == line {
            let text = self.line()?;
            let index = std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok());
            return index.ok_or_else(|| "its pickle names a place in the memo that is not a whole number".into());
        }
        if opcode == byte { Ok(u32::from(self.bytes::<1>()?[0])) } else { Ok(u32::from_le_bytes(self.bytes()?)) }
    }

    fn global(&mut self) -> Result<(), String> {
        let module = self.line()?.len() as u64;
        let line = self.line()?;
        let name = line.trim_ascii_end();
        self.last.class = String::from_utf8_lossy(name).into_owned();
        let keeps_arguments = KEEP_ARGUMENTS.contains(&name);
        self.make(Sketch { keeps_arguments, ..Sketch::of_text(module + name.len() as u64) })
    }

    fn stack_global(&mut self) -> Result<(), String> {
        let name = self.pop()?;
        let module = self.pop()?;
        let text = module.text.saturating_add(name.text);
        self.make(Sketch { keeps_arguments: name.keeps_arguments, ..Sketch::of_text(text) })
    }

    fn number(&mut self, opcode: u8) -> Result<(), String> {
        let value = match opcode {
            b'J' => Some(i64::from(i32::from_le_bytes(self.bytes()?))),
            b'K' => Some(i64::from(self.bytes::<1>()?[0])),
            b'M' => Some(i64::from(u16::from_le_bytes(self.bytes()?))),
            b'I' | b'L' => {
                let line = self.line()?;
                std::str::from_utf8(&line).ok().and_then(|text| text.trim_end().trim_end_matches('L').parse().ok())
            }
            0x8a => self.long(1)?,
            _ => self.long(4)?,
        };
        self.last.int = value.or(self.last.int);
        self.make(Sketch::LEAF)
    }

    /// A whole number, preceded by its length in so many bytes; none if it is longer than eight.
    fn long(&mut self, width: usize) -> Result<Option<i64>, String> {
        let length = self.length(width)?;
        if length > 8 {
            return self.skip(length).map(|()| None);
        }
        let mut bytes = [0; 8];
        self.reader.read_exact(&mut bytes[..length as usize]).map_err(|error| cut(&error))?;
        Ok(Some(i64::from_le_bytes(bytes)))
    }

    fn text(&mut self, opcode: u8) -> Result<(), String> {
        let length = match opcode {
            b'V' => {
                let length = self.line()?.len() as u64;
                return self.make(Sketch::of_text(length));
            }
            b'U' | b'C' | 0x8c => self.length(1)?,
            b'X' | b'T' | b'B' => self.length(4)?,
            _ => self.length(8)?,
        };
        let mut name = vec![0; length.min(LONGEST_FUNCTION) as usize];
        self.reader.read_exact(&mut name).map_err(|error| cut(&error))?;
        self.skip(length - name.len() as u64)?;
        let keeps_arguments = length <= LONGEST_FUNCTION && KEEP_ARGUMENTS.contains(&name.as_slice());
        self.make(Sketch { keeps_arguments, ..Sketch::of_text(length) })
    }

    fn length(&mut self, width: usize) -> Result<u64, String> {
        let mut length = [0; 8];
        self.reader.read_exact(&mut length[..width]).map_err(|error| cut(&error))?;
        Ok(u64::from_le_bytes(length))
    }

    fn skip(&mut self, length: u64) -> Result<(), String> {
        let skipped = io::copy(&mut self.reader.by_ref().take(length), &mut io::sink()).map_err(|error| cut(&error))?;
        if skipped == length { Ok(()) } else { Err(cut(&io::ErrorKind::UnexpectedEof.into())) }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| cut(&error))?;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(|error| cut(&error))?;
        match line.pop() {
            Some(b'\n') => Ok(line),
            _ => Err("its pickle has a line without an end".into()),
        }
    }
}

fn underflow() -> String {
    "its pickle removes more from its stack than it put there".into()
}

fn cut(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "its pickle ends before its STOP".into(),
        _ => format!("its pickle cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(pickle: &[u8]) -> Result<Last, String> {
        scan(&mut &pickle[..], &mut Allowance { values: 10_000, text: 100_000, names: 100_000 })
    }

    #[test]
    fn the_last_number_and_class_are_reported() {
        let last = scanned(b"\x80\x02K\x07ctorch\nFloatStorage\n\x86.").unwrap();
        assert_eq!((last.int, last.class.as_str()), (Some(7), "FloatStorage"));
    }

    #[test]
    fn values_copies_depth_text_and_names_have_an_end() {
        let refused = |pickle: Vec<u8>, part: &str| {
            let error = scanned(&pickle).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused([b"]".repeat(1100), b"a".repeat(1099), b".".to_vec()].concat(), "levels");
        refused([b"(".to_vec(), b"N".repeat(10_000), b"l.".to_vec()].concat(), "values");
        refused([b"]q\x00".to_vec(), b"h\x00h\x00\x86q\x00".repeat(30), b".".to_vec()].concat(), "values");
        let text = [b"X\x10\x27\x00\x00".to_vec(), vec![b'x'; 10_000], b"q\x00".to_vec()].concat();
        refused([text.clone(), b"h\x00".repeat(20), b".".to_vec()].concat(), "text");
        let listed = |count: usize| [b"(".to_vec(), b"N".repeat(count), b"ls.".to_vec()].concat();
        refused([b"}".to_vec(), text.clone(), listed(50)].concat(), "names");
        assert!(scanned(&[b"}".to_vec(), text, listed(5)].concat()).is_ok());
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for pickle in [&b""[..], b".", b"K", b"0", b"h\x01.", b"(.", b"X\xff\xff\xff\x7fab", b"cnever", b"\xff."] {
            assert!(scanned(pickle).is_err(), "{pickle:?}");
        }
    }
}
