// What options of the server mean to stock clients: the gateway's settings of Socket.IO's names.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { headers } from "@nats-io/transport-node";
import { client, connected, next, start, until, within } from "../harness.mjs";

const long = "again and ".repeat(2_000);
const ask = (socket, ...event) => socket.timeout(10_000).emitWithAck(...event);
const socketOf = (client) => client.io.engine.transport.ws;
const received = (client) => socketOf(client)._socket.bytesRead;
const sent = (client) => socketOf(client)._socket.bytesWritten;

describe("perMessageDeflate", () => {
  test("compresses both ways for clients that offer it, and for no others", async (t) => {
    const natter = await start(t, "--per-message-deflate");
    const backend = await natter.nats();
    for (const [offer, extension] of [[true, "permessage-deflate"], [{ threshold: 0 }, "permessage-deflate"], [false, ""]]) {
      const socket = await natter.connected("/", { transports: ["websocket"], perMessageDeflate: offer });
      assert.equal(socketOf(socket).extensions, extension);
      const compressed = (before, after, what) => assert.equal(after - before < 2_000, Boolean(extension), `${what} with ${JSON.stringify(offer)}: ${after - before} bytes`);

      let heard = next(socket, "news");
      let before = received(socket);
      await backend.emit("/", `socket.${socket.id}`, ["news", long]);
      assert.deepEqual(await heard, [long]);
      compressed(before, received(socket), "emit");

      before = sent(socket);
      heard = next(socket, "chat message");
      assert.equal((await ask(socket, "chat message", long)).ok, true);
      assert.equal((await heard)[0], long);
      compressed(before, sent(socket), "a client's event");

      // Binary data next to text, and what is too short to be worth it.
      await backend.on("/", "mirror", (args, { attachments }) => ({ args, attachments }));
      const zeros = Buffer.alloc(50_000);
      before = received(socket);
      assert.deepEqual(await ask(socket, "mirror", zeros), zeros);
      compressed(before, received(socket), "an ack");
      assert.equal(await ask(socket, "mirror", "short"), "short");

      // socket.compress(false)
      const h = headers();
      h.set("Natter-Compress", "false");
      before = received(socket);
      heard = next(socket, "news");
      await backend.connection.request(`natter.emit._.socket.${socket.id}`, JSON.stringify(["news", long]), { headers: h, timeout: 10_000 });
      assert.deepEqual(await heard, [long]);
      assert.ok(received(socket) - before > long.length, "not compressed, since it was said so");
      socket.disconnect();
    }
  });

  test("does not let a small message become a large one", async (t) => {
    const natter = await start(t, "--per-message-deflate", "--max-http-buffer-size", "100KB");
    const socket = await natter.connected("/", { transports: ["websocket"], perMessageDeflate: true });
    const closed = new Promise((resolve) => socketOf(socket).addEventListener("close", ({ code }) => resolve(code)));
    const before = sent(socket);
    const wire = socketOf(socket)._socket;
    socket.emit("chat message", "0".repeat(50_000_000));
    assert.equal(await within(closed, "the end of the connection"), 1009);
    assert.ok(wire.bytesWritten - before < 100_000, "few bytes on the way");
    await connected(socket);
    assert.equal((await ask(socket, "chat message", "still here")).ok, true);
  });

  test("is off unless it is turned on", async (t) => {
    const natter = await start(t);
    const socket = await natter.connected("/", { transports: ["websocket"], perMessageDeflate: true });
    assert.equal(socketOf(socket).extensions, "");
    assert.equal((await ask(socket, "chat message", long)).ok, true);
  });
});

describe("allowRequest", () => {
  const query = "EIO=4&transport=polling";

  test("has a service decide, and nobody gets in without its word", async (t) => {
    const natter = await start(t, "--allow-request", "door");
    for (const transport of ["polling", "websocket"]) {
      const socket = natter.client("/", { transports: [transport], query: { name: transport }, extraHeaders: { "x-ticket": "42" } });
      // Nobody is there.
      await next(socket, "connect_error");
      assert.equal((await fetch(`${natter.url}/socket.io/?${query}`)).status, 503);

      // A no is not final: clients ask again, as they do of any Socket.IO server.
      const door = await natter.nats();
      let open = false;
      const asked = [];
      door.connection.subscribe("natter.allow.door", {
        callback: (_, message) => {
          asked.push(message.json());
          message.respond(JSON.stringify(open ? { ok: true } : { ok: false, message: "not <yet>" }));
        },
      });
      await door.connection.flush();
      await until(() => asked.length > 1, "the client to ask again");
      const refused = await fetch(`${natter.url}/socket.io/?${query}`);
      assert.equal(refused.status, 403);
      assert.deepEqual(await refused.json(), { code: 4, message: "not <yet>" });
      assert.equal(socket.connected, false);
      assert.equal(socket.active, true);
      open = true;
      await connected(socket);
      assert.equal((await ask(socket, "chat message", "inside")).ok, true);

      const { handshake } = asked.find(({ handshake: { query } }) => query.name);
      assert.equal(handshake.query.transport, transport);
      assert.equal(handshake.query.name, transport);
      assert.equal(handshake.headers["x-ticket"], "42");
      assert.equal("auth" in handshake, false);
      await door.connection.close();
      // Those who are in stay.
      assert.equal((await ask(socket, "chat message", "still inside")).ok, true);
      socket.disconnect();
    }
  });
});

