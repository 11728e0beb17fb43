// What a stock client offers its program, one by one, with a back end that answers on NATS.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { collect, connected, next, start, suite, timeout, until, within } from "../harness.mjs";

let natter;
let backend;
const t = suite();

before(async () => {
  natter = await start(t);
  backend = await natter.nats();
  for (const namespace of ["/news", "/sport"]) await backend.namespace(namespace);
  for (const namespace of ["/", "/news", "/sport"]) {
    await backend.on(namespace, "give back", (args, { attachments }) => ({ args, attachments }));
    await backend.on(namespace, "silence", () => undefined);
  }
  // Gateways hear of a namespace soon, not at once; refused clients do not ask again.
  for (const namespace of ["/news", "/sport"]) {
    await until(async () => {
      const socket = natter.client(namespace);
      const entered = await Promise.race([next(socket, "connect").then(() => true), next(socket, "connect_error").then(() => false)]);
      socket.disconnect();
      return entered;
    }, `the namespace ${namespace}`);
  }
});

const ask = (socket, ...event) => socket.timeout(10_000).emitWithAck(...event);

// known is what services know of a socket.
async function known(namespace, id) {
  const token = namespace === "/" ? "_" : namespace.slice(1);
  const list = (await backend.connection.request(`natter.list.${token}.socket.${id}`, "", { timeout: 10_000 })).json();
  assert.equal(list.length, 1);
  return list[0];
}

describe("connections", () => {
  test("two to one address, and to addresses that differ in the query, are apart", async () => {
    const sockets = await Promise.all([{}, {}, { query: { n: 1 } }].map((options) => natter.connected("/", options)));
    assert.equal(new Set(sockets.map((s) => s.id)).size, 3);
    assert.equal(new Set(sockets.map((s) => s.io.engine.id)).size, 3);
    assert.deepEqual(await Promise.all(sockets.map((s, i) => ask(s, "give back", i))), [0, 1, 2]);
    for (const s of sockets) s.disconnect();
  });

  test("namespaces share one, are entered at any time, and left without a word to the others", async () => {
    const main = await natter.connected();
    const news = natter.client("/news", { beside: main });
    await connected(news);
    assert.equal(news.io.engine, main.io.engine);
    const sport = natter.client("/sport", { beside: main });
    await connected(sport);
    const ends = collect(news, "disconnect");
    sport.disconnect();
    main.disconnect();
    assert.equal(await ask(news, "give back", "here"), "here");
    assert.deepEqual(ends.all, []);
    main.connect(); // one that left may come back over the same connection
    await connected(main);
    assert.equal(main.io.engine, news.io.engine);
    const other = natter.client("/sport", { beside: main });
    news.disconnect(); // while another is on its way in
    await connected(other);
    main.disconnect();
    other.disconnect();
  });

  test("one that was closed opens again, with another id, and what is said in between arrives", async () => {
    const socket = await natter.connected();
    const { id } = socket;
    socket.disconnect();
    assert.equal(socket.id, undefined);
    assert.equal(socket.connected, false);
    const answer = new Promise((resolve) => socket.emit("give back", "later", resolve));
    socket.connect();
    await connected(socket);
    assert.notEqual(socket.id, id);
    assert.equal(await within(answer, "the answer to what waited"), "later");
    socket.disconnect();
  });

  test("one that breaks off is made again by itself, also after it was made by hand; not after disconnect", async () => {
    const socket = await natter.connected();
    const attempts = collect(socket.io, "reconnect");
    for (let i = 1; i <= 2; i++) {
      const { id } = socket;
      const back = next(socket, "connect");
      socket.io.engine.close();
      await back;
      await attempts.of(i);
      assert.deepEqual([socket.id, socket.recovered], [id, true], "it goes on, though it has heard nothing");
      if (i === 1) {
        socket.disconnect();
        socket.connect();
        await connected(socket);
      }
    }
    socket.disconnect();
    assert.equal(socket.active, false);
    assert.equal(attempts.all.length, 2);
  });

  test("one that is given up while it opens says nothing of an error", async () => {
    const socket = natter.client();
    const errors = collect(socket, "connect_error");
    socket.disconnect();
    await natter.connected(); // by then the other would have been
    assert.deepEqual(errors.all, []);
    assert.equal(socket.connected, false);
  });
});

