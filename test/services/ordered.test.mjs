// What one client says goes to one of two instances of a service, in order, over two gateways; and what becomes of it
// when an instance is killed, or stops.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connected, next, until } from "../harness.mjs";
import { Process } from "../process.mjs";
import { ask, bin, dial, lease, running } from "./deployment.mjs";

// instance starts one more of examples/notes; unless it was killed, it must end cleanly.
async function instance(t, d) {
  const process = new Process(bin("notes"), [], { cwd: d.dir, env: { NATS_URL: d.natsUrl } });
  process.launch();
  t.after(() => process.stop());
  return process;
}

// writers makes clients of both gateways, by every transport, once the namespace is there.
async function writers(d, n) {
  const early = d.client("/notes");
  await until(() => {
    if (!early.active) early.connect();
    return early.connected;
  }, "the namespace /notes", 30_000);
  early.disconnect();
  const transports = [["websocket"], ["polling"], ["polling", "websocket"]];
  return Promise.all(Array.from({ length: n }, (_, i) => d.connected("/notes", { gateway: d.gateways[i % 2], transports: transports[i % 3] })));
}

// write types numbers without waiting for anything; text is what must stand there then.
const write = (socket, from, to) => {
  for (let i = from; i < to; i++) socket.emit("type", `${i} `);
};

// inOrder fails, in few words, unless a text is the numbers that were typed.
function inOrder(text, to) {
  const wrong = text.trim().split(" ").findIndex((n, i) => n !== String(i));
  assert.equal(wrong, -1, `at ${wrong} stands ${text.split(" ").slice(wrong, wrong + 3)}`);
  assert.equal(text.split(" ").length - 1, to);
}

describe("an ordered namespace", () => {
  test("a client's events go to one instance, in order, whatever happens to the other", async (t) => {
    const d = await running(t, { gateways: 2 });
    const instances = [await instance(t, d), await instance(t, d)];
    // A watcher of everything hides from NATS that an instance is gone.
    (await dial(t, { servers: d.natsUrl })).subscribe("natter.>", { callback: () => {} });
    const sockets = await writers(d, 12);
    for (const socket of sockets) write(socket, 0, 2000);
    const read = await Promise.all(sockets.map((socket) => ask(socket, "read")));
    for (const { text } of read) inOrder(text, 2000);
    const ids = new Set(read.map(({ by }) => by));
    assert.equal(ids.size, 2, "both instances have clients");

    // One is killed while all type on: its clients come back by themselves, to the other, and are in order again.
    const victims = sockets.filter((_, i) => read[i].by === read[0].by);
    const others = sockets.filter((socket) => !victims.includes(socket));
    const left = sockets.map(() => 0);
    sockets.forEach((socket, i) => socket.on("disconnect", () => left[i]++));
    const doomed = instances.find((process) => process.output.includes(read[0].by)); // it prints its id
    for (const socket of sockets) write(socket, 2000, 3000);
    await doomed.kill();
    const killed = Date.now();
    await Promise.all(victims.map((socket) => until(() => socket.connected && left[sockets.indexOf(socket)] > 0, "a victim to be back", 10 * lease)));
    t.diagnostic(`back ${Date.now() - killed} ms after the kill`);
    for (const socket of victims) write(socket, 0, 1000);
    for (const socket of victims) {
      const { text, by } = await ask(socket, "read");
      inOrder(text, 1000);
      assert.notEqual(by, read[0].by);
    }
    for (const socket of others) {
      inOrder((await ask(socket, "read")).text, 3000);
      assert.equal(left[sockets.indexOf(socket)], 0, "nobody else is disconnected");
    }
  });

  test("an instance that stops loses nothing that was acked, and hears all that it was told", async (t) => {
    const d = await running(t, { gateways: 2, flags: { gateway: ["--no-recovery"] } }); // each socket belongs to one instance
    const first = await instance(t, d);
    const sockets = await writers(d, 6);
    const acked = new Map(); // by socket id: the length of the text that was confirmed
    let going = true;
    const typing = sockets.map(async (socket) => {
      while (going) {
        await connected(socket);
        const id = socket.id;
        try {
          acked.set(id, await socket.timeout(30_000).emitWithAck("type", "x"));
        } catch (error) {
          assert.match(error.message, /disconnected|timed out/);
        }
      }
    });
    await until(() => acked.size === 6 && [...acked.values()].every((n) => n > 20), "all to type");
    const before = new Map(sockets.map((socket) => [socket, socket.id]));
    const gone = Promise.all(sockets.map((socket) => next(socket, "disconnect", 30_000)));
    const second = await instance(t, d);
    await first.stop();
    for (const [reason] of await gone) assert.match(reason, /^transport (close|error)$/);
    await until(() => sockets.every((socket) => socket.connected && acked.get(socket.id) > 20), "all to type again", 30_000);
    going = false;
    await Promise.all(typing);
    for (const id of before.values()) {
      const [, length] = first.output.match(new RegExp(`${id} left after (\\d+) characters: forced server close`)) ?? [];
      assert.ok(Number(length) >= acked.get(id), `of ${id} ${acked.get(id)} characters were confirmed, ${length} had been heard`);
      assert.ok(!second.output.includes(id), "the other instance never hears of it");
    }
  });
});
