--- The migrations of the store in the order in which they are applied.
--
-- A migration is never edited once released: what it made stands in stores out there. The next change is the next
-- number. Each file returns an array of SQL statements, written with SQLite's names of types (INTEGER of 64 bits, REAL,
-- BLOB, INTEGER PRIMARY KEY AUTOINCREMENT), for which a connection to another database puts its own; what only one of
-- them understands is named in `sqlite` or `postgres` beside the array part.

---@class lunation.store.Migration
---@field version integer
---@field name string

---@type lunation.store.Migration[]
return {
  { version = 1, name = "001_mirror" },
  { version = 2, name = "002_tokens" },
  { version = 3, name = "003_imports" },
  { version = 4, name = "004_providers" },
  { version = 5, name = "005_subscriptions" },
  { version = 6, name = "006_mappings" },
}
