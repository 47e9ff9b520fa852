-- The calendar modules for stock Lua 5.4: `luarocks make`. The program itself is built by `make`.
rockspec_format = "3.0"
package = "lunation"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "iCalendar, recurrence and time zones, as lunation has them",
  detailed = "lunation.ical, lunation.rrule and lunation.tz of the lunation calendar runtime, without its host.",
  license = "MIT",
}
dependencies = { "lua >= 5.4, < 5.5" }
build = {
  type = "builtin",
  modules = {
    ["lunation.freebusy"] = {
      sources = {
        "src/calendar/freebusy.c", "src/calendar/intervals.c", "src/calendar/slots.c", "src/calendar/civil.c", "src/calendar/fail.c",
        "src/calendar/tz.c", "src/calendar/tzif.c", "src/calendar/tz_lookup.c", "src/calendar/tznames.c",
      },
      incdirs = { "src" },
    },
    ["lunation.digest"] = "lua/lunation/digest.lua",
    ["lunation.ical.tree"] = {
      sources = {
        "src/calendar/ical.c", "src/calendar/ical_doc.c", "src/calendar/ical_doc_write.c", "src/calendar/ical_instances.c",
        "src/calendar/ical_instances_lua.c", "src/calendar/ical_moment.c", "src/calendar/ical_vevents.c", "src/calendar/ical_lines.c",
        "src/calendar/ical_out.c", "src/calendar/ical_param.c", "src/calendar/ical_parse.c", "src/calendar/ical_plain.c",
        "src/calendar/ical_text.c", "src/calendar/ical_utf8.c", "src/calendar/ical_write.c", "src/calendar/rrule_days.c",
        "src/calendar/rrule_iter.c", "src/calendar/rrule_parse.c", "src/calendar/rrule_plan.c", "src/calendar/rrule_skip.c",
        "src/calendar/recurset.c", "src/calendar/civil.c", "src/calendar/fail.c", "src/calendar/tz.c", "src/calendar/tzif.c",
        "src/calendar/tz_lookup.c", "src/calendar/tznames.c",
      },
      incdirs = { "src" },
    },
    ["lunation.json"] = {
      sources = {
        "src/data/json.c", "src/data/json_decode.c", "src/data/json_encode.c", "src/data/buffer.c", "src/data/fail.c",
      },
      incdirs = { "src" },
    },
    ["lunation.rrule"] = {
      sources = {
        "src/calendar/rrule.c", "src/calendar/rrule_days.c", "src/calendar/rrule_iter.c", "src/calendar/rrule_parse.c",
        "src/calendar/rrule_plan.c", "src/calendar/rrule_skip.c", "src/calendar/recurset.c", "src/calendar/recurset_lua.c",
        "src/calendar/recurset_make.c", "src/calendar/recurset_ask.c",
        "src/calendar/civil.c", "src/calendar/fail.c", "src/calendar/tz.c", "src/calendar/tzif.c",
        "src/calendar/tz_lookup.c", "src/calendar/tznames.c",
      },
      incdirs = { "src" },
    },
    ["lunation.tz"] = {
      sources = { "src/calendar/tz.c", "src/calendar/tzif.c", "src/calendar/tz_lookup.c", "src/calendar/tznames.c", "src/calendar/civil.c", "src/calendar/fail.c" },
      incdirs = { "src" },
    },
    ["lunation.ical"] = "lua/lunation/ical/init.lua",
    ["lunation.ical.alarms"] = "lua/lunation/ical/alarms.lua",
    ["lunation.ical.clock"] = "lua/lunation/ical/clock.lua",
    ["lunation.ical.component"] = "lua/lunation/ical/component.lua",
    ["lunation.ical.freebusy"] = "lua/lunation/ical/freebusy.lua",
    ["lunation.ical.fields"] = "lua/lunation/ical/fields.lua",
    ["lunation.ical.history"] = "lua/lunation/ical/history.lua",
    ["lunation.ical.instances"] = "lua/lunation/ical/instances.lua",
    ["lunation.ical.jcal"] = "lua/lunation/ical/jcal.lua",
    ["lunation.ical.links"] = "lua/lunation/ical/links.lua",
    ["lunation.ical.mapping"] = "lua/lunation/ical/mapping.lua",
    ["lunation.ical.people"] = "lua/lunation/ical/people.lua",
    ["lunation.ical.recurrence"] = "lua/lunation/ical/recurrence.lua",
    ["lunation.ical.rule"] = "lua/lunation/ical/rule.lua",
    ["lunation.ical.series"] = "lua/lunation/ical/series.lua",
    ["lunation.ical.slice"] = "lua/lunation/ical/slice.lua",
    ["lunation.ical.time"] = "lua/lunation/ical/time.lua",
    ["lunation.ical.value"] = "lua/lunation/ical/value.lua",
    ["lunation.ical.write"] = "lua/lunation/ical/write.lua",
    ["lunation.ical.zone"] = "lua/lunation/ical/zone.lua",
    ["lunation.ical.zone_object"] = "lua/lunation/ical/zone_object.lua",
    ["lunation.mapping"] = "lua/lunation/mapping.lua",
    ["lunation.model.expand"] = "lua/lunation/model/expand.lua",
    ["lunation.model.instance"] = "lua/lunation/model/instance.lua",
    ["lunation.null"] = "lua/lunation/null.lua",
  },
}
