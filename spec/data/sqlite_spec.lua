-- SQLite: values as they were, statements that may be used twice at once, transactions, busy databases, backups.
local json = require("lunation.json")
local sqlite = require("lunation.sqlite")
local support = require("spec.support")
local timer = require("lunation.timer")

describe("lunation.sqlite", function()
  local folder, path, db

  before_each(function()
    folder = support.tmpdir()
    path = folder .. "/test.db"
    db = assert(sqlite.open(path))
    assert(db:exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, value)"))
    assert(db:exec("CREATE TABLE child (t INTEGER NOT NULL REFERENCES t(id));"))
  end)

  after_each(function()
    db:close()
    support.remove(folder)
  end)

  it("opens in WAL mode, durable enough, for its owner only", function()
    assert.equal("wal", db:value("PRAGMA journal_mode"))
    assert.equal(1, db:value("PRAGMA synchronous"))
    assert.equal(1, db:value("PRAGMA foreign_keys"))
    assert.equal(0, db:value("PRAGMA busy_timeout"))
    local pipe = assert(io.popen("stat -c %a " .. path .. " " .. path .. "-wal"))
    assert.equal("600\n600\n", pipe:read("a"))
    pipe:close()
  end)

  it("gives back values as they were", function()
    local values = { 0, 1, -1, math.maxinteger, math.mininteger, 1700000000123456, 0.5, -1e300, 2.0, "", "text", "Zürich", "with\0zero", "1" }
    for _ = 1, 200 do
      values[#values + 1] = math.random(0)
      values[#values + 1] = string.unpack("<d", string.pack("<I8", math.random(0) & 0x7fefffffffffffff))
      values[#values + 1] = utf8.char(math.random(1, 0xd7ff)):rep(math.random(0, 9))
    end
    local insert, select = db:prepare("INSERT INTO t (value) VALUES (?)"), db:prepare("SELECT value FROM t WHERE id = ?")
    db:transaction(function()
      for _, value in ipairs(values) do
        assert.equal(1, insert:run(value))
        local back = select:value(db:last_insert_rowid())
        assert.equal(value, back)
        assert.equal(math.type(value), math.type(back))
      end
    end)
    assert.equal(#values, db:value("SELECT count(*) FROM t"))
  end)

  it("stores nil, null, booleans and blobs", function()
    local cases = {
      { "null" }, { "null", json.null }, { "integer", true }, { "text", "x" }, { "blob", sqlite.blob("\0\255") }, { "blob", sqlite.blob("") },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[1], db:value("SELECT typeof(?)", case[2]))
    end
    assert.equal("\0\255", db:value("SELECT ?", sqlite.blob("\0\255")))
    assert.equal("", db:value("SELECT ?", sqlite.blob("")))
    assert.same({ 1, 0 }, { db:value("SELECT ?", true), db:value("SELECT ?", false) })
  end)

  it("takes values by place or by name", function()
    assert.equal(1, db:run("INSERT INTO t (id, name, value) VALUES (:id, :name, @value)", { id = 7, name = "n", value = 1.5, other = 1 }))
    assert.same({ id = 7, name = "n", value = 1.5 }, db:row("SELECT * FROM t WHERE id = ? AND name = ?", 7, "n"))
    assert.same({ id = 7 }, db:row("SELECT id, NULL AS name FROM t"))
    assert.is_nil(db:row("SELECT * FROM t WHERE id = 8"))
    assert.is_nil(db:value("SELECT id FROM t WHERE id = 8"))
    assert.same({}, db:all("SELECT * FROM t WHERE id = 8"))
  end)

  it("raises for what only a programmer can get wrong", function()
    assert.error_matches(function() db:prepare("SELEKT 1") end, "near \"SELEKT\": syntax error")
    assert.error_matches(function() db:prepare("SELECT x FROM t") end, "no such column: x")
    assert.error_matches(function() db:prepare('SELECT "nocolumn" FROM t') end, "no such column")
    assert.error_matches(function() db:prepare("SELECT 1; SELECT 2") end, "more than one statement")
    assert.error_matches(function() db:prepare(" ") end, "no statement")
    assert.error_matches(function() db:all("SELECT ?") end, "takes 1 values, 0 were given")
    assert.error_matches(function() db:all("SELECT ?", 1, 2) end, "takes 1 values, 2 were given")
    assert.error_matches(function() db:all("SELECT ?, ?", 1, print) end, "value 2 is of a type")
    assert.equal(3, db:value("SELECT ? + ?", 1, 2))
  end)

  it("counts changes and gives rows of RETURNING", function()
    assert.equal(3, db:run("INSERT INTO t (name) VALUES ('a'), ('b'), ('c')"))
    assert.equal(2, db:run("UPDATE t SET value = 1 WHERE name <> 'a'"))
    assert.equal(0, db:run("UPDATE t SET value = 1 WHERE name = 'x'"))
    assert.equal(0, db:run("CREATE TABLE u (x)"))
    assert.same({ { id = 1 }, { id = 2 }, { id = 3 } }, db:all("UPDATE t SET value = 2 RETURNING id"))
    assert.equal(4, db:value("INSERT INTO t (name) VALUES ('d') RETURNING id"))
    assert.equal(4, db:last_insert_rowid())
  end)

  it("names the constraint", function()
    db:run("INSERT INTO t (id, name) VALUES (1, 'a')")
    local cases = {
      { "INSERT INTO t (name) VALUES ('a')", "unique" }, { "INSERT INTO t (id) VALUES (1)", "primary_key" },
      { "INSERT INTO child (t) VALUES (9)", "foreign_key" }, { "INSERT INTO child (t) VALUES (NULL)", "not_null" },
    }
    for _, case in ipairs(cases) do
      local ok, err = db:run(case[1])
      assert.is_nil(ok)
      assert.same({ "constraint", case[2] }, { err.code, err.constraint })
    end
    local _, err = db:run(cases[1][1])
    assert.equal("SQLite: UNIQUE constraint failed: t.name", tostring(err))
    assert.equal(2067, err.sqlite)
  end)

  describe("iterators", function()
    before_each(function()
      db:run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO t (id, name) SELECT i, 'n' || i FROM n")
    end)

    it("run beside each other on the same text", function()
      local st = db:prepare("SELECT id FROM t WHERE id <= ? ORDER BY id")
      local pairs_seen = 0
      for a in st:each(10) do
        for b in st:each(5) do
          pairs_seen = pairs_seen + 1
          assert.is_true(a.id <= 10 and b.id <= 5)
        end
        assert.equal(3, #st:all(3))
      end
      assert.equal(50, pairs_seen)
    end)

    it("keep their values after their strings are gone", function()
      local next_row, cursor, _, closing = db:prepare("SELECT id FROM t WHERE name > ? ORDER BY id"):each("n" .. tostring(9) .. "0")
      collectgarbage()
      local n = 0
      while next_row(cursor) do n = n + 1 end
      assert.equal(9, n)
      getmetatable(closing).__close(closing)
      assert.is_nil(next_row(cursor))
    end)

    it("let go of the database when the loop is left", function()
      for row in db:each("SELECT id FROM t") do
        if row.id == 2 then break end
      end
      assert.equal(0, (select(2, db:checkpoint("truncate"))))
    end)

    it("say so when the database is closed under them", function()
      local next_row, cursor = db:each("SELECT id FROM t")
      next_row(cursor)
      db:close()
      assert.error_matches(function() next_row(cursor) end, "closed while it was read")
      cursor = nil
      collectgarbage()
    end)

    it("see a changed schema", function()
      local st = db:prepare("SELECT * FROM t WHERE id = 1")
      assert.same({ id = 1, name = "n1" }, st:row())
      db:exec("ALTER TABLE t ADD COLUMN extra DEFAULT 5; ALTER TABLE t RENAME COLUMN name TO title")
      assert.same({ id = 1, title = "n1", extra = 5 }, st:row())
    end)
  end)

  describe("transaction", function()
    local function count()
      return db:value("SELECT count(*) FROM t")
    end

    it("commits what returns", function()
      assert.same({ "a", nil, "c", n = 3 }, table.pack(db:transaction(function(x, y)
        db:run("INSERT INTO t (name) VALUES (?)", x)
        assert.is_true(db:in_transaction())
        return x, nil, y
      end, "a", "c")))
      assert.is_false(db:in_transaction())
      assert.equal(1, count())
    end)

    it("commits where nothing is returned, or nil alone", function()
      db:transaction(function() db:run("INSERT INTO t (name) VALUES ('a')") end)
      db:transaction(function()
        db:run("INSERT INTO t (name) VALUES ('b')")
        return nil
      end)
      assert.equal(2, count())
    end)

    it("rolls back on an error and on nil, err", function()
      local problem = { code = "conflict" }
      local ok, raised = pcall(db.transaction, db, function()
        db:run("INSERT INTO t (name) VALUES ('a')")
        error(problem)
      end)
      assert.is_false(ok)
      assert.equal(problem, raised)
      local result, err = db:transaction(function()
        db:run("INSERT INTO t (name) VALUES ('a')")
        return nil, problem
      end)
      assert.is_nil(result)
      assert.equal(problem, err)
      assert.equal(0, count())
    end)

    it("nests as a savepoint", function()
      db:transaction(function()
        db:run("INSERT INTO t (name) VALUES ('a')")
        db:transaction(function()
          db:run("INSERT INTO t (name) VALUES ('b')")
          return nil, "no"
        end)
        db:transaction(function() db:run("INSERT INTO t (name) VALUES ('c')") end)
      end)
      assert.same({ { name = "a" }, { name = "c" } }, db:all("SELECT name FROM t ORDER BY id"))
    end)

    it("refuses to wait inside, and is rolled back", function()
      local ok, raised = pcall(db.transaction, db, function()
        db:run("INSERT INTO t (name) VALUES ('a')")
        timer.sleep(0.001)
      end)
      assert.is_false(ok)
      assert.matches("transaction", tostring(raised))
      assert.equal(0, count())
      local co = coroutine.wrap(function()
        return pcall(db.transaction, db, function()
          db:run("INSERT INTO t (name) VALUES ('a')")
          coroutine.yield()
        end)
      end)
      ok, raised = co()
      assert.is_false(ok)
      assert.matches("yield", tostring(raised))
      assert.equal(0, count())
      timer.sleep(0.001)
    end)

    it("is not closed from inside", function()
      assert.error_matches(function() db:transaction(function() db:close() end) end, "inside a transaction")
      assert.equal(0, count())
    end)
  end)

  it("says busy at once while another connection writes", function()
    local other = assert(sqlite.open(path))
    db:transaction(function()
      db:run("INSERT INTO t (name) VALUES ('a')")
      local started = timer.now()
      local ok, err = other:transaction(function() end)
      assert.is_nil(ok)
      assert.equal("busy", err.code)
      ok, err = other:run("DELETE FROM t")
      assert.is_nil(ok)
      assert.equal("busy", err.code)
      assert.equal(0, other:value("SELECT count(*) FROM t"))
      assert.is_true(timer.now() - started < 1)
    end)
    assert.equal(1, other:run("DELETE FROM t"))
    other:close()
  end)

  it("opens read-only, and says what it cannot open", function()
    local reader = assert(sqlite.open(path, { readonly = true }))
    local ok, err = reader:run("DELETE FROM t")
    assert.is_nil(ok)
    assert.equal("readonly", err.code)
    reader:close()
    ok, err = sqlite.open(folder .. "/none/x.db")
    assert.is_nil(ok)
    assert.equal("io", err.code)
    local file = assert(io.open(folder .. "/garbage", "w"))
    file:write(("not a database "):rep(1000))
    file:close()
    ok, err = sqlite.open(folder .. "/garbage")
    assert.is_nil(ok)
    assert.equal("corrupt", err.code)
  end)

  it("backs up a database that is written to, letting others run between two steps", function()
    local blob = sqlite.blob(("x"):rep(4000))
    db:transaction(function()
      for _ = 1, 1500 do db:run("INSERT INTO t (value) VALUES (?)", blob) end
    end)
    local steps = 0
    assert.is_true(db:backup(folder .. "/copy.db", function(remaining, total)
      steps = steps + 1
      assert.is_true(remaining <= total)
      timer.sleep(0)
      db:run("INSERT INTO t (name) VALUES (?)", "during " .. steps)
    end))
    assert.is_true(steps >= 3)
    local copy = assert(sqlite.open(folder .. "/copy.db"))
    assert.equal(1500 + steps, copy:value("SELECT count(*) FROM t"))
    assert.equal("ok", copy:value("PRAGMA integrity_check"))
    copy:close()
    local ok, err = db:backup(folder .. "/none/copy.db")
    assert.is_nil(ok)
    assert.equal("io", err.code)
  end)

  it("closes once, with what is open on it", function()
    local st = db:prepare("SELECT 1")
    db:close()
    db:close()
    assert.error_matches(function() st:all() end, "closed")
    assert.error_matches(function() db:exec("SELECT 1") end, "closed")
    do
      local scoped <close> = assert(sqlite.open(path))
      scoped:value("SELECT 1")
    end
    assert.is_not_nil(io.open(path))
    assert.is_nil(io.open(path .. "-wal"))
  end)

  it("keeps no more statements than it should", function()
    for i = 1, 2000 do
      assert.equal(i, db:value("SELECT " .. i))
    end
    assert.equal(db:prepare("SELECT 1"), db:prepare("SELECT 1"))
  end)
end)
