--- Imports of calendar files and what each has changed, so that it can be undone. The ids are never used again: people
--- note them.

return {
  [[CREATE TABLE imports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    calendar INTEGER NOT NULL REFERENCES calendars(key) ON DELETE CASCADE,
    source TEXT NOT NULL,
    created REAL NOT NULL,
    undone REAL
  )]],
  "CREATE INDEX imports_calendar ON imports (calendar)",

  -- before: the canonical event as it was, nothing where the import made it. revision: of the mirror's row after the
  -- import; another one later says that somebody has changed the event since.
  [[CREATE TABLE import_items (
    import INTEGER NOT NULL REFERENCES imports(id) ON DELETE CASCADE,
    event TEXT NOT NULL,
    revision INTEGER,
    before TEXT,
    PRIMARY KEY (import, event)
  ) WITHOUT ROWID]],
}
