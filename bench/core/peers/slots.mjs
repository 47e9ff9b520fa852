// A search for common time as one writes it at first: each start of the grid, each minute of the slot, each calendar.
//   node slots.mjs FILE      {"calendars":[[s,e,…],…],"from":,"to":,"duration":,"increment":}; prints nanoseconds and slots
import { readFileSync } from "node:fs";

const q = JSON.parse(readFileSync(process.argv[2], "utf8"));

function run() {
  const minutes = (q.to - q.from) / 60;
  const busy = q.calendars.map((list) => {
    const set = new Uint8Array(minutes);
    for (let i = 0; i < list.length; i += 2) {
      for (let m = Math.max(0, (list[i] - q.from) / 60); m < Math.min(minutes, (list[i + 1] - q.from) / 60); m++) set[m] = 1;
    }
    return set;
  });
  const slots = [];
  for (let start = 0; start + q.duration / 60 <= minutes; start += q.increment / 60) {
    let free = true;
    for (let m = start; free && m < start + q.duration / 60; m++) {
      for (const set of busy) {
        if (set[m]) {
          free = false;
          break;
        }
      }
    }
    if (free) slots.push(q.from + start * 60);
  }
  return slots.length;
}

let best = Infinity, count = 0;
const until = process.hrtime.bigint() + 400000000n;
do {
  const began = process.hrtime.bigint();
  count = run();
  best = Math.min(best, Number(process.hrtime.bigint() - began));
} while (process.hrtime.bigint() < until);
console.log(`${best} ${count}`);
