//! From columns to the domain's types: whatever does not parse is [`StoreError::Corrupt`], never a panic or a guess.

use std::str::FromStr;
use std::time::Duration;

use super::StoreError;
use crate::clock::UnixMillis;
use crate::domain::agent::PublicKeySha256;

pub(super) fn parse<T: FromStr>(column: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt(column))
}

pub(super) fn known<T>(column: &'static str, value: Option<T>) -> Result<T, StoreError> {
    value.ok_or(StoreError::Corrupt(column))
}

pub(super) fn number<T: TryFrom<i64>>(column: &'static str, value: i64) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Corrupt(column))
}

pub(super) fn public_key(bytes: &[u8]) -> Result<PublicKeySha256, StoreError> {
    bytes.try_into().map(PublicKeySha256).map_err(|_| StoreError::Corrupt("a public key"))
}

pub(super) fn time(millis: Option<i64>) -> Option<UnixMillis> {
    millis.map(UnixMillis::new)
}

pub(super) fn duration(column: &'static str, millis: i64) -> Result<Duration, StoreError> {
    number(column, millis).map(Duration::from_millis)
}

/// A length of time as its column.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
