// Stock clients of Socket.IO 2 (Engine.IO 3, Socket.IO protocol 4): all that they do, beside clients of today.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import { ask, clients, connected } from "../eio3.mjs";
import { collect, next, start, suite, until } from "../harness.mjs";

test("clients of Socket.IO 2 are refused unless they are allowed", async (t) => {
  const natter = await start(t);
  const old = clients(t, () => natter);
  for (const transport of ["polling", "websocket"]) {
    const [error] = await next(old.client("/", { transports: [transport], reconnection: false }), "connect_error");
    assert.match(String(error), transport === "polling" ? /xhr poll error/ : /websocket error/);
  }
  const response = await fetch(`${natter.url}/socket.io/?EIO=3&transport=polling`);
  assert.equal(response.status, 400);
  assert.deepEqual(await response.json(), { code: 5, message: "Unsupported protocol version" });
});

const password = "correct horse battery";

// The ways in which such clients connect.
const ways = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  "polling with forceBase64": { transports: ["polling"], forceBase64: true },
  "websocket with forceBase64": { transports: ["websocket"], forceBase64: true },
};

describe("clients of Socket.IO 2", () => {
  let natter;
  let backend;
  const t = suite();
  const old = clients(t, () => natter);
  before(async () => {
    natter = await start(t, "--allow-eio3", "--admin-password", password);
    backend = await natter.nats();
  });

  for (const [name, options] of Object.entries(ways)) {
    test(`connect, speak and are answered: ${name}`, async () => {
      const socket = await old.connected("/", options);
      assert.equal(socket.io.engine.transport.name, options.transports[0]);
      const heard = next(socket, "chat message");
      assert.equal((await ask(socket, "chat message", "café 🎉 \u2028 \u0000")).ok, true);
      const [text, stamp] = await heard;
      assert.equal(text, "café 🎉 \u2028 \u0000");
      // Over WebSocket, the client knows its own id. While it polls, what it takes for that is a secret.
      if (options.transports[0] === "websocket") assert.equal(stamp.socket, socket.id);
      else assert.notEqual(stamp.socket, socket.io.engine.id);
      assert.equal(socket.id, socket.io.engine.id);
      socket.disconnect();
    });

    test(`binary data both ways: ${name}`, async () => {
      const socket = await old.connected("/", options);
      const modern = await natter.connected("/", { transports: ["websocket"] });
      const files = [randomBytes(1), randomBytes(300_000), Buffer.alloc(0)];
      await backend.on("/", `mirror ${name}`, ([text], { attachments }) => ({
        args: [text, ...attachments.map((_, num) => ({ _placeholder: true, num }))],
        attachments,
      }));
      const mirrored = await new Promise((resolve) => socket.emit(`mirror ${name}`, "é", ...files, (...args) => resolve(args)));
      assert.equal(mirrored[0], "é");
      files.forEach((file, i) => assert.ok(file.equals(Buffer.from(mirrored[i + 1])), `file ${i} comes back`));

      const heard = [next(socket, "chat message"), next(modern, "chat message")];
      socket.emit("chat message", { file: files[1], text: "🎉" });
      for (const [message] of await Promise.all(heard)) {
        assert.equal(message.text, "🎉");
        assert.ok(files[1].equals(Buffer.from(message.file)));
      }
      const back = next(socket, "chat message");
      modern.emit("chat message", files[1]);
      assert.ok(files[1].equals(Buffer.from((await back)[0])));
      socket.disconnect();
      modern.disconnect();
    });
  }

  test("upgrade to WebSocket, with nothing lost on the way", async () => {
    const socket = old.client();
    const heard = [];
    const said = Array.from({ length: 50 }, (_, i) => `upgrade ${i}`);
    socket.on("chat message", (text) => heard.push(text));
    for (const text of said) socket.emit("chat message", text);
    const upgraded = new Promise((resolve) => socket.io.once("open", () => socket.io.engine.once("upgrade", resolve)));
    await connected(socket);
    await upgraded;
    assert.equal(socket.io.engine.transport.name, "websocket");
    await until(() => heard.length >= said.length, "everything said during the upgrade");
    assert.deepEqual(heard, said);
    assert.equal((await ask(socket, "chat message", "over the WebSocket")).ok, true);
    socket.disconnect();
  });

  test("hear and are heard in rooms, by clients of both kinds, in one order", async () => {
    const olds = await Promise.all(Object.values(ways).map((options) => old.connected("/", options)));
    const moderns = [await natter.connected("/", { transports: ["polling"] }), await natter.connected("/", { transports: ["websocket"] })];
    const all = [...olds, ...moderns];
    for (const socket of all) assert.equal((await ask(socket, "join", "red")).ok, true);
    const heard = all.map((socket) => collect(socket, "room message"));
    const count = 10 * all.length;
    const acks = await Promise.all(Array.from({ length: count }, (_, i) => ask(all[i % all.length], "room message", "red", i)));
    assert.ok(acks.every((ack) => ack.ok));
    const orders = (await Promise.all(heard.map((h) => h.of(count)))).map((messages) => messages.map(([, i]) => i));
    for (const order of orders) assert.deepEqual(order, orders[0]);
    assert.equal((await ask(olds[0], "who", "red")).members.length, all.length);
    for (const socket of all) socket.disconnect();
  });

  test("answer what services ask, and hear them", async () => {
    const socket = await old.connected("/", ways.websocket);
    socket.on("double", (n, ack) => ack(2 * n, { exactly: true }));
    assert.deepEqual(await backend.ask("/", socket.id, ["double", 21]), [42, { exactly: true }]);
    const heard = next(socket, "notice");
    await backend.emit("/", `socket.${socket.id}`, ["notice", "for you"]);
    assert.deepEqual(await heard, ["for you"]);
    socket.disconnect();
  });

  // open waits until a namespace is there: gateways hear of it soon, not at once.
  async function open(namespace) {
    await until(async () => {
      const socket = old.client(namespace);
      try {
        await connected(socket);
        return true;
      } finally {
        socket.disconnect();
      }
    }, `the namespace ${namespace}`);
  }

  test("are in several namespaces over one connection", async () => {
    await backend.namespace("/news");
    await open("/news");
    const main = await old.connected();
    const news = await old.connected("/news", { beside: main });
    assert.equal(news.io, main.io);
    const heard = { main: [], news: [] };
    main.on("headline", (text) => heard.main.push(text));
    news.on("headline", (text) => heard.news.push(text));
    await backend.emit("/news", "all", ["headline", "rain"]);
    await backend.emit("/", "all", ["headline", "hello"]);
    await until(() => heard.main.length && heard.news.length, "a headline in each namespace");
    assert.deepEqual(heard, { main: ["hello"], news: ["rain"] });
    // Leaving one leaves the other alone.
    const end = next(news, "disconnect");
    news.disconnect();
    assert.deepEqual(await end, ["io client disconnect"]);
    assert.equal((await ask(main, "chat message", "still here")).ok, true);
    main.disconnect();
  });

  test("give as query what others give as auth", async () => {
    const entries = [];
    backend.connection.subscribe("natter.use.shop.tickets", {
      callback: (_, message) => {
        entries.push(message.json());
        message.respond(JSON.stringify({ ok: true, user: "u1" }));
      },
    });
    await backend.namespace("/shop", { use: ["tickets"] });
    await open("/shop");
    const query = { ticket: "a,b&c=ü", seat: "7" };
    for (const socket of [await old.connected("/shop", { query }), await old.connected("/shop?ticket=a%2Cb%26c%3D%C3%BC&seat=7")]) {
      const { namespace, handshake } = entries.at(-1);
      assert.equal(namespace, "/shop");
      assert.deepEqual(handshake.auth, query);
      assert.equal(handshake.query.EIO, "3");
      assert.equal(handshake.query.ticket, query.ticket, "it is in the URL, too");
      socket.disconnect();
    }
    // In the main namespace, which they do not ask for, it is the query of the URL.
    const named = await old.connected("/", { query: { name: "Grandma" } });
    const heard = next(named, "chat message");
    named.emit("chat message", "hello");
    assert.equal((await heard)[1].name, "Grandma");
    named.disconnect();
  });

  test("sign in with a token, which services do not see", async () => {
    const response = await fetch(`${natter.url}/auth/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: "admin", password }),
    });
    const { token, user } = await response.json();
    const connects = [];
    await backend.on("/", "connect", ([socket]) => void connects.push(socket));
    const admin = await old.connected("/admin", { query: { token, seat: "7" } });
    const { ok, sockets } = await ask(admin, "list sockets");
    assert.equal(ok, true);
    assert.ok(sockets.some((socket) => socket.namespace === "/admin" && socket.user === user));
    const own = () => connects.find((socket) => socket.user === user);
    const { handshake } = await until(own, "the connect event of the main namespace");
    assert.equal(handshake.auth, undefined);
    assert.equal(handshake.query.seat, "7");
    assert.match(handshake.url, /seat=7/);
    assert.equal(JSON.stringify(connects).includes(token), false, "the token is shown to services");
    admin.disconnect();

    const stranger = old.client("/admin", { query: { token: "wrong" } });
    assert.equal((await next(stranger, "error"))[0].code, "unauthorized");
    stranger.disconnect();
  });

  test("are refused with a message, or with data", async () => {
    const unknown = old.client("/no-such-namespace");
    assert.deepEqual(await next(unknown, "error"), ["Invalid namespace"]);
    assert.equal(unknown.connected, false);
    unknown.disconnect();

    const reasons = [
      [{ ok: false, message: "sold out" }, "sold out"],
      [{ ok: false, message: "sold out", data: { code: "forbidden" } }, { code: "forbidden" }],
      [{ ok: false, message: "sold out", data: 7 }, "sold out"], // such clients break at a number
    ];
    let reply;
    backend.connection.subscribe("natter.use.concert.door", { callback: (_, message) => message.respond(JSON.stringify(reply)) });
    await backend.namespace("/concert", { use: ["door"] });
    for (const [answer, want] of reasons) {
      reply = answer;
      await until(async () => {
        const socket = old.client("/concert");
        const [reason] = await next(socket, "error");
        socket.disconnect();
        if (reason === "Invalid namespace") return false;
        assert.deepEqual(reason, want);
        return true;
      }, "the namespace /concert");
    }
    const main = await old.connected();
    const refused = old.client("/concert", { beside: main });
    await next(refused, "error");
    assert.equal((await ask(main, "chat message", "still here")).ok, true);
    main.disconnect();
  });

  for (const transport of ["polling", "websocket"]) {
    test(`leave, and are put out: ${transport}`, async () => {
      const reasons = new Map();
      await backend.on("/", "disconnect", ([reason], { socket }) => void reasons.set(socket, reason));
      const enter = async () => {
        const socket = await old.connected("/", { transports: [transport] });
        const heard = next(socket, "chat message");
        socket.emit("chat message", "who am I?");
        const id = (await heard)[1].socket;
        return { socket, id, end: next(socket, "disconnect") };
      };
      const left = await enter();
      left.socket.disconnect();
      assert.deepEqual(await left.end, ["io client disconnect"]);
      await until(() => reasons.get(left.id) === "client namespace disconnect", "the service to hear it");

      const expelled = await enter();
      await backend.do("/", `socket.${expelled.id}`, ["disconnect"]);
      assert.deepEqual(await expelled.end, ["io server disconnect"]);
      await until(() => reasons.get(expelled.id) === "server namespace disconnect", "the service to hear it");

      const dropped = await enter();
      dropped.socket.io.reconnection(false);
      dropped.socket.io.engine.close();
      assert.deepEqual(await dropped.end, ["forced close"]);
      await until(() => reasons.get(dropped.id) === "transport close", "the service to hear it");
    });
  }

  test("what breaks the protocol is cut off, and harms nobody else", async () => {
    const witness = await old.connected("/", ways.websocket);
    for (const frame of ["abc", "", "b2AQ==", '42["disconnecting"]', "450-", "3", '451-["x",{"_placeholder":true,"num":1}]']) {
      const socket = await old.connected("/", { ...ways.websocket, reconnection: false });
      const end = next(socket, "disconnect");
      socket.io.engine.transport.ws.send(frame);
      assert.deepEqual(await end, ["transport close"], frame);
    }
    // A CONNECT to the main namespace, which some clients send, changes nothing.
    witness.io.engine.write("0");
    witness.io.engine.write("0/,");
    assert.equal((await ask(witness, "chat message", "still here")).ok, true);
    witness.disconnect();
  });

  test("JSONP is refused, and says what to do", async () => {
    const response = await fetch(`${natter.url}/socket.io/?EIO=3&transport=polling&j=0`);
    assert.equal(response.status, 400);
    assert.match((await response.json()).message, /JSONP.*use XMLHttpRequest or WebSocket/);
  });
});

describe("heartbeat of clients of Socket.IO 2", () => {
  for (const transport of ["websocket", "polling"]) {
    test(`keeps a quiet connection over ${transport} alive, and ends a silent one`, async (t) => {
      const natter = await start(t, "--allow-eio3", "--ping-interval", "300ms", "--ping-timeout", "2s");
      const backend = await natter.nats();
      const reasons = [];
      await backend.on("/", "disconnect", ([reason]) => void reasons.push(reason));
      const socket = clients(t, () => natter).client("/", { transports: [transport] });
      const pongs = collect(socket, "pong");
      const end = collect(socket, "disconnect");
      await connected(socket);
      await pongs.of(5);
      assert.equal(socket.connected, true);
      assert.deepEqual(end.all, []);

      socket.io.reconnection(false);
      const { engine } = socket.io; // falls asleep
      engine.transport.send = () => {};
      engine.onClose = () => {};
      await until(() => reasons.length, "the end");
      assert.deepEqual(reasons, ["ping timeout"]);
    });
  }
});

test("clients of Socket.IO 2 come back by themselves", async (t) => {
  const natter = await start(t, "--allow-eio3");
  const old = clients(t, () => natter);
  for (const end of ["stop", "kill"]) {
    const sockets = await Promise.all([old.connected("/", ways.websocket), old.connected("/", ways.polling)]);
    const gone = sockets.map((socket) => next(socket, "disconnect", 20_000));
    await natter[end]();
    for (const [reason] of await Promise.all(gone)) assert.match(reason, /^transport (close|error)$/);
    const back = sockets.map((socket) => next(socket, "connect", 40_000));
    await natter.start();
    await Promise.all(back);
    const heard = sockets.map((socket) => next(socket, "chat message"));
    assert.equal((await ask(sockets[0], "chat message", "we are back")).ok, true);
    for (const [text] of await Promise.all(heard)) assert.equal(text, "we are back");
    for (const socket of sockets) socket.disconnect();
  }
});
