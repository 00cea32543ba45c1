//! `auto` or `off` in place of a value, for fields of type `Option`: `#[serde(with = "auto")]`.
//!
//! TOML has no null, and a layer must be able to take back what a lower layer set; so "no value" is a word.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares the serde module for one word.
macro_rules! word {
    ($name:ident, $about:literal) => {
        #[doc = $about]
        pub(crate) mod $name {
            use super::{Deserialize, DeserializeOwned, Deserializer, Serialize, Serializer};

            #[allow(clippy::ref_option, reason = "serde hands a field over by reference")]
            pub(crate) fn serialize<T: Serialize, S: Serializer>(
                value: &Option<T>,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                match value {
                    Some(value) => value.serialize(serializer),
                    None => serializer.serialize_str(stringify!($name)),
                }
            }

            pub(crate) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<T>, D::Error> {
                let value = toml::Value::deserialize(deserializer)?;
                if value.as_str() == Some(stringify!($name)) {
                    return Ok(None);
                }
                T::deserialize(value).map(Some).map_err(serde::de::Error::custom)
            }
        }
    };
}

word!(auto, "`auto`: the checkpoint, the data or the machine decides.");
word!(off, "`off`: none.");
word!(custom, "`custom`: none of the table; the program brings its own.");
