//! Terminal geometry.

use serde::{Deserialize, Serialize};

/// A terminal's size in cells. Never zero, never absurd: a size from the wire is clamped when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u16, u16)", into = "(u16, u16)")]
pub struct TerminalSize {
    columns: u16,
    rows: u16,
}

impl TerminalSize {
    /// What a terminal has before anybody measured it.
    pub const DEFAULT: Self = Self { columns: 80, rows: 24 };

    /// The largest side that is passed on; terminal models allocate a cell for each position.
    pub const MAX_SIDE: u16 = 1_000;

    /// Clamps both sides to `1..=MAX_SIDE`.
    pub fn clamped(columns: u16, rows: u16) -> Self {
        Self { columns: columns.clamp(1, Self::MAX_SIDE), rows: rows.clamp(1, Self::MAX_SIDE) }
    }

    /// Width in cells.
    pub const fn columns(self) -> u16 {
        self.columns
    }

    /// Height in cells.
    pub const fn rows(self) -> u16 {
        self.rows
    }
}

impl From<(u16, u16)> for TerminalSize {
    fn from((columns, rows): (u16, u16)) -> Self {
        Self::clamped(columns, rows)
    }
}

impl From<TerminalSize> for (u16, u16) {
    fn from(size: TerminalSize) -> Self {
        (size.columns, size.rows)
    }
}