describe("who a client is", () => {
  test("has one id on both sides, in every namespace", async () => {
    for (const namespace of ["/", "/news"]) {
      const socket = await natter.connected(namespace);
      assert.equal((await known(namespace, socket.id)).id, socket.id);
      socket.disconnect();
    }
  });

  test("is told with the query, as an object or in the address, in every namespace", async () => {
    const odd = { a: "b", "&a": "&=?a", "ü": "€ 1" };
    for (const namespace of ["/", "/news"]) {
      const socket = await natter.connected(namespace, { query: odd });
      const { handshake } = await known(namespace, socket.id);
      for (const [name, value] of Object.entries(odd)) assert.deepEqual([handshake.query[name]].flat(), [value]);
      assert.deepEqual([handshake.query.EIO].flat(), ["4"]);
      socket.disconnect();
    }
    const socket = await natter.connected("/?in=address&x=%26");
    const { handshake } = await known("/", socket.id);
    assert.deepEqual([handshake.query.in, handshake.query.x].flat(), ["address", "&"]);
    socket.disconnect();
  });

  test("is told with auth, given or made at each connection, and with header fields", async () => {
    let n = 0;
    for (const auth of [{ name: "Ann" }, (give) => give({ name: `Ann ${++n}` })]) {
      const socket = await natter.connected("/", { auth, extraHeaders: { "X-Custom": "mine" } });
      const info = await known("/", socket.id);
      assert.equal(info.name, n === 0 ? "Ann" : "Ann 1");
      assert.deepEqual([info.handshake.headers["x-custom"]].flat(), ["mine"]);
      socket.disconnect();
    }
    assert.equal(n, 1);
  });

  test("may be refused with a reason and data, once; and is let in when it asks again", async () => {
    await backend.namespace("/club", { use: ["door"] });
    let open = false;
    backend.connection.subscribe("natter.use.club.door", {
      callback: (_, message) => message.respond(JSON.stringify(open ? { ok: true } : { ok: false, message: "members only", data: { fee: 5 } })),
    });
    await backend.connection.flush();
    let socket;
    await until(async () => { // until gateways know the namespace
      socket = natter.client("/club");
      const [error] = await next(socket, "connect_error");
      if (error.message === "Invalid namespace") return false;
      assert.equal(error.message, "members only");
      assert.deepEqual(error.data, { fee: 5 });
      return true;
    }, "the namespace /club");
    assert.equal(socket.active, false);
    open = true;
    socket.connect();
    await connected(socket);
    socket.disconnect();
  });
});

describe("what is said", () => {
  for (const transport of ["polling", "websocket"]) {
    test(`comes back as it was over ${transport}`, async () => {
      const socket = await natter.connected("/", { transports: [transport] });
      const date = new Date();
      for (const value of [false, 0, "", null, "\u2028 ä 漢字 😀 \ud83d\udc7b", { a: [{}, [[]]], b: 1e21 }, -0.5]) assert.deepEqual(await ask(socket, "give back", value), value);
      assert.equal(await ask(socket, "give back", date), date.toISOString());
      assert.deepEqual(await ask(socket, "give back", { when: date }), { when: date.toISOString() });
      const bytes = Uint8Array.from([0, 255, 1]);
      for (const binary of [bytes.buffer, bytes, Buffer.from(bytes)]) assert.deepEqual(Buffer.from(await ask(socket, "give back", binary)), Buffer.from(bytes));
      const mixed = await ask(socket, "give back", { text: "hi", bytes: [bytes] });
      assert.deepEqual([mixed.text, Buffer.from(mixed.bytes[0])], ["hi", Buffer.from(bytes)]);
      assert.equal(await ask(socket.compress(false), "give back", "not compressed"), "not compressed");
      socket.disconnect();
    });
  }

  test("keeps its order, text and binary data mixed, from before the connection on", async () => {
    const heard = [];
    await backend.on("/", "in order", ([n], { attachments }) => void heard.push(attachments.length ? `${attachments[0]}` : n));
    const socket = natter.client();
    const said = Array.from({ length: 40 }, (_, i) => `${i}`);
    for (const [i, text] of said.entries()) socket.emit("in order", i % 3 ? text : Buffer.from(text));
    await until(() => heard.length === said.length, "all of it");
    assert.deepEqual(heard, said);
    socket.disconnect();
  });

  test("is larger than what one request may take: in several requests, or not at all", async () => {
    const socket = await natter.connected("/", { transports: ["polling"], reconnection: false });
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => ask(socket, "give back", `${i} ${"x".repeat(150_000)}`)));
    assert.deepEqual(answers.map((a) => parseInt(a)), Array.from({ length: 12 }, (_, i) => i));
    const binary = await Promise.all(Array.from({ length: 6 }, (_, i) => ask(socket, "give back", Buffer.alloc(200_000, i))));
    assert.deepEqual(binary.map((b) => Buffer.from(b)[0]), [0, 1, 2, 3, 4, 5]);
    for (const transport of ["polling", "websocket"]) {
      const big = await natter.connected("/", { transports: [transport], reconnection: false });
      const end = next(big, "disconnect");
      big.emit("give back", "x".repeat(1_100_000));
      const [reason, details] = await end;
      if (transport === "polling") assert.deepEqual([reason, details.context.status], ["transport error", 413]);
      else assert.deepEqual([reason, details.context.code], ["transport close", 1009]);
    }
    socket.disconnect();
  });

  test("volatile: only while there is a connection", async () => {
    const socket = natter.client();
    const lost = collect(socket, "lost");
    await backend.on("/", "volatile", ([n], { socket: id }) => void backend.emit("/", `socket.${id}`, ["lost", n]));
    socket.volatile.emit("volatile", "before");
    await connected(socket);
    await until(async () => { // until it is writable
      socket.volatile.emit("volatile", "after");
      return lost.all.length > 0;
    }, "a volatile event");
    assert.ok(lost.all.every(([n]) => n === "after"));
    socket.disconnect();
  });

  test("is seen by listeners for everything, in both directions", async () => {
    const socket = await natter.connected();
    const seen = [];
    socket.onAny((event, ...args) => seen.push(["in", event, args[0]]));
    socket.prependAny((event) => seen.push(["first", event]));
    socket.onAnyOutgoing((event, ...args) => seen.push(["out", event, ...args]));
    socket.emit("silence", 1);
    await backend.emit("/", `socket.${socket.id}`, ["anything", 2]);
    await until(() => seen.length === 3, "the event");
    assert.deepEqual(seen, [["out", "silence", 1], ["first", "anything"], ["in", "anything", 2]]);
    socket.offAny();
    socket.offAnyOutgoing();
    assert.equal(await ask(socket, "give back", 3), 3);
    assert.equal(seen.length, 3);
    socket.disconnect();
  });
});

