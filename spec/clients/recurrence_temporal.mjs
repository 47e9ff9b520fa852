// rrule-temporal as a peer of lunation.rrule: questions and answers are JSON lines.
// {"dtstart":"2024-01-01T09:00:00","rrule":"FREQ=…","limit":50} --> {"times":["2024-01-01T09:00:00", …]} or {"error":"…"}, with
// {"timeout":true} where it gave up or took too long. Times are local, reckoned in UTC, which has no transitions.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const require = createRequire(pathToFileURL(resolve("build/node/package.json")));
const { RRuleTemporal } = require("rrule-temporal");

function answer({ dtstart, rrule, limit }) {
  const start = dtstart.replace(/[-:]/g, "") + "Z";
  const text = rrule.replace(/UNTIL=([0-9T]+)/, "UNTIL=$1Z"); // it wants UTC, which here is the same
  const times = [];
  const until = Date.now() + 200;
  try {
    const rule = new RRuleTemporal({ rruleString: `DTSTART:${start}\nRRULE:${text}`, maxIterations: 10000 });
    rule.all((time) => {
      if (times.length >= limit) return false;
      if (Date.now() > until) throw new Error("Maximum time");
      times.push(time.toPlainDateTime().toString({ smallestUnit: "second" }));
      return times.length < limit;
    });
    return { times };
  } catch (error) {
    return /Maximum/.test(String(error)) ? { timeout: true, times } : { error: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(answer(JSON.parse(line))));
