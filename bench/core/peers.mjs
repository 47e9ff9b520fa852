// One peer's time for one rule: prints nanoseconds a run and the number of occurrences. Parsing is part of a run.
//   node peers.mjs rust DTSTART TZID RRULE          all occurrences
//   node peers.mjs temporal DTSTART TZID RRULE      the same
//   node peers.mjs week DTSTART TZID RRULE          by rrule-temporal, one week of a rule that is parsed once
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const require = createRequire(pathToFileURL(resolve("build/bench-core/node/package.json")));
const [peer, dtstart, tzid, rule] = process.argv.slice(2);
const start = dtstart.endsWith("Z") ? `DTSTART:${dtstart}` : `DTSTART;TZID=${tzid}:${dtstart}`;
const text = `${start}\nRRULE:${rule}`;

function rust() {
  const { RRuleSet } = require("rrule-rust");
  return () => RRuleSet.fromString(text).all().length;
}

function temporal() {
  const { RRuleTemporal } = require("rrule-temporal");
  return () => new RRuleTemporal({ rruleString: text }).all().length;
}

function week() {
  const { RRuleTemporal } = require("rrule-temporal");
  const parsed = new RRuleTemporal({ rruleString: text });
  const from = new Date("2026-03-02T00:00:00Z"), to = new Date("2026-03-09T00:00:00Z");
  return () => parsed.between(from, to, true).length;
}

const run = { rust, temporal, week }[peer]();
let best = Infinity, count = 0;
const until = process.hrtime.bigint() + 400000000n;
do {
  const began = process.hrtime.bigint();
  count = run();
  best = Math.min(best, Number(process.hrtime.bigint() - began));
} while (process.hrtime.bigint() < until);
console.log(`${best} ${count}`);
