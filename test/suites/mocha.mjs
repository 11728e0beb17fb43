// Runs a suite once, with its own mocha, and counts.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mocha } from "./checkout.mjs";

// A run takes seconds; one that takes longer hangs.
const bound = 180_000;

// run gives {passed, failed, skipped, seconds, failures}; failures are texts. It throws if mocha itself fails or does not end.
export async function run(suite, folder, signal) {
  const dir = await mkdtemp(join(tmpdir(), "natter-mocha-"));
  const file = join(dir, "result.json");
  // Mocha's own program starts another one: both are in a process group of their own, so that both can be ended.
  const child = spawn(mocha(folder, suite.folder), [...suite.mocha, "--reporter", "json", "--reporter-option", `output=${file}`, ...without(suite)], {
    cwd: join(folder, suite.folder),
    // The suites say localhost, and what they talk to listens on 127.0.0.1 alone.
    env: { ...process.env, ...suite.env, NODE_OPTIONS: "--dns-result-order=ipv4first" },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  try {
    await once(child, "close", { signal: AbortSignal.any([signal, AbortSignal.timeout(bound)]) });
    return count(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    signal.throwIfAborted();
    throw new Error(`mocha did not get to the end of ${suite.name}: ${error.message}\n${output.slice(-4000)}`);
  } finally {
    end(child);
    await rm(dir, { recursive: true, force: true });
  }
}

// without are the flags that leave out what a suite does not run.
const without = ({ leftOut }) => (leftOut ? ["--fgrep", leftOut.title, "--invert"] : []);

function count({ stats, failures }) {
  return {
    passed: stats.passes,
    failed: stats.failures,
    skipped: stats.pending,
    seconds: Math.round(stats.duration / 1000),
    failures: failures.map(({ fullTitle, err }) => `${fullTitle}: ${err.message ?? "no message"}`),
  };
}

function end(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error; // all of the group have ended
  }
}
