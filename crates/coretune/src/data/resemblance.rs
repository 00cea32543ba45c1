//! Names of classes that differ in nothing that a reader would see as a difference.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

/// The name without what two spellings of one name differ in: case, blanks, leading zeros of numbers, `+` before and `.0`
/// behind them, Unicode form.
pub(super) fn plain(name: &str) -> String {
    let plain = without_leading_zeros(name);
    let whole =
        plain.trim_end_matches('0').strip_suffix('.').filter(|whole| plain.ends_with('0') && is_in_number(whole));
    whole.map_or_else(|| plain.clone(), ToString::to_string)
}

fn without_leading_zeros(name: &str) -> String {
    let name = name.trim();
    let name = name
        .strip_prefix('+')
        .filter(|number| number.starts_with(|digit: char| digit.is_ascii_digit()))
        .unwrap_or(name);
    let folded = name.nfkc().flat_map(char::to_lowercase).nfkc().filter(|&letter| !is_blank(letter));
    let mut plain = String::with_capacity(name.len());
    let mut zeros = 0;
    for letter in folded {
        if letter == '0' && !is_in_number(&plain) {
            zeros += 1;
            continue;
        }
        if zeros > 0 && !letter.is_ascii_digit() {
            plain.push('0');
        }
        zeros = 0;
        plain.push(letter);
    }
    if zeros > 0 {
        plain.push('0');
    }
    plain
}

/// Whether a digit behind this one belongs to a number that has begun, decimals included.
fn is_in_number(before: &str) -> bool {
    before.trim_end_matches(['.', ',']).ends_with(|letter: char| letter.is_ascii_digit())
}

/// White space, and what is as invisible.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\u{200b}'..='\u{200d}' | '\u{feff}')
}

/// Two names as they are shown side by side: if they look alike on a screen, the letters that differ as code points,
/// `caf\u{e9}` and `cafe\u{301}`.
pub(super) fn told_apart(one: &str, other: &str) -> [String; 2] {
    let looks = |name: &str| name.nfkc().filter(|&letter| !is_blank(letter)).collect::<String>();
    if looks(one) != looks(other) {
        return [one, other].map(ToString::to_string);
    }
    let (letters, others): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let same = |pairs: &mut dyn Iterator<Item = (&char, &char)>| pairs.take_while(|(one, other)| one == other).count();
    let before = same(&mut letters.iter().zip(&others));
    let after = same(&mut letters[before..].iter().rev().zip(others[before..].iter().rev()));
    [letters, others].map(|letters| {
        let differs = before..letters.len() - after;
        let is_shown = |at: usize, letter: char| !differs.contains(&at) || letter.is_ascii();
        let shown = |(at, letter): (usize, char)| {
            if is_shown(at, letter) { letter.to_string() } else { letter.escape_unicode().to_string() }
        };
        letters.iter().copied().enumerate().map(shown).collect()
    })
}

/// The first of `names` that `name` resembles without being it.
pub(super) fn resembled<'a>(name: &str, names: &'a [String]) -> Option<&'a String> {
    let sought = plain(name);
    names.iter().find(|other| *other != name && plain(other) == sought)
}

/// Each name that resembles an earlier one, with that one.
pub(super) fn alike(names: &[String]) -> Vec<(&String, &String)> {
    let mut first: HashMap<String, &String> = HashMap::new();
    let mut alike = Vec::new();
    for name in names {
        match first.get(&plain(name)) {
            Some(earlier) => alike.push((name, *earlier)),
            None => {
                first.insert(plain(name), name);
            }
        }
    }
    alike
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_alike_but_for_case_blanks_leading_zeros_and_unicode_form() {
        for (one, other) in [
            ("cat", "Cat"),
            ("two words", "twowords "),
            ("1", "01"),
            ("class 7", "class007"),
            ("0", "00"),
            ("a0", "a00"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("dog", "dog\u{a0}"),
            ("\u{ff21}", "a"),
            ("STRASSE", "strasse"),
            ("no\u{200b}", "no"),
            ("1", "1.0"),
            ("0.0", "0"),
            ("10.00", "10"),
            ("+1", "1"),
            (" +01", "1.0"),
        ] {
            assert_eq!(plain(one), plain(other), "{one:?} {other:?}");
        }
        for (one, other) in [
            ("1.0", "10"),
            ("1.10", "1.1"),
            (".0", "0"),
            ("1", "10"),
            ("a0b", "ab"),
            ("100", "1"),
            ("a", "b"),
            ("-1", "1"),
            ("1.05", "1.5"),
            ("0", ""),
            ("+a", "a"),
            ("-1", "+1"),
        ] {
            assert_ne!(plain(one), plain(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn names_that_look_alike_are_shown_with_the_code_points_that_differ() {
        for (one, other, shown) in [
            ("caf\u{e9}s", "cafe\u{301}s", [r"caf\u{e9}s", r"cafe\u{301}s"]),
            ("dog\u{a0}", "dog", [r"dog\u{a0}", "dog"]),
            ("n\u{200b}o", "no", [r"n\u{200b}o", "no"]),
            ("\u{ff21}", "A", [r"\u{ff21}", "A"]),
            ("Dog ", "Dog", ["Dog ", "Dog"]),
            ("\u{e9}t\u{e9}", "\u{c9}t\u{e9}", ["été", "Été"]),
            ("01", "1", ["01", "1"]),
        ] {
            assert_eq!(told_apart(one, other), shown.map(String::from));
        }
    }

    #[test]
    fn the_name_that_is_resembled_is_found_and_a_name_does_not_resemble_itself() {
        let names = ["dog", "Cat", "cat", "1", "01"].map(String::from);
        assert_eq!(resembled("CAT", &names), Some(&names[1]));
        assert_eq!(resembled("dog", &names), None);
        assert_eq!(alike(&names), [(&names[2], &names[1]), (&names[4], &names[3])]);
    }
}
