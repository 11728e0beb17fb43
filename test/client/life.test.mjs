// A connection's life: heartbeat, the reasons of its end on both sides, and what
// comes after.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { collect, connected, fastHeartbeat, next, start, suite, until } from "../harness.mjs";

// ends gathers why sockets were disconnected, as services hear it.
async function ends(backend) {
  const reasons = new Map();
  await backend.on("/", "disconnect", ([reason], { socket }) => void reasons.set(socket, reason));
  return (id) => until(() => reasons.get(id), `the disconnect event of ${id}`);
}

describe("heartbeat", { concurrency: true }, () => {
  for (const transport of ["websocket", "polling"]) {
    test(`keeps a quiet connection over ${transport} alive`, async (t) => {
      const natter = await start(t, ...fastHeartbeat);
      const socket = natter.client("/", { transports: [transport] });
      const pings = collect(socket.io, "ping");
      const end = collect(socket, "disconnect");
      await connected(socket);
      await pings.of(10); // for longer than the connection lasts without
      assert.equal(socket.connected, true);
      assert.deepEqual(end.all, []);
    });
  }

  test("ends the connection of a client that does not answer", async (t) => {
    const natter = await start(t, ...fastHeartbeat);
    const reason = await ends(await natter.nats());
    const socket = await natter.connected("/", { transports: ["websocket"], reconnection: false });
    const { id } = socket;
    const end = next(socket, "disconnect");
    socket.io.engine.transport.send = () => {}; // a client that has fallen asleep
    assert.equal(await reason(id), "ping timeout");
    assert.ok(["transport close", "ping timeout"].includes((await end)[0]));
  });
});

describe("the end of a connection", () => {
  let natter;
  let backend;
  let reason;
  const t = suite();
  before(async () => {
    natter = await start(t);
    backend = await natter.nats();
    reason = await ends(backend);
  });

  test("the client leaves the namespace", async () => {
    const socket = await natter.connected();
    const { id } = socket;
    const end = next(socket, "disconnect");
    socket.disconnect();
    assert.equal((await end)[0], "io client disconnect");
    assert.equal(await reason(id), "client namespace disconnect");
  });

  test("a service disconnects the client, which stays away", async () => {
    const socket = await natter.connected();
    const { id } = socket;
    const end = next(socket, "disconnect");
    await backend.do("/", `socket.${id}`, ["disconnect"]);
    assert.equal((await end)[0], "io server disconnect");
    assert.equal(socket.active, false);
    assert.equal(await reason(id), "server namespace disconnect");
  });

  for (const transport of ["websocket", "polling"]) {
    test(`the transport ends: ${transport}`, async () => {
      const socket = await natter.connected("/", { transports: [transport], reconnection: false });
      const { id } = socket;
      const end = next(socket, "disconnect");
      socket.io.engine.close();
      assert.equal((await end)[0], "forced close");
      assert.equal(await reason(id), "transport close");
    });
  }

  // The reasons are those of the reference server: its Engine.IO layer tells a parse
  // error, its Socket.IO layer closes what it cannot read.
  for (const [layer, message, want] of [
    ["Engine.IO", "abc", "parse error"],
    ["Socket.IO", '42["disconnecting"]', "forced close"],
  ]) {
    test(`what breaks the ${layer} protocol is cut off`, async () => {
      const socket = await natter.connected("/", { transports: ["websocket"], reconnection: false });
      const { id } = socket;
      const end = next(socket, "disconnect");
      socket.io.engine.transport.ws.send(message);
      assert.equal((await end)[0], "transport close");
      assert.equal(await reason(id), want);
    });
  }

  test("a service hears connect, disconnecting, disconnect in this order", async () => {
    const heard = [];
    for (const event of ["connect", "disconnecting", "disconnect"]) {
      await backend.on("/", event, (_, { socket }) => void heard.push([socket, event]));
    }
    const socket = await natter.connected();
    const { id } = socket;
    const own = () => heard.filter(([socket]) => socket === id).map(([, event]) => event);
    await until(() => own().length === 1, "the connect event");
    socket.disconnect();
    await until(() => own().length === 3, "the three events");
    assert.deepEqual(own(), ["connect", "disconnecting", "disconnect"]);
  });
});

describe("coming back", () => {
  for (const end of ["stop", "kill"]) {
    test(`clients reconnect by themselves after a ${end} and a start`, async (t) => {
      const natter = await start(t);
      const sockets = await Promise.all([natter.connected("/", { transports: ["websocket"] }), natter.connected("/", { transports: ["polling"] })]);
      const gone = sockets.map((socket) => next(socket, "disconnect", 20_000));
      await natter[end]();
      for (const [reason] of await Promise.all(gone)) {
        assert.ok(["transport close", "transport error"].includes(reason), `${reason} lets a client reconnect`);
      }
      for (const socket of sockets) assert.equal(socket.active, true);

      const back = sockets.map((socket) => next(socket, "connect", 40_000));
      await natter.start();
      await Promise.all(back);

      const heard = sockets.map((socket) => next(socket, "chat message"));
      assert.equal((await sockets[0].timeout(10_000).emitWithAck("chat message", "we are back")).ok, true);
      for (const [text] of await Promise.all(heard)) assert.equal(text, "we are back");
    });
  }
});
