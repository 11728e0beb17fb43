// No sticky sessions: three gateways behind a proxy that never sends two requests of a
// session to the same gateway in a row, nor the first one to the gateway that opened it.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { collect, connected, next, until } from "../harness.mjs";
import { ask, calm, running } from "./deployment.mjs";
import { proxy } from "./proxy.mjs";

const metric = async (gateway, name) => {
  const text = await (await fetch(`${gateway.health}/metrics`)).text();
  return text.split("\n").filter((line) => line.startsWith(name)).reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
};
const total = async (gateways, name) => (await Promise.all(gateways.map((gateway) => metric(gateway, name)))).reduce((a, b) => a + b);

describe("three gateways without sticky sessions", () => {
  for (const [name, transports] of [
    ["polling only", ["polling"]],
    ["polling, then WebSocket", ["polling", "websocket"]],
    ["WebSocket only", ["websocket"]],
  ])
    test(name, async (t) => {
      const d = await running(t, { gateways: 3, flags: { gateway: calm } });
      const { client } = await proxy(t, d.gateways);
      const sockets = [0, 1, 2].map(() => client({ transports }));
      for (const socket of sockets) {
        socket.on("disconnect", (reason) => (socket.left = reason));
        await connected(socket);
      }
      if (transports.length === 2) {
        for (const socket of sockets) await until(() => socket.io.engine.transport.name === "websocket", "the upgrade");
        await until(async () => (await total(d.gateways, "natter_gateway_tunnels")) === 3, "three tunnels");
      }
      for (const socket of sockets) assert.equal((await ask(socket, "join", "red")).ok, true);

      // Events and acks under load: all hear the same, in one order, and each its own in its own.
      const heard = sockets.map((socket) => collect(socket, "room message"));
      const count = 60;
      const acks = await Promise.all(Array.from({ length: count }, (_, i) => ask(sockets[i % 3], "room message", "red", i)));
      assert.ok(acks.every((ack) => ack.ok && ack.id));
      const orders = (await Promise.all(heard.map((h) => h.of(count)))).map((all) => all.map(([, i]) => i));
      assert.deepEqual(orders[1], orders[0]);
      assert.deepEqual(orders[2], orders[0]);
      for (const sender of [0, 1, 2]) {
        const own = orders[0].filter((i) => i % 3 === sender);
        assert.deepEqual(own, own.toSorted((a, b) => a - b));
      }

      // Binary both ways, larger than a frame of the way between gateways.
      const file = randomBytes(300_000);
      const arrives = sockets.map((socket) => next(socket, "chat message"));
      assert.equal((await ask(sockets[0], "chat message", file)).ok, true);
      for (const [got] of await Promise.all(arrives)) assert.ok(file.equals(Buffer.from(got)), "the file arrives as it was sent");

      assert.ok(sockets.every((socket) => socket.connected && !socket.left), "nobody was disconnected in between");
      if (transports[0] === "polling") assert.ok((await total(d.gateways, "natter_gateway_carried_total")) > 0, "requests were carried");

      // The server's reason reaches the client, and the client's the server.
      sockets[0].disconnect();
      await until(async () => (await ask(sockets[1], "who", "red")).members.length === 2, "one to be gone");
      assert.equal(sockets[0].left, "io client disconnect");
      for (const socket of sockets) socket.disconnect();
      await until(async () => (await total(d.gateways, "natter_gateway_connections")) === 0, "all to be gone");
      await until(async () => (await total(d.gateways, "natter_gateway_carried_out")) === 0, "nothing to be carried");
    });

  test("a killed gateway: polls that wait for it end, and its clients come back elsewhere", async (t) => {
    const d = await running(t, { gateways: 3 });
    const { client, down } = await proxy(t, d.gateways);
    const sockets = [0, 1, 2, 3].map((i) => client({ transports: i % 2 ? ["polling"] : ["polling", "websocket"] }));
    for (const socket of sockets) await connected(socket);
    // A stock client whose WebSocket fails in the middle of an upgrade waits for its ping timeout.
    for (const i of [0, 2]) await until(() => sockets[i].io.engine.transport.name === "websocket", "the upgrade");
    const victim = sockets[1].id.split(".")[0];
    const dead = d.gateways[Number(victim.slice(1)) - 1];
    const ids = sockets.map((socket) => socket.id);
    const gone = next(sockets[1], "disconnect");
    down.add(dead); // as a balancer's health check does
    const began = Date.now();
    await dead.kill();
    const [reason] = await gone;
    assert.ok(["transport error", "transport close"].includes(reason), reason);
    assert.ok(Date.now() - began < 15_000, "soon, not after the length of a poll");
    await until(() => sockets[1].connected, "the client to be at another gateway");
    assert.deepEqual([sockets[1].id, sockets[1].recovered], [ids[1], true], "it goes on, though it has heard nothing");
    // Whoever's request or WebSocket was at the killed gateway comes back too, whenever it notices.
    const joined = (socket) => socket.timeout(1_000).emitWithAck("join", "red").then((ack) => ack.ok, () => false);
    for (const socket of sockets) await until(() => joined(socket), "the client to be served");
    await until(async () => (await ask(sockets[1], "who", "red")).members.length === 4, "all to be in the room");
  });
});
