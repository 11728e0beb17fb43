// Clients that come back: stock ones, of processes that are killed.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { collect, connected, next, start, until } from "../harness.mjs";
import { proxy } from "./proxy.mjs";
import { ask, dial, running } from "./deployment.mjs";

const patience = 30_000;
const said = (heard) => heard.all.map((args) => args[1]);
const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

// roaming makes a client that reaches all gateways, behind a proxy that keeps none to one.
async function roaming(t, d, options) {
  const p = await proxy(t, d.gateways);
  const socket = p.client(options);
  await connected(socket);
  const holder = d.gateways.find((gateway) => socket.id.startsWith(`${gateway.name.split(" ")[1]}.`));
  const lose = async () => {
    p.down.add(holder);
    await holder.kill();
  };
  return { socket, holder, lose };
}

// back waits until a client is connected again, and says whether it went on as it was.
async function back(socket, before) {
  await until(() => socket.connected, "the client to come back", patience);
  return socket.recovered && socket.id === before;
}

describe("a client comes back", { concurrency: 2 }, () => {
  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
    test(`when its gateway was killed: ${transports.join(", then ")}`, async (t) => {
      const d = await running(t, { gateways: 2 });
      const { socket: ann, holder, lose } = await roaming(t, d, { transports });
      assert.equal((await ask(ann, "join", "red")).ok, true);
      const heard = collect(ann, "room message");
      const other = d.gateways.find((gateway) => gateway !== holder);
      const speaker = await d.connected("/", { gateway: other });
      assert.equal((await ask(speaker, "join", "red")).ok, true);
      const say = async (from, to) => {
        for (const n of numbers(from, to)) assert.equal((await ask(speaker, "room message", "red", n)).ok, true);
      };
      await say(0, 3);
      await heard.of(3);
      const id = ann.id;
      const gone = next(ann, "disconnect", patience);
      await lose();
      await say(3, 6);
      await gone;
      await say(6, 8);
      assert.equal(await back(ann, id), true, "it went on as the same socket");
      await say(8, 10);
      await until(() => said(heard).at(-1) === 9, "the last message", patience);
      assert.deepEqual(said(heard), numbers(0, 10), "each once, in order");
      assert.equal((await ask(ann, "room message", "red", "mine")).ok, true, "it is in its room");
    });
  }

  test("that has heard nothing yet, and says to its room again what was not acked", async (t) => {
    const d = await running(t, { gateways: 2 });
    const { socket: ann, lose } = await roaming(t, d, { transports: ["websocket"], retries: 50, ackTimeout: 2_000 });
    const any = [];
    ann.onAny((...event) => any.push(event));
    assert.equal((await ann.emitWithAck("join", "red")).ok, true);
    const id = ann.id;
    assert.deepEqual(any, []);
    await lose();
    const ack = await ann.emitWithAck("room message", "red", "hello", "the id");
    assert.equal(ack.ok, true, `it is in its room: ${JSON.stringify(ack)}`);
    assert.equal(await back(ann, id), true, "it went on as the same socket");
    await until(() => any.some(([event, room, text]) => event === "room message" && room === "red" && text === "hello"), "its own words", patience);
  });

  test("when NATS was killed, and when its gateway was meanwhile", async (t) => {
    const d = await running(t, { gateways: 2 });
    const { socket: ann, lose } = await roaming(t, d, { transports: ["websocket"] });
    const heard = collect(ann, "n");
    const services = await dial(t, { servers: d.natsUrl, reconnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    const say = (n) => until(async () => (await services.request("natter.emit._.all", JSON.stringify(["n", "", n]), { timeout: 2_000 })).json().seq, "a message to be stored", patience);
    await say(0);
    await heard.of(1);
    const id = ann.id;
    await d.nats.kill();
    d.nats.launch();
    await d.nats.ready();
    await say(1);
    await until(() => said(heard).at(-1) === 1, "what was said after NATS came back", patience);
    assert.equal(ann.id, id, "it was not even disconnected");
    await d.nats.kill();
    await lose();
    d.nats.launch();
    await d.nats.ready();
    await say(2);
    await until(() => said(heard).at(-1) === 2, "what was said while it was away", patience);
    assert.equal(await back(ann, id), true);
    assert.deepEqual(said(heard), [0, 1, 2]);
  });

  test("when all of Natter was killed and started again", async (t) => {
    const natter = await start(t);
    const ann = await natter.connected("/", { transports: ["websocket"] });
    assert.equal((await ask(ann, "join", "red")).ok, true);
    const heard = collect(ann, "room message");
    assert.equal((await ask(ann, "room message", "red", "before")).ok, true);
    await heard.of(1);
    const id = ann.id;
    for (const end of [() => natter.kill(), () => natter.stop()]) {
      const gone = next(ann, "disconnect", patience);
      await end();
      await gone;
      await natter.start();
      assert.equal(await back(ann, id), true);
      assert.equal((await ask(ann, "room message", "red", "after")).ok, true, "it is in its room");
    }
    await heard.of(3);
    assert.deepEqual(said(heard), ["before", "after", "after"]);
  });
});
