//! Choices between names: an enum whose variants are spelled once, for users and for the code.

/// Declares an enum and the words of its variants, as they stand in a configuration.
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
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The variant of a word.
            pub fn named(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

pub(crate) use choice;
