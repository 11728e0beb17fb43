// The clients, divided over some processes.

import { fork } from "node:child_process";
import { join } from "node:path";
import { once } from "node:events";
import { until, within } from "../wait.mjs";

const patience = 120_000;

export const processes = ["c1", "c2", "c3", "c4"];

export class Crew {
  #children = new Map();
  #ids = 0;

  constructor({ dir, count, seed, ...common }) {
    processes.forEach((name, i) => {
      const names = Array.from({ length: count }, (_, j) => `client ${j + 1}`).filter((_, j) => j % processes.length === i);
      const task = { ...common, names, seed: seed * 1000 + 250 * i, path: join(dir, `${name}.journal`) };
      const child = fork(new URL("clients.mjs", import.meta.url), [JSON.stringify(task)]);
      this.#children.set(name, child);
    });
  }

  // all are the processes by name, to be hit.
  get all() {
    return Object.fromEntries([...this.#children].map(([name, child]) => [name, { signal: (signal) => child.kill(signal) }]));
  }

  // tell has each process do something and returns what they answer.
  async tell(task, args = {}) {
    const answers = [...this.#children].map(async ([name, child]) => {
      const id = ++this.#ids;
      const answer = new Promise((resolve) => {
        const hear = (message) => {
          if (message.id !== id) return;
          child.off("message", hear);
          resolve(message.result);
        };
        child.on("message", hear);
      });
      child.send({ id, task, ...args });
      return within(answer, `${name}, a process of clients, to answer`, patience);
    });
    return (await Promise.all(answers)).flat();
  }

  // settled waits until all clients are connected and in their rooms, owed nothing, and have heard what they expect. It
  // returns those of whom that is not true in the end.
  async settled(ms = patience) {
    let late;
    await until(async () => (late = await this.tell("settled")).length === 0, "all clients to settle", ms, 200).catch(() => {});
    return late;
  }

  async end() {
    const ends = [...this.#children.values()].map((child) => once(child, "exit"));
    await this.tell("end");
    await within(Promise.all(ends), "the processes of clients to end", patience);
  }

  kill() {
    for (const child of this.#children.values()) child.kill("SIGKILL");
  }
}
