-- Pages and sync tokens. A listing is found once and kept; page tokens point into it, so that asking again gives the same page.
local crypto = require "lunation.crypto"
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local world = require "spec.emulators.google.world"

local pages = {}

local fail = failure.fail
local KEPT = 100

--- Requests of one listing must agree in their parameters, but for these.
local free = {
  pageToken = true, syncToken = true, fields = true, prettyPrint = true, alt = true, key = true, quotaUser = true, userIp = true, access_token = true,
  oauth_token = true, ["$.xgafv"] = true, callback = true, upload_protocol = true, uploadType = true,
}

--- The parameters by which two requests are of one listing, as text.
---@param call google.Call
---@param also table<string, boolean>? others that may differ
---@return string
function pages.signature(call, also)
  local kept = {}
  for name in pairs(call.args) do
    if not free[name] and not (also and also[name]) then
      local values = call:repeated(name)
      table.sort(values)
      kept[#kept + 1] = name .. "=" .. table.concat(values, ",")
    end
  end
  table.sort(kept)
  return table.concat(kept, "&")
end

--- A token that holds a table and cannot be made up.
---@param value table
---@return string
function pages.seal(value)
  local text = crypto.base64url(json.encode(value, { sorted = true }))
  return text .. "." .. crypto.hex(crypto.hmac("sha256", "emulator", text)):sub(1, 12)
end

--- What a token holds, nil where it is none of ours.
---@param token string
---@return table?
function pages.unseal(token)
  local text, mac = token:match("^([%w_%-]+)%.(%x+)$")
  if not text or crypto.hex(crypto.hmac("sha256", "emulator", text)):sub(1, 12) ~= mac then return nil end
  return json.decode(crypto.unbase64url(text))
end

--- Begins a listing.
---@param items table[] in order
---@param more table what the last page needs besides
---@return table cursor
function pages.begin(items, more)
  local cursor = more or {}
  cursor.items, cursor.id = items, crypto.base64url(crypto.random(9))
  return cursor
end

local function keep(cursor)
  if world.cursors[cursor.id] then return end
  world.cursors[cursor.id] = cursor
  table.insert(world.cursor_order, cursor.id)
  if #world.cursor_order > KEPT then world.cursors[table.remove(world.cursor_order, 1)] = nil end
end

--- The listing that a page token is of, and where it stands.
---@param token string
---@param signature string
---@return table cursor
---@return integer at
function pages.continue(token, signature)
  local held = pages.unseal(token)
  local cursor = held and held.cursor and world.cursors[held.cursor]
  if not cursor or cursor.signature ~= signature then
    fail(400, "invalid", "Invalid page token value.", { location = "pageToken", locationType = "parameter" })
  end
  return cursor, held.at
end

--- One page: its items, and the token of the next, nil on the last.
---@param call google.Call
---@param cursor table
---@param at integer items before it
---@param size integer
---@return table[] items
---@return string? next
function pages.slice(call, cursor, at, size)
  -- no token twice, so that only a listing without end looks like one
  local function token(position)
    keep(cursor)
    cursor.given = (cursor.given or 0) + 1
    return pages.seal { cursor = cursor.id, at = position, given = cursor.given }
  end
  if call:fault "empty_page" then return {}, token(at) end
  local endless = call:fault "endless"
  if endless then
    return table.move(cursor.items, at + 1, math.min(at + size, #cursor.items), 1, {}), endless.same and call.args.pageToken or token(at)
  end
  local short = call:fault "short_page"
  if short then size = math.min(size, short.items or 1) end
  local last = math.min(at + size, #cursor.items)
  local items = table.move(cursor.items, at + 1, last, 1, {})
  if call:fault "repeat" and #items > 0 then items[#items + 1] = items[1] end
  if last < #cursor.items then return items, token(last) end
  return items, nil
end

return pages
