-- Properties of a VEVENT that are one field each: text, numbers, words, categories, location, what an app keeps beside them.
local mapping = require "lunation.mapping"
local component = require "lunation.ical.component"
local tree = require "lunation.ical.tree"
local value = require "lunation.ical.value"

local M = {}

local forms = {}

forms.text = {
  to = function(p)
    local text = tree.unescape(p.value)
    return text ~= "" and text or nil
  end,
  from = function(p, text)
    if type(text) ~= "string" then return nil, "is not text" end
    p.value = tree.escape(text)
    -- Another rendition of the old text.
    component.set_param(p, "ALTREP", nil)
    return true
  end,
}

forms.raw = {
  to = function(p) return p.value ~= "" and p.value or nil end,
  from = function(p, text)
    if type(text) ~= "string" then return nil, "is not text" end
    p.value = text
    return true
  end,
}

forms.integer = {
  to = function(p) return math.tointeger(tonumber(p.value)) end,
  from = function(p, number)
    local whole = math.tointeger(tonumber(number))
    if not whole then return nil, "is not a whole number" end
    p.value = ("%d"):format(whole)
    return true
  end,
}

forms.utc = {
  to = function(p) return value.parse_utc(p.value) end,
  from = function(p, text)
    local utc = type(text) == "string" and value.parse_utc(text)
    if not utc then return nil, "is not a time" end
    p.value = value.format_time(utc:sub(1, 19), "utc")
    return true
  end,
}

---An entry for one property of the component, in the words of a mapping: `title = ical("SUMMARY")`.
---@param name string
---@param form "text"|"raw"|"integer"|"utc"|{to: function, from: function, drops: string[]?}|nil "text" by default; `drops` names
---properties that say the same in another way and go when this one changes
---@return lunation.mapping.Entry
function M.property(name, form)
  name = name:upper()
  local how = type(form) == "table" and form or forms[form or "text"]
  if not how then error(("no form of property is called %q"):format(tostring(form)), 2) end
  return mapping.entry {
    name = name, form = form or "text", drops = how.drops, depends = how.depends, needs = name,
    read = function(node, context)
      local p = component.find(node, name)
      if not p then return nil end
      return how.to(p, node, context)
    end,
    write = function(node, v, context)
      for _, other in ipairs(how.drops or {}) do component.remove(node, other) end
      if v == nil then
        component.remove(node, name)
        return true
      end
      local p = component.find(node, name)
      local fresh = not p
      if fresh then p = component.property(name, "") end
      local done, why = how.from(p, v, node, context)
      if not done then return nil, why end
      if fresh then component.add(node, p) end
      return true
    end,
  }
end

---A text property with other properties that repeat it for one vendor.
local function text_with(drops)
  return { to = forms.text.to, from = forms.text.from, drops = drops }
end

---@param words table<string, string> canonical word → word of iCalendar
---@param otherwise string? what a word that is not listed means
local function words_of(words, otherwise)
  local back = {}
  for canonical, word in pairs(words) do back[word] = canonical end
  return {
    words = words,
    to = function(p) return back[p.value:upper():gsub("%s", "")] or otherwise end,
    from = function(p, v)
      if not words[v] then return nil, ("%s is none of the words it can be"):format(tostring(v)) end
      p.value = words[v]
      return true
    end,
  }
end
M.words = words_of

local show_as = words_of { free = "FREE", tentative = "TENTATIVE", busy = "BUSY", oof = "OOF", workingElsewhere = "WORKINGELSEWHERE" }

local function free_busy()
  local transparency = words_of { busy = "OPAQUE", free = "TRANSPARENT" }
  return {
    words = transparency.words,
    to = transparency.to,
    from = function(p, v, node)
      -- Outlook believes its own property first.
      local theirs = component.find(node, "X-MICROSOFT-CDO-BUSYSTATUS")
      if theirs then theirs.value = v == "free" and "FREE" or "BUSY" end
      return transparency.from(p, v)
    end,
  }
end

