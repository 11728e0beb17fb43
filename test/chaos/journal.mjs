// What everyone writes down, one JSON object a line, and how it is read again.
//
// t is in milliseconds of the machine's monotonic clock, which all processes share, so
// that times of different journals can be compared.

import { createReadStream, createWriteStream } from "node:fs";
import { once } from "node:events";
import { createInterface } from "node:readline";

export const now = () => Number(process.hrtime.bigint() / 1000n) / 1000;

// journal opens a file to write to.
export function journal(path) {
  const file = createWriteStream(path, { flags: "a" });
  return {
    write: (entry) => file.write(JSON.stringify({ t: now(), ...entry }) + "\n"),
    close: () => once(file.end(), "close"),
  };
}

// entries reads a file.
export async function entries(path) {
  const all = [];
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) all.push(JSON.parse(line));
  return all;
}