describe("what is not answered", () => {
  test("times out, by the event's time or the client's, as an error or a rejected promise", async () => {
    const socket = await natter.connected("/", { ackTimeout: 200 });
    await assert.rejects(socket.emitWithAck("silence"), /timed out/);
    await assert.rejects(socket.timeout(100).emitWithAck("silence"), /timed out/);
    const error = await new Promise((resolve) => socket.timeout(100).emit("silence", resolve));
    assert.match(error.message, /timed out/);
    assert.equal(await socket.timeout(10_000).emitWithAck("give back", 1), 1);
    const late = natter.client("/", { autoConnect: false });
    await assert.rejects(late.timeout(50).emitWithAck("give back", 1), /timed out/);
    socket.disconnect();
  });

  test("fails with the connection, if the event was sent; and waits, if it was not", async () => {
    const socket = await natter.connected();
    const sent = socket.timeout(60_000).emitWithAck("silence");
    const promise = socket.emitWithAck("silence");
    let called = false;
    socket.emit("silence", () => (called = true));
    socket.disconnect();
    await assert.rejects(sent, /disconnected/);
    await assert.rejects(promise, /disconnected/);
    const waits = socket.emitWithAck("give back", "kept");
    socket.connect();
    assert.equal(await within(waits, "the answer to what waited"), "kept");
    assert.equal(called, false);
    socket.disconnect();
  });

  test("is sent again, in order, one at a time, as often as the client wants", async () => {
    const tries = [];
    await backend.on("/", "stubborn", ([n]) => {
      tries.push(n);
      return n === 2 && tries.filter((m) => m === 2).length < 3 ? undefined : [n];
    });
    const socket = natter.client("/", { retries: 3, transports: ["websocket"] });
    // Long enough for an answer that comes, and not for ever for one that does not.
    const said = (event, ms, ...args) => new Promise((resolve) => socket.timeout(ms).emit(event, ...args, (error, value) => resolve(error ?? value)));
    const answers = await Promise.all([1, 2, 3].map((n) => said("stubborn", n === 2 ? 1_000 : timeout, n)));
    assert.deepEqual(answers, [1, 2, 3]);
    assert.deepEqual(tries, [1, 2, 2, 2, 3]);
    const lost = await said("silence", 100);
    assert.match(lost.message, /timed out/);
    socket.disconnect();
    const waiting = said("stubborn", timeout, 4);
    assert.deepEqual(tries.slice(5), []);
    socket.on("connect", () => socket.timeout(timeout).emit("stubborn", 5));
    socket.connect();
    assert.equal(await within(waiting, "the answer to what waited"), 4);
    await until(() => tries.length === 7, "what the connect handler said");
    assert.equal(await said("stubborn", timeout, 6), 6);
    assert.deepEqual(tries.slice(5), [4, 5, 6]);
    socket.disconnect();
  });
});
