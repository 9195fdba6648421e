//! Lists come in pages: a cursor names the last item of the page before.

use std::str::FromStr;

use uuid::Uuid;

use super::StoreError;

/// Which list a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// The operator's list of organisations.
    Organisations,
    /// Clusters.
    Clusters,
    /// Agents.
    Agents,
    /// Sessions.
    Sessions,
    /// Access rules.
    AccessRules,
    /// Requests for access.
    AccessRequests,
    /// The people of an organisation.
    People,
    /// Groups.
    Groups,
    /// The people of a group.
    GroupMembers,
    /// Invitations.
    Invitations,
    /// Logins and API tokens.
    Logins,
}

impl List {
    const ALL: [Self; 11] = [
        Self::Organisations,
        Self::Clusters,
        Self::Agents,
        Self::Sessions,
        Self::AccessRules,
        Self::AccessRequests,
        Self::People,
        Self::Groups,
        Self::GroupMembers,
        Self::Invitations,
        Self::Logins,
    ];

    const fn letter(self) -> char {
        match self {
            Self::Organisations => 'o',
            Self::Clusters => 'c',
            Self::Agents => 'a',
            Self::Sessions => 's',
            Self::AccessRules => 'r',
            Self::AccessRequests => 'q',
            Self::People => 'p',
            Self::Groups => 'g',
            Self::GroupMembers => 'm',
            Self::Invitations => 'i',
            Self::Logins => 'l',
        }
    }
}

/// Where a list goes on. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    list: List,
    item: Uuid,
}

impl Cursor {
    /// Which list gave it out.
    pub const fn list(self) -> List {
        self.list
    }
}

/// A text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that this list gave out")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let letter = text.chars().next().ok_or(InvalidCursor)?;
        let list = List::ALL.into_iter().find(|list| list.letter() == letter).ok_or(InvalidCursor)?;
        let item = text.strip_prefix(letter).filter(|item| item.len() == 32).ok_or(InvalidCursor)?;
        Uuid::try_parse(item).map(|item| Self { list, item }).map_err(|_| InvalidCursor)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.list.letter(), self.item.simple())
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
        self.after.map(|cursor| cursor.item)
    }

    /// One more than the page holds: the extra row tells whether there is another page.
    pub(super) fn limit(self) -> i64 {
        i64::from(self.items) + 1
    }

    /// Makes a page of the rows of `list` that [`Self::limit`] let through.
    pub(super) fn read<R, T>(
        self,
        list: List,
        rows: Vec<R>,
        item: impl Fn(R) -> Result<T, StoreError>,
        id: impl Fn(&T) -> Uuid,
    ) -> Result<Page<T>, StoreError> {
        let items = rows.into_iter().map(item).collect::<Result<_, _>>()?;
        Ok(self.page(list, items, id))
    }

    /// The same for items that were read already.
    pub(super) fn page<T>(self, list: List, mut items: Vec<T>, id: impl Fn(&T) -> Uuid) -> Page<T> {
        let more = items.len() > usize::from(self.items);
        items.truncate(usize::from(self.items));
        let next = if more { items.last().map(|item| Cursor { list, item: id(item) }) } else { None };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_remembers_its_list() {
        for list in List::ALL {
            let cursor = Cursor { list, item: Uuid::from_u128(7) };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for bad in ["", "s", "x00000000000000000000000000000007", "00000000000000000000000000000007", "ß", "s-7"] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad:?}");
        }
    }
}
