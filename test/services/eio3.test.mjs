// Stock clients of Socket.IO 2 with several gateways, without sticky sessions.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { ask, client, connected } from "../eio3.mjs";
import { collect, connected as modernConnected, next, until } from "../harness.mjs";
import { ask as modernAsk, calm, running } from "./deployment.mjs";
import { proxy } from "./proxy.mjs";

describe("clients of Socket.IO 2 and three gateways without sticky sessions", () => {
  for (const transports of [["polling"], ["polling", "websocket"], ["websocket"]])
    test(transports.join(", then "), async (t) => {
      const d = await running(t, { gateways: 3, flags: { gateway: [...calm, "--allow-eio3", "--ping-interval", "500ms", "--ping-timeout", "10s"] } });
      const old = await proxy(t, d.gateways, client);
      const modern = await proxy(t, d.gateways);
      const sockets = [0, 1, 2].map(() => old.client({ transports }));
      const beside = modern.client({ transports });
      for (const socket of sockets) {
        socket.on("disconnect", (reason) => (socket.left = reason));
        await connected(socket);
      }
      await modernConnected(beside);
      if (transports.length === 2) {
        for (const socket of sockets) await until(() => socket.io.engine.transport.name === "websocket", "the upgrade");
      }
      const pongs = collect(sockets[0], "pong");
      for (const socket of sockets) assert.equal((await ask(socket, "join", "red")).ok, true);
      await modernAsk(beside, "join", "red");

      const all = [...sockets, beside];
      const heard = all.map((socket) => collect(socket, "room message"));
      const count = 40;
      const acks = await Promise.all(Array.from({ length: count }, (_, i) => ask(all[i % 4], "room message", "red", i)));
      assert.ok(acks.every((ack) => ack.ok && ack.id));
      const orders = (await Promise.all(heard.map((h) => h.of(count)))).map((messages) => messages.map(([, i]) => i));
      for (const order of orders) assert.deepEqual(order, orders[0]);

      const file = randomBytes(300_000);
      for (const sender of [sockets[0], beside]) {
        const arrives = all.map((socket) => next(socket, "chat message"));
        sender.emit("chat message", file);
        for (const [got] of await Promise.all(arrives)) assert.ok(file.equals(Buffer.from(got)), "the file arrives as it was sent");
      }
      await pongs.of(3); // pings are carried as well
      assert.ok(sockets.every((socket) => socket.connected && !socket.left), "nobody was disconnected in between");
    });
});

// One that does not allow such clients still takes their requests to the one that does.
test("clients of Socket.IO 2 are served by the gateway that has their session", async (t) => {
  const d = await running(t, { gateways: 2 });
  const [strict, open] = d.gateways;
  await open.stop();
  open.args.push("--allow-eio3");
  await open.start();
  const refused = await fetch(`${strict.url}/socket.io/?EIO=3&transport=polling`);
  assert.deepEqual([refused.status, (await refused.json()).code], [400, 5]);

  const opened = await fetch(`${open.url}/socket.io/?EIO=3&transport=polling`);
  const [, packet] = (await opened.text()).match(/^\d+:0(\{.*\})$/);
  const at = `/socket.io/?EIO=3&transport=polling&sid=${JSON.parse(packet).sid}`;
  const entered = await fetch(strict.url + at);
  assert.equal(await entered.text(), "2:40");
  const pinged = await fetch(strict.url + at, { method: "POST", body: "1:2" });
  assert.equal(await pinged.text(), "ok");
  assert.equal(await (await fetch(open.url + at)).text(), "1:3");
});
