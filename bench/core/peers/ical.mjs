// ical.js on a calendar file: node --expose-gc ical.mjs FILE ROUNDS prints the best seconds of a parse into jCal arrays, the number of
// components and of properties, and the bytes that the heap grew by.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";
import { readFileSync } from "node:fs";

const require = createRequire(pathToFileURL(resolve("build/bench-core/node/package.json")));
const loaded = await import(pathToFileURL(require.resolve("ical.js")));
const ICAL = loaded.default ?? loaded;
const text = readFileSync(process.argv[2], "utf8");

let best = Infinity, tree, before;
for (let i = 0; i < Number(process.argv[3]); i++) {
  tree = undefined;
  globalThis.gc();
  before = process.memoryUsage().heapUsed;
  const began = process.hrtime.bigint();
  tree = ICAL.parse(text);
  best = Math.min(best, Number(process.hrtime.bigint() - began) / 1e9);
}
globalThis.gc();
const memory = process.memoryUsage().heapUsed - before;
let components = 0, properties = 0;
(function count(node) {
  components++;
  properties += node[1].length;
  for (const child of node[2]) count(child);
})(tree);
console.log(`${best} ${components} ${properties} ${memory}`);
