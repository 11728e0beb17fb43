// What a stock client missed, over connections that break while it is being sent.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { client, collect, connected, fastHeartbeat, start, until } from "../harness.mjs";
import { breaking } from "./breaking.mjs";

const patience = 30_000;
const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

describe("what a client missed", { concurrency: true }, () => {
  for (const transport of ["websocket", "polling"]) {
    test(`comes once and in order, though connections break while it comes: ${transport}`, async (t) => {
      const natter = await start(t);
      const services = await natter.nats();
      const network = await breaking(t, natter.place.port);
      const ann = client(network.url, "/", { transports: [transport] });
      t.after(() => ann.disconnect());
      const heard = collect(ann, "n");
      let packets; // of the connection; the client's own listener was there before
      ann.io.on("open", () => (packets = 0));
      ann.io.on("packet", () => packets++);
      await connected(ann);
      const { id } = ann;
      await services.emit("/", "all", ["n", 0]);
      await heard.of(1);
      network.break();
      await until(() => !ann.connected, "the network to be gone", patience);
      for (const n of numbers(1, 101)) await services.emit("/", "all", ["n", n, "x".repeat(5_000)]);
      const connects = [];
      ann.on("connect", () => connects.push([ann.id, ann.recovered, packets]));
      network.limits = [200_000, 200_000, 100_000];
      network.cut = false;
      await until(() => heard.all.some(([n]) => n === 100), "the last message", patience);
      await services.emit("/", "all", ["n", 101]);
      await until(() => heard.all.some(([n]) => n === 101), "what is said when it is back", patience);
      assert.deepEqual(heard.all.map(([n]) => n), numbers(0, 102), "each once, in order");
      assert.equal(network.broken, 3);
      for (const connect of connects) assert.deepEqual(connect, [id, true, 0], "the same socket, and CONNECT is answered before all else");
      // A poll is answered with all of it or nothing; over a WebSocket every connection brings it further.
      assert.equal(connects.length, transport === "websocket" ? 4 : 1);
    });
  }

  test("comes once and in order, when its process was stopped for longer than heartbeats last, as by a laptop that sleeps", async (t) => {
    const natter = await start(t, ...fastHeartbeat);
    const services = await natter.nats();
    const gone = [];
    await services.on("/", "disconnect", ([reason]) => void gone.push(reason));
    const sleeper = spawn(process.execPath, [new URL("sleeper.mjs", import.meta.url).pathname, natter.url], { stdio: ["ignore", "pipe", "inherit"] });
    t.after(() => sleeper.kill("SIGKILL"));
    const lines = [];
    createInterface({ input: sleeper.stdout }).on("line", (line) => lines.push(JSON.parse(line)));
    const connects = () => lines.filter(([what]) => what === "connect");
    const heard = () => lines.filter(([what]) => what === "n").map(([, n]) => n);
    await until(() => connects().length === 1, "the client to connect", patience);
    const say = async (from, to) => {
      for (const n of numbers(from, to)) await services.emit("/", "all", ["n", n]);
    };
    await say(0, 2);
    await until(() => heard().length === 2, "the first messages", patience);
    sleeper.kill("SIGSTOP");
    await say(2, 4); // the system takes them for it
    await until(() => gone.length > 0, "the gateway to miss it", patience);
    assert.deepEqual(gone, ["ping timeout"]);
    await say(4, 6);
    sleeper.kill("SIGCONT");
    await until(() => connects().length === 2, "the client to be back", patience);
    await say(6, 8);
    await until(() => heard().at(-1) === 7, "the last message", patience);
    assert.deepEqual(heard(), numbers(0, 8), "each once, in order");
    const [[, id], [, again, recovered]] = connects();
    assert.deepEqual([again, recovered], [id, true]);
  });
});
