---@meta lunation.xml
-- XML with namespaces to a tree. Document type declarations are refused, size and depth are bounded.

local xml = {}

---@class lunation.xml.Node its child elements stand at 1..n
---@field name string   local name
---@field ns string     namespace URI, "" for none
---@field attrs? table<string,string> by local name; absent where there are none
---@field text? string  character data; of an element with children only where it is more than blanks
local Node = {}

---The first child of that name.
---@param ns string
---@param name string
---@return lunation.xml.Node?
function Node:child(ns, name) end

---All children of that name, in order.
---@param ns string
---@param name string
---@return lunation.xml.Node[]
function Node:children(ns, name) end

---The first descendant of that name, depth first.
---@param ns string
---@param name string
---@return lunation.xml.Node?
function Node:find(ns, name) end

---@param text string
---@param options? {max?: integer, depth?: integer} bytes (64 MiB) and nested elements (64, at most 200)
---@return lunation.xml.Node? root
---@return table? err {code="invalid_xml"|"too_large", message=, line=, column=}
function xml.parse(text, options) end

---Text for an element or an attribute in either quotes; control characters that XML cannot hold are left out.
---@param text string
---@return string
function xml.escape(text) end

return xml
