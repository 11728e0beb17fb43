// Compares what was printed with what the document shows. It knows the document's placeholders.

const placeholders = {
  time: String.raw`\d\d:\d\d:\d\d`,
  date: String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`,
  duration: String.raw`[\d.]+(?:ns|µs|ms|s)`,
  n: String.raw`\d+`,
  id: String.raw`[0-9a-z]+-\d+`,
  socket: String.raw`[A-Za-z0-9_-]{1,32}\.[A-Za-z0-9_-]{20}`,
  user: String.raw`u_[0-9a-z]+`,
  token: String.raw`[\w-]+\.[\w-]+\.[\w-]+`,
  inbox: String.raw`_INBOX\.[\w.]+`,
};

const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

// pattern makes a regular expression of a line of the document: <name> is a placeholder, … anything
// in the line, $NAME a value of vars.
export function pattern(line, vars = {}) {
  const parts = line.split(/(<[a-z]+>|…|\$[A-Z]+)/).map((part) => {
    if (part === "…") return ".*?";
    const name = /^<([a-z]+)>$/.exec(part)?.[1];
    if (name && !(name in placeholders)) throw new Error(`${part} is no placeholder, in: ${line}`);
    if (name) return placeholders[name];
    if (part[0] === "$" && part.slice(1) in vars) return literal(vars[part.slice(1)]);
    return literal(part);
  });
  return new RegExp(`^${parts.join("")}$`);
}

const header = /^(?:(?:\d\d:\d\d:\d\d|<time>) )?([A-Z][A-Za-z]*(?:-[A-Z][A-Za-z]*)+): /;

// normal strips trailing space, folds empty lines, and sorts headers, which the CLI prints in no order.
export function normal(lines) {
  const out = [];
  for (const raw of lines) {
    const line = raw.trimEnd();
    if (line === "" && (out.length === 0 || out.at(-1) === "")) continue;
    out.push(line);
  }
  while (out.at(-1) === "") out.pop();
  for (let i = 0; i < out.length; i++) {
    let end = i;
    while (header.test(out[end] ?? "")) end++;
    if (end > i + 1) out.splice(i, end - i, ...out.slice(i, end).sort((a, b) => (header.exec(a)[1] < header.exec(b)[1] ? -1 : 1)));
    i = Math.max(i, end - 1);
  }
  return out;
}

// difference says where the lines depart from those of the document; "" if they do not. A line that is
// … alone stands for any lines.
export function difference(shown, actual, vars) {
  const want = normal(shown);
  const got = normal(actual);
  const all = want.map((line) => (line === "…" ? "(?:.*\\n)*?" : `${pattern(line, vars).source.slice(1, -1)}\\n`)).join("");
  if (new RegExp(`^${all}$`).test(got.map((line) => `${line}\n`).join(""))) return "";
  const i = want.findIndex((line, i) => !pattern(line, vars).test(got[i] ?? ""));
  return `the document shows\n  ${want[i] ?? "(nothing)"}\nand there is\n  ${got[i < 0 ? want.length : i] ?? "(nothing)"}\nin\n${got.map((line) => `  | ${line}`).join("\n")}`;
}
