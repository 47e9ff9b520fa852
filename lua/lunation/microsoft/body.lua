-- The body of an event to description and descriptionContentType (RFC 8984 sections 4.2.2 and 4.2.3), and back. Outlook keeps
-- everything as HTML: what is only text in an HTML coat reads as text. In the body of an online meeting stands, below the author's
-- words, how to join; that part is not the description, and without it the meeting is switched off, so it stays where it is.
local mapping = require "lunation.mapping"
local null = require "lunation.null"

local M = {}

local entities = { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'", nbsp = " " }

local function decode(text)
  return (text:gsub("&(#?[%w]+);", function(name)
    local number = name:match("^#(%d+)$") or name:match("^#[xX](%x+)$")
    local code = number and tonumber(number, name:find("^#[xX]") and 16 or 10)
    if code == 160 then return " " end
    if code and code > 0 and code <= 0x10ffff and (code < 0xd800 or code > 0xdfff) then return utf8.char(code) end
    return entities[name]
  end))
end

---HTML as plain text: breaks and the ends of paragraphs are new lines.
---@param html string
---@return string
function M.text(html)
  local text = html:gsub("\r\n?", "\n"):gsub("<!%-%-.-%-%->", "")
  text = text:gsub("<[hH][eE][aA][dD][%s>].-</[hH][eE][aA][dD]>", ""):gsub("<[sS][tT][yY][lL][eE][%s>].-</[sS][tT][yY][lL][eE]>", "")
  text = text:gsub("<[sS][cC][rR][iI][pP][tT][%s>].-</[sS][cC][rR][iI][pP][tT]>", "")
  text = text:gsub("%s+", " "):gsub(" ?<[bB][rR][%s/]*[^>]*> ?", "\1")
  text = text:gsub(" ?</?([%w:]+)[^>]*> ?", function(tag)
    tag = tag:lower()
    if tag == "p" or tag == "div" or tag == "li" or tag == "tr" or tag == "table" or tag == "ul" or tag == "body" or tag == "html" then
      return "\2"
    end
  end)
  text = text:gsub("<[^>]*>", "")
  -- Blocks are parted by one new line, however many of them begin and end there; a break that ends a block is the block's own,
  -- and one that is all there is in a block is an empty line.
  text = text:gsub("\2\1\2", "\2\3\2"):gsub("\1\2+", "\2"):gsub("^\2+", ""):gsub("\2+$", ""):gsub("\2+", "\n"):gsub("\1", "\n"):gsub("\3", "")
  return (decode(text):gsub("%s+$", ""))
end

-- Tags that say nothing a text could not.
local coat = {
  html = true, head = true, meta = true, title = true, body = true, div = true, p = true, br = true, span = true, font = true, style = true,
  ["o:p"] = true,
}

---Whether HTML is text in a coat.
---@param html string
---@return boolean
function M.is_plain(html)
  for tag in html:gsub("<!%-%-.-%-%->", ""):gmatch("<[/!]?([%w:]+)") do
    if not coat[tag:lower()] and tag:lower() ~= "doctype" then return false end
  end
  return true
end

---@param text string
---@return string html
function M.html(text)
  local html = text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }):gsub("\r\n?", "\n")
  return (html:gsub("  ", " &nbsp;"):gsub("\n", "<br>"))
end

-- The first place before `at` from which on only opening tags stand.
local function opening_before(html, at)
  while true do
    local before = html:sub(1, at - 1)
    local tag_at, tag = before:match("()<(%a[%w:]*)[^<>]*>%s*$")
    if not tag_at or tag:lower() == "body" or tag:lower() == "html" or tag:lower() == "br" then return at end
    at = tag_at
  end
end

---Parts the body of an online meeting.
---@param native table event
---@return string own what the author wrote
---@return string? blob how to join
function M.part(native)
  local body = native.body
  local content = type(body) == "table" and type(body.content) == "string" and body.content or ""
  local meeting = native.onlineMeeting
  local uri = type(meeting) == "table" and type(meeting.joinUrl) == "string" and meeting.joinUrl or nil
  if not uri and native.isOnlineMeeting ~= true then return content end
  local at = content:find("________________", 1, true)
  if not at and uri then
    at = content:find(uri, 1, true) or content:find((uri:gsub("&", "&amp;")), 1, true)
    at = at and (content:sub(1, at):match(".*()<%a[^<]*$") or at)
  end
  if not at then return content end
  at = opening_before(content, at)
  local finish = content:lower():find("</body", at, true) or #content + 1
  return content:sub(1, at - 1) .. content:sub(finish), content:sub(at, finish - 1)
end

local function is_html(native)
  return type(native.body) == "table" and native.body ~= null and native.body.contentType == "html"
end

-- What the author's part of a body says, and whether it is HTML; nil, why.
local function say(native)
  local body = native.body
  if type(body) ~= "table" then return nil, "is not an object" end
  local kind = body.contentType
  if kind ~= nil and kind ~= null and kind ~= "text" and kind ~= "html" then
    return nil, ("has a content type that is not known: %s"):format(tostring(kind))
  end
  local own = M.part(native)
  if kind == "html" then
    local text = M.text(own)
    if text == "" then return false end
    if M.is_plain(own) then return text end
    return own, true
  end
  own = own:gsub("\r\n?", "\n"):gsub("%s+$", "")
  return own ~= "" and own
end

-- Two fields are made of it, one after the other.
local function said(native, context)
  if native.body == nil or native.body == null then return nil end
  if context and context.body_of == native then return context.said, context.html end
  local text, html = say(native)
  if context then context.body_of, context.said, context.html = native, text, html end
  return text, html
end

M.description = mapping.entry {
  depends = { "descriptionContentType" },
  read = function(native, context)
    local text, why = said(native, context)
    if text == nil then return nil, why end
    return text or nil
  end,
  write = function(native, value, context)
    if value ~= nil and type(value) ~= "string" then return nil, "is not text" end
    local html = context.canonical.descriptionContentType == "text/html"
    local _, blob = M.part(native)
    if blob and is_html(native) then
      local own = value and (html and value:gsub("</[bB][oO][dD][yY]>.*$", "") or "<div>" .. M.html(value) .. "</div>") or ""
      native.body = { contentType = "html", content = own .. blob }
    elseif blob then
      native.body = { contentType = "text", content = (value and value .. "\n" or "") .. blob }
    else
      native.body = { contentType = html and "html" or "text", content = value or "" }
    end
    return true
  end,
}

M.content_type = mapping.entry {
  read = function(native, context)
    local text, html = said(native, context)
    return text and html and "text/html" or nil
  end,
  -- Written with the description.
  write = function() return true end,
}

return M
