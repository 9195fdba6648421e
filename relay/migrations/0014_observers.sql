-- What a ticket is for, and so what whoever came by it does: 'attach' to type, or 'observe' to look on. It never changes.
ALTER TABLE tickets ADD COLUMN purpose TEXT NOT NULL DEFAULT 'attach' CHECK (purpose IN ('attach', 'observe'));
ALTER TABLE viewers ADD COLUMN purpose TEXT NOT NULL DEFAULT 'attach' CHECK (purpose IN ('attach', 'observe'));
