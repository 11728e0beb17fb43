// Runs programs as their users do: starts them, waits until they are ready, keeps
// what they print, and sees to it that they end cleanly.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { until, within } from "./wait.mjs";

const startTimeout = 60_000;
const stopTimeout = 40_000;

// Process is one program with its arguments. It can be started again after its end.
export class Process {
  #child;
  #ended; // resolves to { code, signal }
  stdout = "";
  stderr = "";
  output = ""; // both, as they came

  // ready is asked again and again after a start, until it gives true.
  // user, if given, is {uid, gid} of the user that it runs as.
  constructor(program, args, { name = program.split("/").at(-1), cwd, env, user, ready = () => true } = {}) {
    Object.assign(this, { program, args, name, cwd, env, user, isReady: ready });
  }

  // start starts the program and waits until it is ready.
  async start() {
    this.launch();
    await this.ready();
  }

  // launch starts the program without waiting for anything.
  launch() {
    const env = this.env && { ...process.env, ...this.env };
    const child = spawn(this.program, this.args, { cwd: this.cwd, env, ...this.user, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    for (const stream of ["stdout", "stderr"]) {
      child[stream].setEncoding("utf8").on("data", (text) => {
        this[stream] += text;
        this.output += text;
      });
    }
    this.#ended = new Promise((resolve) => {
      child.once("error", (error) => resolve({ error }));
      child.once("close", (code, signal) => resolve({ code, signal }));
    });
  }

  // ready waits until the program is ready; that it ends before is an error.
  async ready(ms = startTimeout) {
    const child = this.#child;
    const early = this.#ended.then((end) => {
      throw new Error(`${this.name} ended before it was ready: ${describe(end)}`);
    });
    let over = false;
    early.catch(() => (over = true)); // it ends at last; by then this is no news
    try {
      await Promise.race([until(() => over || this.isReady(), `${this.name} to be ready`, ms), early]);
    } catch (error) {
      child.kill("SIGKILL");
      throw new Error(`${error.message}\n${this.tail()}`);
    }
  }

  // pid is its process id; undefined before it runs and when it has ended.
  get pid() {
    return this.#child?.pid;
  }

  signal(name) {
    this.#child.kill(name);
  }

  // ended waits until the program has ended by itself and says how.
  async ended(ms = stopTimeout) {
    try {
      return await within(this.#ended, `${this.name} to end`, ms);
    } catch (error) {
      this.#child.kill("SIGKILL");
      throw new Error(`${error.message}\n${this.tail()}`);
    } finally {
      this.#child = undefined;
    }
  }

  // stop ends the program as a service manager does. It must end by itself, with
  // status 0 and without a panic or a data race.
  async stop(signal = "SIGTERM") {
    if (!this.#child) return;
    this.signal(signal);
    const end = await this.ended();
    const clean = end.code === 0 && !/WARNING: DATA RACE|^panic: |^fatal error: /m.test(this.output);
    assert.ok(clean, `${this.name} did not stop cleanly: ${describe(end)}\n${this.tail()}`);
  }

  // kill ends the program without a warning.
  async kill() {
    this.signal("SIGKILL");
    await this.ended();
  }

  // destroy kills the program, if it runs, and does not wait for anything.
  destroy() {
    this.#child?.kill("SIGKILL");
  }

  tail() {
    return `--- the end of the output of ${this.name} ---\n${this.output.slice(-8000)}`;
  }
}

// answers says whether a page answers with success, for [Process]'s ready.
export const answers = (url) => async () => (await fetch(url)).ok;

const describe = ({ code, signal, error }) => (error ? error.message : signal ? `killed by ${signal}` : `status ${code}`);
