//! Lists come in pages: a cursor names the last item of the page before.

use std::str::FromStr;

use uuid::Uuid;

/// Where a list goes on. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub(super) Uuid);

/// A text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that this relay gave out")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        if text.len() == 32 { Uuid::try_parse(text).map(Self).map_err(|_| InvalidCursor) } else { Err(InvalidCursor) }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    after: Option<Cursor>,
    items: u16,
}

impl PageRequest {
    /// The most that one page holds.
    pub const MAX_ITEMS: u16 = 200;

    /// What a page holds unless asked otherwise.
    pub const DEFAULT_ITEMS: u16 = 50;

    /// A page after `after` of `items` items, clamped to `1..=MAX_ITEMS`.
    pub fn new(after: Option<Cursor>, items: u16) -> Self {
        Self { after, items: items.clamp(1, Self::MAX_ITEMS) }
    }

    pub(super) fn after(self) -> Option<Uuid> {
        self.after.map(|cursor| cursor.0)
    }

    /// One more than the page holds: the extra row tells whether there is another page.
    pub(super) fn limit(self) -> i64 {
        i64::from(self.items) + 1
    }

    /// Makes a page of the rows that [`Self::limit`] let through.
    pub(super) fn page<T>(self, mut items: Vec<T>, id: impl Fn(&T) -> Uuid) -> Page<T> {
        let more = items.len() > usize::from(self.items);
        items.truncate(usize::from(self.items));
        let next = if more { items.last().map(|item| Cursor(id(item))) } else { None };
        Page { items, next }
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::new(None, Self::DEFAULT_ITEMS)
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<Cursor>,
}
