---@meta lunation.json

---JSON (RFC 8259): integers are exact, floats stay floats, an empty array stays an array, and everything a stranger may send
---is bounded. Text is UTF-8; what is not is an error.
---@class lunation.json
---@field null lightuserdata JSON's null; the same value as lua-cjson's
local json = {}

---@class lunation.json.Error
---@field code "invalid_json"|"too_large"
---@field message string
---@field line integer? of the text, from 1 (decode)
---@field column integer? in characters, from 1 (decode)
---@field offset integer? in bytes, from 0 (decode)

---@class lunation.json.EncodeOptions
---@field sorted boolean? names in the order of their bytes, so that equal values give equal text
---@field pretty boolean? indented by two spaces
---@field utf8 "replace"? invalid bytes become U+FFFD instead of an error
---@field depth integer? how deep tables may nest, 64 if not given, at most 1000

---@class lunation.json.DecodeOptions
---@field depth integer? how deep the text may nest, 64 if not given, at most 1000
---@field max integer? the most bytes the text may have

---Writes a value. A table is an array where it has `json.array`'s metatable or a first element, an object otherwise.
---@param value any
---@param options lunation.json.EncodeOptions?
---@return string? text
---@return lunation.json.Error? err
function json.encode(value, options) end

---Reads a value; nothing but white space may stand around it. Of a repeated name the last holds. A number without fraction
---and exponent is an integer where it fits in 64 bits.
---@param text string
---@param options lunation.json.DecodeOptions?
---@return any value
---@return lunation.json.Error? err
function json.decode(text, options) end

---Marks a table (or a new one) as an array, so that it is written as `[]` even when it is empty.
---@generic T: table
---@param t T?
---@return T
function json.array(t) end

---Marks a table (or a new one) as an object; integer keys are then written as names.
---@generic T: table
---@param t T?
---@return T
function json.object(t) end

---Whether `encode` would write an array.
---@param value any
---@return boolean
function json.is_array(value) end

---Text that is spliced into the output as it is.
---@param text string
---@return table
function json.raw(text) end

return json
