// What the client programs share: their settings, the vendor's modules, and checks of values.
import { createRequire } from "node:module";

export const setting = JSON.parse(process.argv[2]);
export const require = createRequire(setting.modules + "/");

let done = 0;

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

export function check(what, got, ...rest) {
  const wanted = rest.length > 0 ? rest[0] : true;
  done += 1;
  if (JSON.stringify(sorted(got)) !== JSON.stringify(sorted(wanted))) {
    throw new Error(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
  }
}

// The call is refused with this status and reason.
export async function refused(what, status, reason, call) {
  done += 1;
  let answer;
  try {
    answer = await call();
  } catch (error) {
    const told = error.response?.data?.error;
    const found = told?.errors?.[0]?.reason ?? told?.details?.[0]?.reason ?? told?.status ?? told;
    const code = error.response?.status ?? error.status;
    if (code !== status || (reason && found !== reason)) {
      throw new Error(`${what}: refused with ${code} ${JSON.stringify(told ?? error.message)}, not ${status} ${reason}`);
    }
    return error;
  }
  throw new Error(`${what}: taken: ${JSON.stringify(answer?.data)}`);
}

export function finish() {
  console.log(`${done} checks`);
}