local function updated()
  return mapping.entry {
    needs = { "LAST-MODIFIED", "DTSTAMP" },
    read = function(node)
      return value.parse_utc(component.value(node, "LAST-MODIFIED")) or value.parse_utc(component.value(node, "DTSTAMP"))
    end,
    write = function(node, v)
      local utc = v and value.parse_utc(v)
      if v and not utc then return nil, "is not a time" end
      if utc then
        local raw = value.format_time(utc:sub(1, 19), "utc")
        component.set(node, "LAST-MODIFIED", raw)
        component.set(node, "DTSTAMP", raw)
      end
      return true
    end,
  }
end

local function keywords()
  return mapping.entry {
    needs = "CATEGORIES",
    read = function(node)
      local set, any = {}, false
      for _, p in ipairs(component.all(node, "CATEGORIES")) do
        for _, word in ipairs(tree.split(p.value, ",")) do
          word = word:match("^%s*(.-)%s*$")
          if word ~= "" then
            set[word], any = true, true
          end
        end
      end
      return any and set or nil
    end,
    write = function(node, v)
      local first = component.find(node, "CATEGORIES")
      component.remove(node, "CATEGORIES")
      local list = {}
      for word, on in pairs(v or {}) do
        if on == true then list[#list + 1] = tree.escape(word) end
      end
      if #list == 0 then return true end
      table.sort(list)
      first = first or component.property("CATEGORIES", "")
      first.value = table.concat(list, ",")
      component.add(node, first)
      return true
    end,
  }
end

-- A coordinate without the zeros that some servers append.
local function degrees(text)
  if text:find(".", 1, true) then text = text:gsub("0+$", ""):gsub("%.$", "") end
  return (text:gsub("^%+", ""))
end

local function geo_uri(text)
  local lat, lon = (text or ""):match("^%s*([+-]?%d+%.?%d*)%s*\\?[;,]%s*([+-]?%d+%.?%d*)%s*$")
  return lat and ("geo:%s,%s"):format(degrees(lat), degrees(lon)) or nil
end

local function locations()
  return mapping.entry {
    needs = { "LOCATION", "GEO" },
    read = function(node)
      local name = component.value(node, "LOCATION")
      name = name and tree.unescape(name)
      if name == "" then name = nil end
      local coordinates = geo_uri(component.value(node, "GEO"))
      if not name and not coordinates then return nil end
      return { ["1"] = { ["@type"] = "Location", name = name, coordinates = coordinates } }
    end,
    write = function(node, v)
      local ids = {}
      for id in pairs(v or {}) do ids[#ids + 1] = id end
      table.sort(ids)
      local names, coordinates = {}, nil
      for _, id in ipairs(ids) do
        local place = v[id]
        if type(place) ~= "table" then return nil, "is not an object of locations" end
        if place.name and place.name ~= "" then names[#names + 1] = place.name end
        coordinates = coordinates or place.coordinates
      end
      local name = #names > 0 and table.concat(names, "; ") or nil
      local p = component.find(node, "LOCATION")
      if not name then
        component.remove(node, "LOCATION")
        component.remove(node, "X-APPLE-STRUCTURED-LOCATION")
      elseif not p or tree.unescape(p.value) ~= name then
        p = component.set(node, "LOCATION", tree.escape(name))
        component.set_param(p, "ALTREP", nil)
        -- Apple's clients show their own property, which names the old place.
        component.remove(node, "X-APPLE-STRUCTURED-LOCATION")
      end
      local lat, lon = (coordinates or ""):match("^geo:([+-]?[%d.]+),([+-]?[%d.]+)")
      local geo = lat and ("%s;%s"):format(lat, lon) or nil
      if geo_uri(component.value(node, "GEO")) ~= geo_uri(geo) then component.set(node, "GEO", geo) end
      return true
    end,
  }
end

local function related()
  return mapping.entry {
    needs = "RELATED-TO",
    read = function(node)
      local result, any = {}, false
      for _, p in ipairs(component.all(node, "RELATED-TO")) do
        local uid = tree.unescape(p.value)
        local kind = (component.param(p, "RELTYPE") or "PARENT"):lower()
        if uid ~= "" then
          local relation = result[uid] or { ["@type"] = "Relation", relation = {} }
          relation.relation[kind] = true
          result[uid], any = relation, true
        end
      end
      return any and result or nil
    end,
    write = function(node, v)
      local wanted = {}
      for uid, relation in pairs(v or {}) do
        local any = false
        for kind, on in pairs(type(relation) == "table" and relation.relation or {}) do
          if on then wanted[uid .. "\0" .. kind:upper()], any = true, true end
        end
        if not any then wanted[uid .. "\0PARENT"] = true end
      end
      component.remove(node, function(p)
        if p.name ~= "RELATED-TO" then return false end
        local key = tree.unescape(p.value) .. "\0" .. (component.param(p, "RELTYPE") or "PARENT"):upper()
        local keep = wanted[key]
        wanted[key] = nil
        return not keep
      end)
      local keys = {}
      for key in pairs(wanted) do keys[#keys + 1] = key end
      table.sort(keys)
      for _, key in ipairs(keys) do
        local uid, kind = key:match("^(.*)%z(.*)$")
        component.add(node, component.property("RELATED-TO", tree.escape(uid), kind ~= "PARENT" and { RELTYPE = kind } or nil))
      end
      return true
    end,
  }
end

-- JSON in a property. Servers unescape and escape text in ways of their own, and some decode percent signs too: what needs a
-- backslash is written as a tilde and two hexadecimal digits, which all of them leave alone.
local function encode_custom(json, object)
  return (json.encode(object, { sorted = true }):gsub("[~\\,;%c]", function(c) return ("~%02X"):format(c:byte()) end))
end

local function decode_custom(json, text)
  return (json.decode((tree.unescape(text):gsub("~(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))))
end

-- What an application keeps with an event: one property an app, its values as JSON.
local function custom()
  local name = "X-LUNATION-CUSTOM"
  return mapping.entry {
    needs = name,
    read = function(node)
      local result, any = {}, false
      local found, json = pcall(require, "lunation.json")
      for _, p in ipairs(found and component.all(node, name) or {}) do
        local app = component.param(p, "X-APP")
        local object = decode_custom(json, p.value)
        if app and type(object) == "table" then
          result[app], any = object, true
        end
      end
      return any and result or nil
    end,
    write = function(node, v)
      local found, json = pcall(require, "lunation.json")
      if not found then return nil, "needs lunation.json" end
      local seen = {}
      component.remove(node, function(p)
        if p.name ~= name then return false end
        local app = component.param(p, "X-APP")
        local object = app and v and v[app]
        if app and type(object) == "table" and next(object) ~= nil and not seen[app] then
          seen[app] = true
          if not mapping.equal(decode_custom(json, p.value), object) then
            p.value = encode_custom(json, object)
          end
          return false
        end
        return app ~= nil
      end)
      local apps = {}
      for app, object in pairs(v or {}) do
        if type(object) == "table" and next(object) ~= nil and not seen[app] then apps[#apps + 1] = app end
      end
      table.sort(apps)
      for _, app in ipairs(apps) do
        component.add(node, component.property(name, encode_custom(json, v[app]), { ["X-APP"] = app }))
      end
      return true
    end,
  }
end

local property = M.property

M.fields = {
  uid = property("UID"),
  title = property("SUMMARY"),
  description = property("DESCRIPTION", text_with { "X-ALT-DESC" }),
  status = property("STATUS", words_of { confirmed = "CONFIRMED", tentative = "TENTATIVE", cancelled = "CANCELLED" }),
  freeBusyStatus = property("TRANSP", free_busy()),
  ["lunation:showAs"] = property("X-MICROSOFT-CDO-BUSYSTATUS", show_as),
  privacy = property("CLASS", words_of({ public = "PUBLIC", private = "PRIVATE", secret = "CONFIDENTIAL" }, "private")),
  priority = property("PRIORITY", "integer"),
  sequence = property("SEQUENCE", "integer"),
  created = property("CREATED", "utc"),
  updated = updated(),
  color = property("COLOR"),
  keywords = keywords(),
  locations = locations(),
  relatedTo = related(),
  ["lunation:custom"] = custom(),
}

return M
