//! Advice about an error, as data: the text names settings and actions, and a front end spells them.

use std::borrow::Cow;
use std::fmt;

/// What a user can do about an error or a warning.
///
/// Settings are named by their keys in braces, with a value if one is meant: `lower {train.lr}`, `{run.device=cpu} runs
/// without`. What is not a setting but something a front end offers is an action: `{@resume}`, `{@output=FILE}`.
/// `Display` spells both as they are; a command line spells them as its flags with [`Hint::spelled`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(Cow<'static, str>);

/// A name in a hint, with the value meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// A setting, by its key.
    Setting(&'a str, Option<&'a str>),
    /// Something that a front end offers beside the settings.
    Action(&'a str, Option<&'a str>),
}

impl Hint {
    /// A hint with this text, in which [`literal`] protects what did not come from the program.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Hint(text.into())
    }

    /// The text, each name of a setting or an action spelled by `spell`.
    pub fn spelled(&self, spell: impl Fn(Name<'_>) -> String) -> String {
        let mut spelled = String::new();
        let mut rest = &*self.0;
        while let Some(at) = rest.find(['{', '}']) {
            let (text, braces) = rest.split_at(at);
            spelled.push_str(text);
            rest = if let Some(after) = braces.strip_prefix("{{") {
                spelled.push('{');
                after
            } else if let Some(after) = braces.strip_prefix("}}") {
                spelled.push('}');
                after
            } else if let Some((name, after)) = braces[1..].split_once('}').filter(|_| braces.starts_with('{')) {
                spelled.push_str(&spell(Name::read(name)));
                after
            } else {
                spelled.push_str(&braces[..1]);
                &braces[1..]
            };
        }
        spelled + rest
    }
}

impl<'a> Name<'a> {
    fn read(text: &'a str) -> Self {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        match name.strip_prefix('@') {
            Some(action) => Name::Action(action, value),
            None => Name::Setting(name, value),
        }
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Setting(name, None) | Name::Action(name, None) => f.write_str(name),
            Name::Setting(key, Some(value)) => write!(f, "{key} = {value}"),
            Name::Action(action, Some(value)) => write!(f, "{action} {value}"),
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelled(|name| name.to_string()))
    }
}

impl From<&'static str> for Hint {
    fn from(text: &'static str) -> Self {
        Hint::new(text)
    }
}

impl From<String> for Hint {
    fn from(text: String) -> Self {
        Hint::new(text)
    }
}

/// A path, a name or a pattern of the user's, to be put into the text of a hint as it is.
pub fn literal(text: impl fmt::Display) -> String {
    text.to_string().replace('{', "{{").replace('}', "}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(name: Name<'_>) -> String {
        match name {
            Name::Setting(key, None) => format!("--{key}"),
            Name::Setting(key, Some(value)) => format!("--{key} {value}"),
            Name::Action(action, value) => {
                format!("<{action}{}>", value.map(|value| format!(" {value}")).unwrap_or_default())
            }
        }
    }

    #[test]
    fn names_are_spelled_by_the_front_end_and_plainly_without_one() {
        let hint = Hint::new("give {data.dir}, {run.device=cpu}, {@resume} or {@output=FILE}: done");
        assert_eq!(hint.to_string(), "give data.dir, run.device = cpu, resume or output FILE: done");
        assert_eq!(hint.spelled(flags), "give --data.dir, --run.device cpu, <resume> or <output FILE>: done");
    }

    #[test]
    fn text_of_the_user_stays_as_it_is() {
        for text in ["a{b}c", "{data.dir}", "}{", "{{}}", "{", "\u{e9}{\u{e9}}"] {
            let hint = Hint::new(format!("look into {}", literal(text)));
            assert_eq!(hint.spelled(flags), format!("look into {text}"));
        }
    }

    #[test]
    fn a_brace_without_its_partner_is_text() {
        assert_eq!(Hint::new("a } b { c").to_string(), "a } b { c");
    }
}
