// Reads docs/contract.md: its examples, tables and words. It does not run anything.

import { readFileSync } from "node:fs";

const root = new URL("../../", import.meta.url);
export const source = (path) => readFileSync(new URL(path, root), "utf8");

// What a fenced block may be; any other is an error, so that no example escapes.
//   console  commands behind "$ " and what they print
//   js       client code, and what it prints in comment lines
//   hears    what the clients Ann, Bob and Cid receive
//   json     a shape, not an example: must parse
const kinds = ["console", "js", "hears", "json"];

// parse returns the blocks of a document and its examples: the blocks under one heading.
export function parse(text) {
  const blocks = [];
  const examples = new Map();
  let heading = "";
  let open;
  for (const [i, line] of text.split("\n").entries()) {
    if (open) {
      if (line !== "```") open.lines.push(line);
      else open = undefined;
    } else if (line.startsWith("```")) {
      const kind = line.slice(3);
      if (!kinds.includes(kind)) throw new Error(`line ${i + 1}: a fenced block says ${kind || "nothing"}, not one of ${kinds.join(", ")}`);
      open = { kind, heading, line: i + 1, lines: [] };
      blocks.push(open);
      if (kind === "json") continue;
      if (!examples.has(heading)) examples.set(heading, []);
      examples.get(heading).push(open);
    } else if (/^#{1,4} /.test(line)) {
      heading = line.replace(/^#+ /, "");
      if (examples.has(heading)) throw new Error(`line ${i + 1}: two headings say "${heading}"`);
    }
  }
  if (open) throw new Error(`line ${open.line}: the block has no end`);
  return { blocks, examples };
}

// commands splits a console block into commands and what each prints.
export function commands(block) {
  const all = [];
  for (const line of block.lines) {
    if (line.startsWith("$ ")) all.push({ command: line.slice(2), output: [] });
    else if (all.length === 0) throw new Error(`line ${block.line}: output without a command: ${line}`);
    else all.at(-1).output.push(line);
  }
  if (all.length === 0) throw new Error(`line ${block.line}: a console block without a command`);
  return all;
}

// table returns the cells of the first table under a heading, without its head.
export function table(text, heading) {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, "") === heading);
  if (start < 0) throw new Error(`there is no heading "${heading}"`);
  const first = lines.findIndex((line, i) => i > start && line.startsWith("|"));
  const rows = [];
  for (let i = first + 2; lines[i]?.startsWith("|"); i++) {
    rows.push(lines[i].slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|")));
  }
  if (rows.length === 0) throw new Error(`there is no table under "${heading}"`);
  return rows;
}
