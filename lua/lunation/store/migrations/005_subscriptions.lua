--- Subscriptions to the notices of services that send some.

return {
  -- id is ours, remote the service's; the token is kept as its hash. A row stands before the service is asked, because its
  -- first notice may come before its answer. state: asked, active, refused (not asked again before renew_at).
  [[CREATE TABLE subscriptions (
    id TEXT PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    calendar INTEGER REFERENCES calendars(key) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    state TEXT NOT NULL,
    remote TEXT,
    resource TEXT,
    token TEXT NOT NULL,
    url TEXT NOT NULL,
    data TEXT NOT NULL,
    error TEXT,
    expires REAL,
    renew_at REAL NOT NULL,
    created REAL NOT NULL
  )]],
  "CREATE INDEX subscriptions_account ON subscriptions (account, calendar)",
  "CREATE INDEX subscriptions_remote ON subscriptions (provider, remote)",
  "CREATE INDEX subscriptions_due ON subscriptions (renew_at)",
}
