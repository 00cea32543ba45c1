//! Types and ranges of values, for text of a command line and for TOML alike.

use std::fmt;

use toml::Value;

/// An interval of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Any finite number above the bound.
    Above(f64),
    /// Any finite number from the bound on.
    From(f64),
    /// From the first to the second, both included.
    Between(f64, f64),
    /// 0, or from the first to the second, both included.
    ZeroOrBetween(f64, f64),
    /// Above the first, up to and including the second.
    AboveUpTo(f64, f64),
    /// From the first, included, to the second, excluded.
    FromBelow(f64, f64),
}

impl Range {
    /// Whether `number` is finite and lies inside.
    pub fn contains(self, number: f64) -> bool {
        number.is_finite()
            && match self {
                Range::Above(low) => number > low,
                Range::From(low) => number >= low,
                Range::Between(low, high) => (low..=high).contains(&number),
                Range::ZeroOrBetween(low, high) => number == 0.0 || (low..=high).contains(&number),
                Range::AboveUpTo(low, high) => number > low && number <= high,
                Range::FromBelow(low, high) => (low..high).contains(&number),
            }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::Above(low) => write!(f, "a number above {low}"),
            Range::From(low) => write!(f, "a number, at least {low}"),
            Range::Between(low, high) => write!(f, "a number from {low} to {high}"),
            Range::ZeroOrBetween(low, high) => write!(f, "0, or a number from {low} to {high}"),
            Range::AboveUpTo(low, high) => write!(f, "a number above {low}, at most {high}"),
            Range::FromBelow(low, high) => write!(f, "a number, at least {low}, below {high}"),
        }
    }
}

