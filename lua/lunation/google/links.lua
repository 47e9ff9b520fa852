-- attachments, source and htmlLink of a Google event to links of JSCalendar (RFC 8984 section 4.2.7), and back. Attachments are
-- links: nothing is uploaded.
local json = require "lunation.json"
local mapping = require "lunation.mapping"

local M = {}

local MOST = 25

local function text(v)
  return type(v) == "string" and v ~= "" and v or nil
end

local function attachments(native)
  return type(native.attachments) == "table" and native.attachments or {}
end

local function link_of(attachment)
  local href = type(attachment) == "table" and text(attachment.fileUrl)
  if not href then return nil end
  return { ["@type"] = "Link", href = href, rel = "enclosure", title = text(attachment.title), contentType = text(attachment.mimeType) }
end

local function read(native)
  local result, any = {}, false
  for i, attachment in ipairs(attachments(native)) do
    local link = link_of(attachment)
    if link then result[("attach_%d"):format(i)], any = link, true end
  end
  local page = text(native.htmlLink)
  if page then result.html, any = { ["@type"] = "Link", href = page, rel = "alternate" }, true end
  local source = type(native.source) == "table" and text(native.source.url)
  if source then result.source, any = { ["@type"] = "Link", href = source, rel = "describedby", title = text(native.source.title) }, true end
  return any and result or nil
end

local function set_attachment(attachment, link)
  attachment.fileUrl, attachment.title, attachment.mimeType = link.href, link.title, link.contentType
  return attachment
end

local function is_page(href)
  return href:find("^[hH][tT][tT][pP][sS]?://") ~= nil
end

local function write(native, value)
  local before = read(native) or {}
  local rest, source, kept = {}, nil, {}
  local ids = {}
  for id, link in pairs(value or {}) do
    if type(link) ~= "table" or type(link.href) ~= "string" then return nil, "has no href", "." .. id end
    ids[#ids + 1] = id
  end
  table.sort(ids)
  for _, id in ipairs(ids) do
    local link = value[id]
    if id ~= "html" then
      if link.href:find("^data:") then return nil, "carries a file; Google's attachments are links", "." .. id end
      if not is_page(link.href) then return nil, "is no http or https address", "." .. id end
      local index = id:match("^attach_(%d+)$")
      local there = index and attachments(native)[tonumber(index)]
      if there then
        kept[tonumber(index)] = mapping.equal(before[id], link) and there or set_attachment(mapping.copy(there), link)
      elseif link.rel ~= "enclosure" and not source then
        source = link
      else
        rest[#rest + 1] = link
      end
    end
  end
  local list = {}
  for i = 1, #attachments(native) do
    if kept[i] then list[#list + 1] = kept[i] end
  end
  for _, link in ipairs(rest) do list[#list + 1] = set_attachment({}, link) end
  if #list > MOST then return nil, ("has more than %d attachments, which is all that Google keeps"):format(MOST) end
  native.attachments = (#list > 0 or #attachments(native) > 0) and json.array(list) or nil
  if source then
    local there = type(native.source) == "table" and native.source or {}
    there.url, there.title = source.href, source.title
    native.source = there
  else
    native.source = nil
  end
  return true
end

M.field = mapping.entry { read = read, write = write }

return M
