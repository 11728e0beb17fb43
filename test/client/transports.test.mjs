// Stock clients and their transports: what is remembered, what is deferred, what is said when a session is gone.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { collect, connected, next, start, suite, until } from "../harness.mjs";

describe("transports", () => {
  let natter;
  let backend;
  const t = suite();
  before(async () => {
    natter = await start(t, "--cookie", "io");
    backend = await natter.nats();
  });

  const upgraded = (socket) => until(() => socket.io.engine?.transport.name === "websocket", "the upgrade");

  test("a client that remembers its upgrade begins with WebSocket the next time, another does not", async () => {
    for (const rememberUpgrade of [true, false]) {
      const socket = await natter.connected("/", { rememberUpgrade });
      await upgraded(socket);
      socket.disconnect();
      socket.connect();
      assert.equal(socket.io.engine.transport.name, rememberUpgrade ? "websocket" : "polling");
      await connected(socket);
      socket.disconnect();
    }
  });

  test("a client that closes during its upgrade has said all that it said before", async () => {
    const heard = [];
    await backend.on("/", "last words", ([n]) => void heard.push(n));
    const ends = [];
    await backend.on("/", "disconnect", ([reason], { socket }) => void ends.push([socket, reason]));
    for (let round = 0; round < 5; round++) {
      const socket = await natter.connected();
      const { id } = socket;
      heard.length = 0;
      await new Promise((resolve) => socket.io.engine.once("upgrading", resolve));
      for (let n = 0; n < 20; n++) socket.emit("last words", n);
      socket.disconnect();
      await until(() => ends.some(([gone]) => gone === id), "the end");
      assert.deepEqual(heard, Array.from({ length: 20 }, (_, n) => n));
      assert.equal(ends.find(([gone]) => gone === id)[1], "client namespace disconnect");
    }
  });

  test("nothing is sent after the close", async () => {
    const heard = [];
    await backend.on("/", "too late", () => void heard.push(1));
    const socket = await natter.connected("/", { reconnection: false });
    const { engine } = socket.io;
    engine.close();
    engine.write('42["too late"]');
    const other = await natter.connected();
    await backend.on("/", "in time", () => []);
    await other.timeout(10_000).emitWithAck("in time");
    assert.deepEqual(heard, []);
    other.disconnect();
  });

  test("cookies come back from a client that may send them, and from no other", async () => {
    for (const withCredentials of [true, false]) {
      const socket = await natter.connected("/", { transports: ["polling"], withCredentials });
      const sent = [];
      const jar = socket.io.engine._cookieJar;
      assert.equal(Boolean(jar), withCredentials);
      if (jar) for (const [name, { value }] of jar.cookies) sent.push(`${name}=${value}`);
      assert.deepEqual(sent, withCredentials ? [`io=${socket.io.engine.id}`] : []);
      assert.equal((await socket.timeout(10_000).emitWithAck("chat message", "with and without cookies")).ok, true);
      socket.disconnect();
    }
  });

  for (const transport of ["polling", "websocket"]) {
    test(`a session that is gone is told so over ${transport}, and a new one begins`, async () => {
      const socket = natter.client("/", { transports: [transport], query: { sid: "no such session" }, reconnection: false });
      let body; // which the client forgets soon
      socket.once("connect_error", (error) => (body = error.context?.responseText));
      const [error] = await next(socket, "connect_error");
      if (transport === "polling") assert.deepEqual([error.description, JSON.parse(body)], [400, { code: 1, message: "Session ID unknown" }]);
      else assert.match(error.description.message, /400/);
      delete socket.io.opts.query.sid;
      socket.connect();
      await connected(socket);
      socket.disconnect();
    });
  }

  test("each transport alone carries multi-byte text and binary data, also as base64", async () => {
    await backend.on("/", "carry", (args, { attachments }) => ({ args, attachments }));
    const bytes = Uint8Array.from({ length: 5 }, (_, i) => i);
    for (const options of [{ transports: ["polling"] }, { transports: ["websocket"] }, { transports: ["polling"], forceBase64: true }, { transports: ["websocket"], forceBase64: true }]) {
      const socket = await natter.connected("/", options);
      const heard = collect(socket, "carried");
      const [text, binary] = await new Promise((resolve) => socket.emit("carry", "weiß, 漢字, € 😀\u{1d11e}", bytes, (...args) => resolve(args)));
      assert.equal(text, "weiß, 漢字, € 😀\u{1d11e}");
      assert.deepEqual(Buffer.from(binary), Buffer.from(bytes));
      await backend.emit("/", `socket.${socket.id}`, ["carried", { _placeholder: true, num: 0 }, "ü"], { attachments: [Buffer.from(bytes)] });
      const [[data, after]] = await heard.of(1);
      assert.deepEqual([Buffer.from(data), after], [Buffer.from(bytes), "ü"]);
      socket.disconnect();
    }
  });
});

describe("a transport that the server does not have", () => {
  test("is passed over by a client that tries all, either way round, and an error for one that does not", async (t) => {
    for (const [has, lacks] of [["websocket", "polling"], ["polling", "websocket"]]) {
      const natter = await start(t, "--transports", has);
      const socket = await natter.connected("/", { transports: [lacks, has], tryAllTransports: true });
      assert.equal(socket.io.engine.transport.name, has);
      const stubborn = natter.client("/", { transports: [lacks, has], reconnection: false });
      await next(stubborn, "connect_error");
      assert.equal(stubborn.connected, false);
    }
  });
});
