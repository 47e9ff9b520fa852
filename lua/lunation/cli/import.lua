-- lunation import CALENDAR FILE.ics: the events of a file into a calendar, and back out again.

local arguments = require "lunation.cli.arguments"
local errors = require "lunation.errors"
local input = require "lunation.cli.input"
local output = require "lunation.cli.output"

local function undo(id, options, context)
  local engine, err = context:engine()
  if not engine then return nil, err end
  local bar = output.bar("undoing")
  local counts
  counts, err = require("lunation.transfer").undo(engine, id, bar.update)
  bar.finish()
  if not counts then return nil, err end
  if options.json then
    output.json { removed = counts.removed, restored = counts.restored, kept = require("lunation.json").array(counts.kept) }
    return
  end
  for _, kept in ipairs(counts.kept) do io.stderr:write(("lunation import: %s stays: %s\n"):format(kept.event, kept.message)) end
  print(("%d removed, %d restored, %d left as they are"):format(counts.removed, counts.restored, #counts.kept))
end

local function import(words, options, context)
  local text, err = input.text(words[2])
  if not text then return nil, err end
  local engine
  engine, err = context:engine()
  if not engine then return nil, err end
  local calendar
  calendar, err = input.calendar(engine, words[1])
  if not calendar then return nil, err end
  local bar = output.bar("importing")
  local counts
  counts, err = require("lunation.transfer").import(engine, {
    calendar = calendar, text = text, source = input.place(words[2]), existing = options.existing, progress = bar.update,
  })
  bar.finish()
  if not counts then
    return nil, err.reason and errors.new("invalid_request", input.at(words[2], { line = err.line or 1, message = err.reason })) or err
  end
  for _, failed in ipairs(counts.failed) do io.stderr:write(("lunation import: %s: %s\n"):format(failed.uid, failed.message)) end
  local others = {}
  for name, count in pairs(counts.others) do others[#others + 1] = ("%d %s"):format(count, name) end
  table.sort(others)
  if #others > 0 then io.stderr:write(("lunation import: left out, as they are no events: %s\n"):format(table.concat(others, ", "))) end
  if options.json then
    if #others == 0 then counts.others = nil end
    counts.failed = require("lunation.json").array(counts.failed)
    output.json(counts)
  else
    print(("%d created, %d updated, %d unchanged, %d skipped, %d failed"):format(counts.created, counts.updated, counts.unchanged,
      counts.skipped, #counts.failed))
    if counts.id then print(("`lunation import --undo %d` takes it back."):format(counts.id)) end
  end
  return #counts.failed > 0 and 1 or 0
end

return {
  summary = "the events of a calendar file into a calendar",
  usage = { "CALENDAR FILE.ics|-", "--undo ID" },
  help = "CALENDAR is an id, a title or ACCOUNT/CALENDAR, as `lunation events` takes it. A series is imported whole, with its\n"
    .. "overrides. An event whose UID is there already is updated, unless the calendar has it in a newer version (SEQUENCE).\n"
    .. "--undo removes what an import made and puts back what it changed; what was changed since is left, and named.",
  configured = true,
  most = 2,
  options = {
    ["--existing"] = {
      value = "HOW", help = "update (the default) or skip events that are there already",
      read = function(text)
        if text == "update" or text == "skip" then return text end
        return nil, "update or skip expected"
      end,
    },
    ["--undo"] = { value = "ID", read = arguments.count(1), help = "take this import back" },
    ["--json"] = { help = "as JSON" },
  },
  run = function(words, options, context)
    if options.undo then
      if words[1] then return nil, errors.new("usage", "--undo takes the id of an import and nothing else") end
      return undo(options.undo, options, context)
    end
    if not words[2] then return nil, errors.new("usage", "a calendar and a file are expected") end
    return import(words, options, context)
  end,
}
