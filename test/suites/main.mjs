// Runs the public test suites of Socket.IO, from a checkout of its repository, against what is built here, and holds what comes of
// it against suites.json, which docs/compatibility.md repeats: make suites SOCKETIO=folder. With the environment RUNS,
// how often each suite is run, and SUITE, a part of the name of those to run.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { checkout } from "./checkout.mjs";
import { run } from "./mocha.mjs";
import { available, programs, start } from "./servers.mjs";

const root = new URL("../../", import.meta.url).pathname;
const table = JSON.parse(readFileSync(new URL("suites.json", import.meta.url), "utf8"));
const runs = Number(process.env.RUNS || 10);
const part = process.env.SUITE || "";

async function main(signal) {
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`RUNS=${process.env.RUNS}: not a whole number above 0`);
  const suites = table.suites.filter(({ name }) => name.includes(part));
  if (suites.length === 0) throw new Error(`SUITE=${part}: is in the name of none of\n${table.suites.map(({ name }) => `    ${name}`).join("\n")}`);
  const folder = checkout(process.env.SOCKETIO, table, suites);
  for (const port of new Set(suites.map(({ port }) => port))) await available(port);
  execFileSync("go", ["build", "-o", programs, ".", "./test/suites/backend", "./services/gateway/internal/enginesuite"], { cwd: root, stdio: "inherit" });

  console.log(`Socket.IO's suites at ${table.commit.slice(0, 7)}, Node ${process.version}, ${availableParallelism()} CPUs, load ${load()}\n`);
  for (const { name, leftOut } of suites.filter(({ leftOut }) => leftOut)) console.log(`left out of ${name}: "${leftOut.title}": ${leftOut.why}\n`);
  const width = Math.max(...suites.map(({ name }) => name.length));
  const row = (name, ...cells) => console.log(`| ${name.padEnd(width)} | ${cells.map((cell) => String(cell).padStart(8)).join(" | ")} |`);
  row("suite", "run", "expected", "passed", "failed", "skipped", "seconds");
  row("-".repeat(width), ...Array(6).fill("-------:"));
  let wrong = 0;
  for (const suite of suites) {
    const server = await start(suite, folder);
    try {
      for (let i = 1; i <= runs; i++) {
        const result = await run(suite, folder, signal);
        row(suite.name, i, suite.passed, result.passed, result.failed, result.skipped, result.seconds);
        if (asDocumented(suite, result)) continue;
        wrong++;
        const expected = `${suite.passed} passed, none failed, ${suite.skipped} skipped`;
        console.log([`not as documented (${expected}); the load is ${load()}, and several tests allow 50 ms:`, ...result.failures, server.logs()].join("\n"));
      }
    } finally {
      await server.stop();
    }
  }
  const all = suites.length * runs;
  console.log(`\n${all - wrong} of ${all} runs are as docs/compatibility.md says`);
  return wrong === 0;
}

const asDocumented = (suite, { passed, failed, skipped }) => passed === suite.passed && failed === 0 && skipped === suite.skipped;
const load = () => loadavg()[0].toFixed(1);

const stopped = new AbortController();
for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => stopped.abort(new Error(`stopped by ${name}`)));
try {
  if (!(await main(stopped.signal))) process.exitCode = 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