/// What a setting holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text; help shows the word in its place.
    Text(&'static str),
    /// A path; help shows the word in its place.
    Path(&'static str),
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    Device,
    /// An amount of memory, such as `8GiB`.
    Memory,
    /// An integer from the first to the second, both included.
    Whole(i64, i64),
    /// A number.
    Number(Range),
    /// True or false.
    Switch,
    /// One of some names.
    Choice(fn() -> Vec<&'static str>),
    /// Three numbers, for red, green and blue.
    Colour(Range),
    /// Two integers from the first to the second, both included, in ascending order.
    Interval(i64, i64),
    /// Any number of texts.
    Texts(&'static str),
    /// Any number of integers from the first to the second, both included.
    Wholes(i64, i64),
    /// One number or more.
    Numbers(Range),
}

/// Why a value is refused; `found` describes the value given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another type.
    Type { found: String },
    /// The right type, outside the range.
    Range { found: String },
    /// A word that the setting does not take.
    Choice { word: String },
}

impl Kind {
    /// The word that help shows in place of a value.
    pub fn placeholder(self) -> &'static str {
        match self {
            Kind::Text(word) | Kind::Path(word) | Kind::Texts(word) => word,
            Kind::Device => "DEVICE",
            Kind::Memory => "SIZE",
            Kind::Whole(..) => "N",
            Kind::Number(_) => "X",
            Kind::Switch => "true|false",
            Kind::Choice(_) => "NAME",
            Kind::Colour(_) => "R,G,B",
            Kind::Wholes(..) => "N[,N]",
            Kind::Numbers(_) => "X[,X]",
            Kind::Interval(..) => "LOW,HIGH",
        }
    }

    /// Reads a value given as text: as a flag or in an assignment.
    ///
    /// Text that is TOML of the right type is read as TOML; everything else is a bare string, so that names and
    /// paths need no quotes.
    pub(crate) fn parse(self, text: &str) -> Value {
        let as_toml = || toml::from_str::<toml::Table>(&format!("value = {text}")).ok()?.remove("value");
        let bare = || Value::String(text.to_string());
        match self {
            Kind::Text(_) | Kind::Path(_) | Kind::Device | Kind::Memory | Kind::Choice(_) => match as_toml() {
                Some(quoted @ Value::String(_)) => quoted,
                _ => bare(),
            },
            Kind::Whole(..) | Kind::Switch => as_toml().unwrap_or_else(bare),
            Kind::Number(_) => as_toml().or_else(|| text.parse().ok().map(Value::Float)).unwrap_or_else(bare),
            Kind::Interval(..) if !text.contains(',') => bare(),
            Kind::Colour(_) | Kind::Interval(..) | Kind::Texts(_) | Kind::Wholes(..) | Kind::Numbers(_) => as_toml()
                .filter(Value::is_array)
                .unwrap_or_else(|| Value::Array(text.split(',').map(|part| self.parse_part(part.trim())).collect())),
        }
    }

    /// One element of a list given with commas.
    fn parse_part(self, text: &str) -> Value {
        let number = match self {
            Kind::Colour(_) | Kind::Numbers(_) => text.parse().ok().map(Value::Float),
            Kind::Interval(..) | Kind::Wholes(..) => text.parse().ok().map(Value::Integer),
            _ => None,
        };
        number.unwrap_or_else(|| Value::String(text.to_string()))
    }

    /// The value in its normal form (an integer given for a number becomes a float), or why it is refused.
    pub(crate) fn check(self, value: Value) -> Result<Value, Refusal> {
        match (self, value) {
            (Kind::Text(_) | Kind::Path(_), Value::String(text)) if text.is_empty() => {
                Err(Refusal::Range { found: "an empty string".into() })
            }
            (Kind::Text(_) | Kind::Path(_), value @ Value::String(_)) | (Kind::Switch, value @ Value::Boolean(_)) => {
                Ok(value)
            }
            (Kind::Device, Value::String(text)) => check_word(is_device(&text), text),
            (Kind::Memory, Value::String(text)) => check_word(bytes_of(&text).is_some(), text),
            (Kind::Whole(low, high), Value::Integer(number)) => {
                check_that((low..=high).contains(&number), Value::Integer(number))
            }
            (Kind::Number(range), Value::Integer(number)) => {
                check_that(range.contains(number as f64), Value::Float(number as f64))
            }
            (Kind::Number(range), Value::Float(number)) => check_that(range.contains(number), Value::Float(number)),
            (Kind::Choice(names), Value::String(name)) => check_word(names().contains(&name.as_str()), name),
            (Kind::Colour(range), Value::Array(parts)) if parts.len() == 3 => parts
                .into_iter()
                .map(|part| Kind::Number(range).check(part))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            (Kind::Interval(low, high), Value::Array(parts)) if parts.len() == 2 => match parts[..] {
                [Value::Integer(first), Value::Integer(second)] => {
                    check_that_interval(low <= first && first < second && second <= high, first, second)
                }
                _ => Err(Refusal::Type { found: "a list of other values".into() }),
            },
            (Kind::Texts(_), Value::Array(parts)) if parts.iter().all(Value::is_str) => Ok(Value::Array(parts)),
            (Kind::Wholes(low, high), Value::Array(parts)) => {
                let checked = parts.into_iter().map(|part| Kind::Whole(low, high).check(part));
                checked.collect::<Result<_, _>>().map(Value::Array)
            }
            (Kind::Numbers(range), Value::Array(parts)) if !parts.is_empty() => {
                let checked = parts.into_iter().map(|part| Kind::Number(range).check(part));
                checked.collect::<Result<_, _>>().map(Value::Array)
            }
            (_, other) => Err(Refusal::Type { found: describe(&other) }),
        }
    }

    /// What is accepted, as text.
    pub fn expected(self) -> String {
        match self {
            Kind::Text(_) | Kind::Path(_) => "a string".into(),
            Kind::Device => "auto, cpu, cuda or cuda:N".into(),
            Kind::Memory => "a number with KB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 8GiB".into(),
            Kind::Whole(low, i64::MAX) => format!("an integer, at least {low}"),
            Kind::Whole(low, high) => format!("an integer from {low} to {high}"),
            Kind::Number(range) => range.to_string(),
            Kind::Switch => "true or false".into(),
            Kind::Choice(names) => one_of(&names()),
            Kind::Colour(range) => format!("three numbers, each {range}"),
            Kind::Interval(low, high) => format!("two integers from {low} to {high}, the smaller one first"),
            Kind::Texts(_) => "a list of strings".into(),
            Kind::Wholes(low, high) => format!("integers from {low} to {high}"),
            Kind::Numbers(range) => format!("numbers, each {range}"),
        }
    }
}

fn check_that(accepted: bool, value: Value) -> Result<Value, Refusal> {
    if accepted { Ok(value) } else { Err(Refusal::Range { found: describe(&value) }) }
}

fn check_that_interval(accepted: bool, first: i64, second: i64) -> Result<Value, Refusal> {
    let found = format!("{first},{second}");
    if accepted { Ok(Value::Array(vec![first.into(), second.into()])) } else { Err(Refusal::Range { found }) }
}

fn check_word(accepted: bool, word: String) -> Result<Value, Refusal> {
    if accepted { Ok(Value::String(word)) } else { Err(Refusal::Choice { word }) }
}

/// `a, b or c`.
pub(crate) fn one_of(names: &[&str]) -> String {
    match names {
        [init @ .., last] if !init.is_empty() => format!("{} or {last}", init.join(", ")),
        names => names.join(""),
    }
}

fn is_device(text: &str) -> bool {
    matches!(text, "auto" | "cpu" | "cuda")
        || text.strip_prefix("cuda:").is_some_and(|index| index.parse::<u16>().is_ok())
}

/// The bytes of an amount of memory such as `8GiB` or `500 MB`, at least one.
pub(crate) fn bytes_of(text: &str) -> Option<u64> {
    let at = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let (base, prefix) = match unit.as_bytes() {
        [prefix, b'B'] => (1000u64, prefix),
        [prefix, b'i', b'B'] => (1024, prefix),
        _ => return None,
    };
    let power = 1 + b"KMGT".iter().position(|known| known == prefix)? as u32;
    let bytes = number.trim().parse::<f64>().ok()? * base.pow(power) as f64;
    (bytes.is_finite() && bytes >= 1.0).then_some(bytes as u64)
}

/// Type and value, as text.
fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the string {text:?}"),
        Value::Integer(number) => format!("the integer {number}"),
        Value::Float(number) => format!("the number {number}"),
        Value::Boolean(flag) => format!("{flag}"),
        Value::Array(parts) => format!("a list of {}", parts.len()),
        Value::Table(_) => "a table".into(),
        Value::Datetime(_) => "a date".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_command_line_becomes_the_type_of_the_setting() {
        assert_eq!(
            Kind::Number(Range::Above(0.0)).check(Kind::Number(Range::Above(0.0)).parse("1e-4")),
            Ok(Value::Float(1e-4))
        );
        assert_eq!(Kind::Number(Range::Above(0.0)).check(Value::Integer(3)), Ok(Value::Float(3.0)));
        assert_eq!(Kind::Text("NAME").parse("7"), Value::String("7".into()));
        assert_eq!(Kind::Path("DIR").parse("\"a b\""), Value::String("a b".into()));
        let colour = Kind::Colour(Range::Between(0.0, 1.0));
        let expected = Ok(Value::Array(vec![Value::Float(0.5), Value::Float(0.0), Value::Float(1.0)]));
        assert_eq!(colour.check(colour.parse("0.5, 0,1")), expected);
        assert_eq!(colour.check(colour.parse("[0.5, 0, 1]")), expected);
        let numbers = Kind::Wholes(0, 300);
        let expected = Ok(Value::Array(vec![Value::Integer(11), Value::Integer(300)]));
        assert_eq!(numbers.check(numbers.parse("11,300")), expected);
        assert_eq!(numbers.check(numbers.parse("11")), Ok(Value::Array(vec![Value::Integer(11)])));
        assert!(numbers.check(numbers.parse("11,301")).is_err() && numbers.check(numbers.parse("void")).is_err());
        let scales = Kind::Numbers(Range::Between(0.1, 4.0));
        let expected = Ok(Value::Array(vec![Value::Float(0.5), Value::Float(1.0)]));
        assert_eq!(scales.check(scales.parse("0.5,1")), expected);
        assert_eq!(scales.check(scales.parse("1")), Ok(Value::Array(vec![Value::Float(1.0)])));
        assert!(["0.5,5", "[]", "1,x", ""].iter().all(|bad| scales.check(scales.parse(bad)).is_err()));
        let interval = Kind::Interval(0, 65_535);
        let expected = Ok(Value::Array(vec![Value::Integer(0), Value::Integer(4095)]));
        assert_eq!(interval.check(interval.parse("0,4095")), expected);
        assert_eq!(interval.check(interval.parse("[0, 4095]")), expected);
        assert_eq!(interval.parse("auto"), Value::String("auto".into()));
        for bad in ["5,5", "9,3", "0,70000", "-1,3", "7", "1,2,3", "a,b", "0.5,3"] {
            assert!(interval.check(interval.parse(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn bounds_are_kept_and_nan_and_infinity_are_refused() {
        assert!(!Range::Above(0.0).contains(0.0));
        assert!(Range::From(0.0).contains(0.0));
        assert!(Range::AboveUpTo(0.0, 1.0).contains(1.0));
        assert!(!Range::FromBelow(0.0, 1.0).contains(1.0));
        assert!(!Range::From(0.0).contains(f64::NAN));
        assert!(!Range::From(0.0).contains(f64::INFINITY));
    }

    #[test]
    fn amounts_of_memory_have_units() {
        for (text, bytes) in [("8GiB", 8 << 30), ("1.5 MB", 1_500_000), ("2KiB", 2048), ("3TB", 3_000_000_000_000)] {
            assert_eq!(bytes_of(text), Some(bytes), "{text}");
        }
        for bad in ["8", "8G", "GiB", "-1GB", "0KB", "nanGB", "1e400GB", "8 bytes", ""] {
            assert_eq!(bytes_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn devices_are_named_as_in_torch() {
        for good in ["auto", "cpu", "cuda", "cuda:0", "cuda:7"] {
            assert!(is_device(good), "{good}");
        }
        for bad in ["gpu", "cuda:", "cuda:-1", "cuda:x", ""] {
            assert!(!is_device(bad), "{bad}");
        }
    }
}
