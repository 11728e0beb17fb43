// Starts what a suite talks to, on the port that the suite has in its code: the gateway with a back end in a process of its
// own, or the gateway's transport alone.

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../ports.mjs";
import { Process, answers } from "../process.mjs";
import { words } from "./checkout.mjs";

export const programs = new URL("../../bin/suites/", import.meta.url).pathname;

// available says so if a suite's port is taken.
export async function available(port) {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (error) {
    throw new Error(`port ${port} of 127.0.0.1, which the suites have in their code, cannot be used (${error.code}): end what listens there; ss -ltnp 'sport = :${port}' shows it`);
  }
  await once(server.close(), "close");
}

// start starts what the suite talks to, and gives {stop, logs}: stop ends it and says if it did not end cleanly, logs is the end of what
// its processes logged.
export async function start(suite, folder) {
  await available(suite.port);
  const started = [];
  const dir = await mkdtemp(join(tmpdir(), "natter-suites-"));
  const stop = async () => {
    try {
      for (const process of started.reverse()) await process.stop();
    } finally {
      for (const process of started) process.destroy();
      await rm(dir, { recursive: true, force: true });
    }
  };
  const run = async (program, args, ready) => {
    const process = new Process(programs + program, args, { cwd: dir, ready: ready ?? (() => process.stdout.includes("ready\n")) });
    started.push(process);
    await process.start();
  };
  try {
    if (suite.server === "engine") {
      await run("enginesuite", ["-listen", `127.0.0.1:${suite.port}`, ...suite.flags]);
    } else {
      const [nats, health] = await freePorts(2);
      const config = new URL(`${suite.server}.yaml`, import.meta.url).pathname;
      const flags = ["--config", config, "--data", join(dir, "data"), "--nats-port", `${nats}`, "--health-listen", `127.0.0.1:${health}`, "--log-level", "warn"];
      await run("natter", flags, answers(`http://127.0.0.1:${health}/readyz`));
      await run("backend", ["-nats-url", `nats://127.0.0.1:${nats}`, "-suite", suite.server, "-words", JSON.stringify(words(folder))]);
    }
  } catch (error) {
    await stop().catch(() => {}); // the first error says more
    throw error;
  }
  return { stop, logs: () => started.map(({ name, stderr }) => `--- ${name} logged ---\n${stderr.slice(-4000)}`).join("\n") };
}
