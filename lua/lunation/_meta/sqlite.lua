---@meta lunation.sqlite

---SQLite, synchronous: a read takes microseconds, and nothing here ever waits. A database that another connection is writing
---to gives `nil, err` with `err.code == "busy"`; the caller tries again later.
---@class lunation.sqlite
---@field version string of the library
local sqlite = {}

---@class lunation.sqlite.Error
---@field code "busy"|"constraint"|"io"|"readonly"|"corrupt"|"too_large"|"cancelled"|"internal"
---@field message string
---@field sqlite integer SQLite's extended result code
---@field constraint "unique"|"primary_key"|"foreign_key"|"not_null"|"check"|"trigger"|"datatype"|"other"|nil

---@class lunation.sqlite.OpenOptions
---@field readonly boolean?
---@field wal boolean? write-ahead log, true if not given
---@field busy_ms integer? how long SQLite may block while another connection writes, 0 if not given
---@field mmap integer? bytes of the file to map
---@field checkpoint integer? pages in the log after which a commit copies them back, 1000 if not given; 0: never by itself

---Opens a database, and makes it (mode 0600) where it is not there. Foreign keys are enforced.
---@param path string
---@param options lunation.sqlite.OpenOptions?
---@return lunation.sqlite.Connection? db
---@return lunation.sqlite.Error? err
function sqlite.open(path, options) end

---A string to be stored as a blob; blobs are read as strings.
---@param bytes string
---@return userdata
function sqlite.blob(bytes) end

---Values are strings, integers, floats, booleans (as 1 and 0), blobs, and nil or `json.null`; given one by one in the order of
---the parameters, or as one table by name. A wrong number of them raises, and so does an error in the SQL.
---@class lunation.sqlite.Statement
local statement = {}

---@param ... any
---@return table<string, any>[]? rows
---@return lunation.sqlite.Error? err
function statement:all(...) end

---The first row.
---@param ... any
---@return table<string, any>? row
---@return lunation.sqlite.Error? err
function statement:row(...) end

---The first column of the first row.
---@param ... any
---@return any value
---@return lunation.sqlite.Error? err
function statement:value(...) end

---@param ... any
---@return integer? changes rows that the statement itself changed
---@return lunation.sqlite.Error? err
function statement:run(...) end

---For a generic `for`. The loop may run the same statement again; errors are raised.
---@param ... any
---@return fun(cursor: userdata): table<string, any>?
---@return userdata cursor
---@return nil
---@return userdata closing
function statement:each(...) end

---Closed by `close`, by `<close>` and by the collector.
---@class lunation.sqlite.Connection
local connection = {}

---Runs one or more statements that take no values.
---@param sql string
---@return true? ok
---@return lunation.sqlite.Error? err
function connection:exec(sql) end

---One statement; asked again for the same text it is the same one.
---@param sql string
---@return lunation.sqlite.Statement
function connection:prepare(sql) end

---`prepare(sql):all(…)`
---@param sql string
---@param ... any
---@return table<string, any>[]? rows
---@return lunation.sqlite.Error? err
function connection:all(sql, ...) end

---`prepare(sql):row(…)`
---@param sql string
---@param ... any
---@return table<string, any>? row
---@return lunation.sqlite.Error? err
function connection:row(sql, ...) end

---`prepare(sql):value(…)`
---@param sql string
---@param ... any
---@return any value
---@return lunation.sqlite.Error? err
function connection:value(sql, ...) end

---`prepare(sql):run(…)`
---@param sql string
---@param ... any
---@return integer? changes
---@return lunation.sqlite.Error? err
function connection:run(sql, ...) end

---`prepare(sql):each(…)`
---@param sql string
---@param ... any
---@return fun(cursor: userdata): table<string, any>?
---@return userdata cursor
---@return nil
---@return userdata closing
function connection:each(sql, ...) end

---Runs a function between BEGIN IMMEDIATE and COMMIT (a savepoint where a transaction is open already). It is rolled back when
---the function raises, and when it returns `nil, err`. Waiting inside raises.
---@generic A, R
---@param fn fun(...: A): R
---@param ... A
---@return R? ... what the function returned
---@return lunation.sqlite.Error? err `busy` where another connection writes
function connection:transaction(fn, ...) end

---@return boolean
function connection:in_transaction() end

---@return integer
function connection:last_insert_rowid() end

---Rows changed by the last INSERT, UPDATE or DELETE.
---@return integer
function connection:changes() end

---Copies the log back into the database.
---@param mode "passive"|"full"|"restart"|"truncate"|nil
---@return integer? frames in the log
---@return integer|lunation.sqlite.Error done frames copied back
function connection:checkpoint(mode) end

---Copies the database while it is used. The function is called between two steps with the pages that remain and their total,
---and may wait; what this connection writes meanwhile is in the copy.
---@param path string
---@param between fun(remaining: integer, total: integer)?
---@return true? ok
---@return lunation.sqlite.Error? err
function connection:backup(path, between) end

---Closes it with every statement and iterator on it. Closing again does nothing.
function connection:close() end

return sqlite