describe("where and how clients connect", () => {
  test("addTrailingSlash and path", async (t) => {
    const natter = await start(t, "--path", "/live", "--no-add-trailing-slash");
    for (const addTrailingSlash of [true, false]) {
      for (const transport of ["polling", "websocket"]) {
        const socket = await natter.connected("/", { path: "/live", addTrailingSlash, transports: [transport] });
        assert.equal((await ask(socket, "chat message", "hi")).ok, true);
        socket.disconnect();
      }
    }
    assert.equal((await fetch(`${natter.url}/live/socket.io.js`)).status, 200);
    assert.equal((await fetch(`${natter.url}/socket.io/?EIO=4&transport=polling`)).status, 404);
  });

  test("allowUpgrades: false", async (t) => {
    const natter = await start(t, "--no-allow-upgrades");
    const socket = await natter.connected();
    for (let i = 0; i < 5; i++) assert.equal((await ask(socket, "chat message", "hi")).ok, true);
    assert.equal(socket.io.engine.transport.name, "polling");
    assert.deepEqual(socket.io.engine.upgrades ?? [], []);
    const direct = await natter.connected("/", { transports: ["websocket"] });
    assert.equal((await ask(direct, "chat message", "hi")).ok, true);
  });

  test("transports", async (t) => {
    const natter = await start(t, "--transports", "websocket");
    const polling = natter.client("/", { transports: ["polling"], reconnection: false });
    const [error] = await next(polling, "connect_error");
    assert.equal(error.description, 400);
    // The stock client's own way round it.
    const socket = await natter.connected("/", { tryAllTransports: true });
    assert.equal(socket.io.engine.transport.name, "websocket");
  });

  test("cookie and httpCompression, as HTTP shows them", async (t) => {
    const natter = await start(t, "--cookie", "lb", "--cookie-path", "/socket.io", "--cookie-max-age", "1h", "--cookie-same-site", "strict", "--http-compression-threshold", "200");
    const base = `${natter.url}/socket.io/?EIO=4&transport=polling`;
    const open = await fetch(base);
    const { sid } = JSON.parse((await open.text()).slice(1));
    assert.equal(open.headers.get("set-cookie"), `lb=${sid}; Path=/socket.io; Max-Age=3600; HttpOnly; SameSite=Strict`);
    const url = `${base}&sid=${sid}`;
    assert.equal(await (await fetch(url, { method: "POST", body: "40" })).text(), "ok");
    assert.match(await (await fetch(url)).text(), /^40\{"sid":/);
    const backend = await natter.nats();
    for (const [accepted, coding] of [["deflate", "deflate"], ["gzip, deflate", "gzip"], ["br", null]]) {
      await backend.emit("/", "all", ["news", "again and ".repeat(30)]);
      const poll = await fetch(url, { headers: { "Accept-Encoding": accepted } });
      assert.equal(poll.headers.get("content-encoding"), coding);
      const text = (await poll.text()).replace(/"[a-z0-9]+-[0-9]+"\]$/, "the offset]");
      assert.equal(text, `42["news","${"again and ".repeat(30)}",the offset]`);
    }
    const off = await start(t, "--no-http-compression");
    const other = client(off.url, "/", { transports: ["polling"] });
    t.after(() => other.disconnect());
    await connected(other);
    const heard = next(other, "chat message");
    assert.equal((await ask(other, "chat message", long)).ok, true);
    assert.equal((await heard)[0], long);
    other.disconnect();
  });
});

// What listeners get one by one stands here; the helpers of the other tests take the offset off.
describe("connectionStateRecovery", () => {
  const said = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
  for (const recovery of [true, false]) {
    test(recovery ? "on by default: listeners get the offset last, and the socket goes on" : "off: listeners get what was said, and the socket begins afresh", async (t) => {
      const natter = await start(t, ...(recovery ? [] : ["--no-recovery"])); // what users may choose
      const backend = await natter.nats();
      const socket = await natter.connected("/", { transports: ["websocket"] });
      const { id } = socket;
      for (const kind of ["emit", "post", "volatile"]) {
        const heard = said(socket, "news");
        if (kind === "volatile") backend.connection.publish("natter.volatile._.all", '["news","x",[1]]');
        else await backend.emit("/", "all", ["news", "x", [1]], { verb: kind });
        const args = await within(heard, kind);
        const own = kind === "post" ? ["x", [1], args[2]] : ["x", [1]]; // a post has a stamp
        assert.deepEqual(args.slice(0, own.length), own);
        assert.equal(args.length, own.length + Number(recovery), kind);
        if (recovery) assert.equal(args.at(-1), socket._lastOffset, "the client takes it for the offset");
      }
      // Questions have none: their last argument is the ack.
      socket.on("question", (...args) => args.pop()(args));
      assert.deepEqual(await backend.ask("/", id, ["question", "x"]), [["x"]]);
      const again = next(socket, "connect");
      socket.io.engine.close();
      await again;
      assert.deepEqual([Boolean(socket.recovered), socket.id === id], recovery ? [true, true] : [false, false]);
      assert.equal(Boolean(socket._pid), recovery);
    });
  }
});
