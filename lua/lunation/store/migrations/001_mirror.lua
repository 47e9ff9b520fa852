--- Apps, users, accounts, the mirror of their calendars, and the work on it: intents, leases, jobs, changes.
--
-- Times are seconds since the Unix epoch (REAL where fractions matter); columns named after a JSON value hold its text.

return {
  [[CREATE TABLE apps (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    secret TEXT,
    redirect_uris TEXT NOT NULL,
    webhook_url TEXT,
    trusted_origins TEXT NOT NULL,
    branding TEXT NOT NULL,
    created REAL NOT NULL
  )]],

  [[CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    created REAL NOT NULL,
    UNIQUE (app, name)
  )]],

  -- credentials: AES-256-GCM, the account's id is the additional data, so that a row copied onto another is refused.
  [[CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    identity TEXT NOT NULL,
    name TEXT,
    url TEXT,
    username TEXT,
    scope TEXT,
    status TEXT NOT NULL,
    status_at REAL,
    settings TEXT NOT NULL,
    credentials BLOB,
    synced_at REAL,
    calendars_at REAL,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_at REAL,
    error TEXT,
    created REAL NOT NULL,
    UNIQUE (user_id, provider, identity)
  )]],
  "CREATE INDEX accounts_app ON accounts (app)",

  -- seq: the last change number given to an event of the calendar. pruned: tombstones up to this number are gone.
  -- epoch: the last write of our own; a batch fetched before a write does not overwrite its row.
  [[CREATE TABLE calendars (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    position INTEGER NOT NULL,
    seq INTEGER NOT NULL DEFAULT 0,
    pruned INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0,
    state_version INTEGER NOT NULL DEFAULT 0,
    state TEXT,
    synced_at REAL,
    error TEXT,
    calendar TEXT NOT NULL,
    UNIQUE (account, id)
  )]],

  -- start and finish are the span of the whole series; finish is NULL where it never ends. The two JSON columns stand
  -- last, so that a scan over the others does not read their pages.
  [[CREATE TABLE events (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    calendar INTEGER NOT NULL REFERENCES calendars(key) ON DELETE CASCADE,
    id TEXT NOT NULL,
    uid TEXT,
    etag TEXT,
    schedule_tag TEXT,
    seq INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    start INTEGER,
    finish INTEGER,
    recurring INTEGER NOT NULL,
    digest TEXT NOT NULL,
    event TEXT NOT NULL,
    original TEXT,
    UNIQUE (calendar, id)
  )]],
  "CREATE UNIQUE INDEX events_seq ON events (calendar, seq)",
  "CREATE INDEX events_window ON events (calendar, recurring, start, finish)",
  "CREATE INDEX events_uid ON events (calendar, uid)",

  [[CREATE TABLE tombstones (
    calendar INTEGER NOT NULL REFERENCES calendars(key) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id TEXT NOT NULL,
    uid TEXT,
    epoch INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (calendar, seq)
  )]],
  "CREATE INDEX tombstones_id ON tombstones (calendar, id)",
  "CREATE INDEX tombstones_at ON tombstones (at)",

  -- What a full listing that comes in several batches has named so far; what is not in it at the end is gone.
  [[CREATE TABLE listings (
    calendar INTEGER NOT NULL REFERENCES calendars(key) ON DELETE CASCADE,
    run TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (calendar, run, id)
  )]],

  -- fence grows with every holder and outlives them all: a write that names an old one is refused.
  [[CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT,
    fence INTEGER NOT NULL,
    expires REAL NOT NULL
  )]],

  -- One open intent per event: writes to the same event follow one another, and recovery stands before the next write.
  [[CREATE TABLE intents (
    id TEXT PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    calendar INTEGER NOT NULL REFERENCES calendars(key) ON DELETE CASCADE,
    event TEXT NOT NULL,
    kind TEXT NOT NULL,
    direction TEXT NOT NULL,
    step INTEGER NOT NULL,
    plan TEXT NOT NULL,
    holder TEXT,
    fence INTEGER NOT NULL,
    expires REAL NOT NULL,
    created REAL NOT NULL,
    UNIQUE (calendar, event)
  )]],
  "CREATE INDEX intents_account ON intents (account)",

  [[CREATE TABLE idempotency (
    app TEXT NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    holder TEXT,
    answer TEXT,
    expires REAL NOT NULL,
    PRIMARY KEY (app, user_id, route, key)
  )]],
  "CREATE INDEX idempotency_expires ON idempotency (expires)",

  -- key: at most one job of a kind and key; a schedule is a job that is put back when it has run.
  [[CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    run_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    holder TEXT,
    fence INTEGER NOT NULL DEFAULT 0,
    expires REAL,
    error TEXT,
    created REAL NOT NULL,
    UNIQUE (kind, key)
  )]],
  "CREATE INDEX jobs_due ON jobs (state, run_at)",

  -- The feed that hooks read, each from its own position. An account that is removed leaves its last word here. Changes
  -- that are of no event have no calendar and no event_id, and say under `event` what they are about.
  [[CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    calendar INTEGER,
    kind TEXT NOT NULL,
    event_id TEXT,
    origin TEXT NOT NULL,
    at REAL NOT NULL,
    event TEXT NOT NULL
  )]],
  "CREATE INDEX changes_at ON changes (at)",
  [[CREATE TABLE consumers (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    seen_at REAL NOT NULL
  )]],
}
