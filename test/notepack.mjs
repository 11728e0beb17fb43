// What the stock msgpack parser makes of values, for the Go tests of pkg/socketio, which have no JavaScript:
//
//   node notepack.mjs    writes pkg/socketio/testdata/notepack.json
//
// client/msgpack.test.mjs says whether the file is still what the parser makes.

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import parser from "socket.io-msgpack-parser";

export const file = new URL("../pkg/socketio/testdata/notepack.json", import.meta.url);

// Values that JSON has too: written from JSON, they must be the same bytes.
const both = [
  null, true, false, "", "a", "é", "🎉", "x".repeat(31), "x".repeat(32), "x".repeat(255), "é".repeat(128), "\u0000\n\"\\/\u2028\u007f",
  0, -0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -32, -33, -128, -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53) + 1,
  0.5, -0.1, 1.5e-300, 5e-324, 1e-7, 1.7976931348623157e308 / 3 / 1e300,
  [], {}, [[]], [{}], { a: {} }, Array(15).fill(1), Array(16).fill(1), Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, i])),
  { z: 1, a: [null, { b: "c" }], "": 0, é: "ü", _placeholder: true, num: 0 }, { _placeholder: true, num: 0 },
];

// Values that JSON has otherwise: read, they must be what JSON.stringify makes of them.
const read = [
  undefined, { a: undefined }, { a: undefined, b: 1, c: undefined }, [undefined, 1], NaN, Infinity, -Infinity, { a: NaN },
  new Date(0), new Date(-1), new Date("2026-02-28T12:34:56.789Z"), new Date(8.64e15), new Date(-8.64e15), new Date("0000-01-01T00:00:00Z"), new Date("-000001-12-31T00:00:00Z"), new Date("9999-12-31T23:59:59.999Z"), new Date("+010000-01-01T00:00:00Z"),
  2 ** 53, 2 ** 60, -(2 ** 60), 2 ** 63, 2 ** 64 - 2048, -(2 ** 63), { at: [new Date(1e12)] },
];

export function vectors() {
  const make = (value) => ({ json: JSON.stringify(["v", value]), hex: new parser.Encoder().encode({ type: 2, nsp: "/", data: ["v", value] })[0].toString("hex") });
  return { both: both.map(make), read: read.map(make) };
}

export const text = () => `${JSON.stringify(vectors(), null, 1)}\n`;
export const stored = () => readFile(file, "utf8");

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(file, text());
