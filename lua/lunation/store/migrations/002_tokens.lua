--- What the authorization server keeps. Codes and browsers' cookies stand here only as hashes, private keys sealed.

return {
  -- The newest signs; the older ones verify what they signed.
  [[CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    public_key TEXT NOT NULL,
    private_key TEXT NOT NULL,
    created REAL NOT NULL
  )]],

  -- What a user allowed an app once. generation: how often its refresh token was rotated. The ids are never used again,
  -- because the tokens out there name them.
  [[CREATE TABLE grants (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    generation INTEGER NOT NULL,
    rotated REAL,
    revoked REAL,
    created REAL NOT NULL
  )]],
  "CREATE INDEX grants_user ON grants (user_id, app)",

  -- grant_id: what the code was exchanged for; it stays for a while, so that a second use is noticed.
  [[CREATE TABLE codes (
    hash TEXT PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    challenge TEXT,
    grant_id INTEGER,
    expires REAL NOT NULL
  )]],
  "CREATE INDEX codes_expires ON codes (expires)",

  -- A browser on its way through the pages. The user comes to be only with an account: anybody can open the first page.
  [[CREATE TABLE authorizations (
    id TEXT PRIMARY KEY,
    browser TEXT NOT NULL,
    app TEXT NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    data TEXT NOT NULL,
    finished REAL,
    expires REAL NOT NULL
  )]],
  "CREATE INDEX authorizations_expires ON authorizations (expires)",

  -- Browsers that have shown an account's credentials.
  [[CREATE TABLE browser_accounts (
    browser TEXT NOT NULL,
    account INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    created REAL NOT NULL,
    PRIMARY KEY (browser, account)
  )]],

  -- Attempts at what a stranger may guess, by window of time.
  [[CREATE TABLE attempts (
    name TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    resets REAL NOT NULL
  )]],
  "CREATE INDEX attempts_resets ON attempts (resets)",
}
