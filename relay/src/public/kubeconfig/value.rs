//! Values of a kubeconfig as far as they are of interest: texts and switches; whatever else is there is only known to be.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::KubeconfigError;

/// One value.
#[derive(Default)]
pub(super) enum Value {
    /// Nothing, as if it were not there.
    #[default]
    Null,
    Text(String),
    Switch(bool),
    /// A number, a list or a mapping.
    Other,
}

impl Value {
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Switch(_) | Self::Other => None,
        }
    }
}

/// The fields of a cluster, a context or a user.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Fields(BTreeMap<String, Value>);

impl Fields {
    /// Whether a field says anything.
    pub(super) fn has(&self, name: &str) -> bool {
        !matches!(self.0.get(name), None | Some(Value::Null))
    }

    /// Whether a switch is on, or is something else than a switch.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.has(name) && !matches!(self.0.get(name), Some(Value::Switch(false)))
    }

    /// A field that must be a text if it is there; an empty one says nothing.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, KubeconfigError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(Value::Switch(_) | Value::Other) => Err(KubeconfigError::NotText(name)),
        }
    }

    /// Whether there are no fields but these.
    pub(super) fn only(&self, place: &'static str, known: &[&str]) -> Result<(), KubeconfigError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let field = name.chars().take(40).collect::<String>().escape_default().to_string();
                Err(KubeconfigError::UnknownField { place, field })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Switch(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}
