--- What providers with windows, odd answers and OAuth need.

return {
  -- The span that the mirror covers, seconds since the epoch; NULL: all of it.
  "ALTER TABLE calendars ADD COLUMN covers_from INTEGER",
  "ALTER TABLE calendars ADD COLUMN covers_to INTEGER",
  -- Asked before every read: the row itself, with its sync state, is not looked at.
  "CREATE INDEX calendars_covers ON calendars (account, covers_from, covers_to) WHERE covers_from IS NOT NULL",

  -- What a provider gave and nobody could read, kept until it can be read or is gone.
  [[CREATE TABLE unreadable (
    calendar INTEGER NOT NULL REFERENCES calendars(key) ON DELETE CASCADE,
    id TEXT NOT NULL,
    error TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (calendar, id)
  ) WITHOUT ROWID]],

  -- People on their way to a provider and back. state is kept as its hash, the verifier sealed; a row is taken out once.
  [[CREATE TABLE connecting (
    state TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    user_id INTEGER REFERENCES users(id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    verifier BLOB NOT NULL,
    redirect_uri TEXT NOT NULL,
    data TEXT NOT NULL,
    expires REAL NOT NULL
  )]],
  "CREATE INDEX connecting_expires ON connecting (expires)",
}
