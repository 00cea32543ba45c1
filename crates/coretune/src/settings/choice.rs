//! Choices between names: an enum whose variants are spelled once, for users and for the code.

use thiserror::Error;

use super::kind::one_of;

/// A word that is not one of a choice.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{found}` is not {}", one_of(known))]
pub struct UnknownWord {
    /// The word given.
    pub found: String,
    /// The words of the choice.
    pub known: Vec<&'static str>,
}

/// Declares an enum and the words of its variants, as they are in a configuration.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every variant, in the order in which they are listed to users.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The words of all variants, in that order.
            pub fn names() -> Vec<&'static str> {
                vec![$($text),+]
            }

            /// The word of this variant.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::settings::UnknownWord;

            fn from_str(word: &str) -> Result<Self, $crate::settings::UnknownWord> {
                match word {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::settings::UnknownWord { found: word.into(), known: Self::names() }),
                }
            }
        }
    };
}

pub(crate) use choice;
