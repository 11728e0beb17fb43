// The stock client with the stock msgpack parser against a Natter that speaks msgpack.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import parser from "socket.io-msgpack-parser";
import { client as stock, collect, connected, next, start, suite, until } from "../harness.mjs";
import { stored, text } from "../notepack.mjs";

const withMsgpack = ["--parser", "msgpack"];
const placeholder = (num) => ({ _placeholder: true, num });
const ask = (socket, ...event) => socket.timeout(10_000).emitWithAck(...event);
const all = (socket, ...event) => new Promise((resolve) => socket.emit(...event, (...args) => resolve(args)));

test("what the Go tests take for the words of the stock parser are its words", async () => {
  assert.equal(await stored(), text(), "run node notepack.mjs in test/ and look at the difference");
});

describe("the msgpack parser", () => {
  let natter;
  let backend;
  const t = suite();
  const join = (namespace, options) => natter.connected(namespace, { parser, ...options });
  before(async () => {
    natter = await start(t, ...withMsgpack);
    backend = await natter.nats();
  });

  for (const [name, options] of Object.entries({
    websocket: { transports: ["websocket"] },
    polling: { transports: ["polling"] },
    "websocket as base64": { transports: ["websocket"], forceBase64: true },
    "polling and upgrade": {},
  })) {
    test(`connects, says, hears and acks over ${name}`, async () => {
      const socket = await join("/", options);
      const other = await join();
      const heard = [socket, other].map((s) => next(s, "chat message"));
      const ack = await ask(socket, "chat message", { text: `café 🎉 over ${name}`, n: 1.5, deep: [[{}]] });
      assert.equal(ack.ok, true);
      for (const [message, stamp] of await Promise.all(heard)) {
        assert.deepEqual(message, { text: `café 🎉 over ${name}`, n: 1.5, deep: [[{}]] });
        assert.deepEqual([stamp.id, stamp.socket], [ack.id, socket.id]);
      }
      socket.disconnect();
      other.disconnect();
    });

    test(`binary data, nested, in both directions over ${name}`, async () => {
      const socket = await join("/", options);
      const first = Buffer.from([0, 1, 2, 0xff, 0x1e]);
      const second = Buffer.alloc(100_000, 7);
      const event = `picture ${name}`;
      await backend.on("/", event, (args, { attachments }) => {
        assert.deepEqual(args, [{ name: "cat", data: placeholder(0) }, [placeholder(1)], placeholder(2)]);
        assert.deepEqual(attachments, [first, second, Buffer.from([9])]);
        return { args: [placeholder(1), "and", { deep: [placeholder(0)] }], attachments: attachments.slice(0, 2) };
      });
      const answer = await all(socket, event, { name: "cat", data: first }, [second], new Uint8Array([9]).buffer);
      assert.deepEqual(answer, [second, "and", { deep: [first] }]);

      const heard = next(socket, "file");
      await backend.emit("/", `socket.${socket.id}`, ["file", [placeholder(1)], { a: placeholder(0) }], { attachments: [first, second] });
      assert.deepEqual(await heard, [[second], { a: first }]);
      socket.disconnect();
    });
  }

  test("services hear what the default parser would have said", async () => {
    const socket = await join();
    const values = [
      0, -0, 1, -1, 127, 128, -128, 65536, 2 ** 32, -(2 ** 31), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0.1, 1e-7, -1.5e-300,
      NaN, Infinity, -Infinity, null, undefined, true, false, "", "a\u0000\u2028\"\\", "😀".repeat(40), new Date(1e12), new Date(0),
      [], {}, [undefined, [null]], { a: undefined, b: { c: [] } }, { "": 1, é: 2 }, Array.from({ length: 300 }, (_, i) => i), Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`k${i}`, i])),
      placeholder(0), { _placeholder: true, num: 7, more: [] },
    ];
    const heard = [];
    await backend.on("/", "value", (args, { attachments }) => {
      assert.equal(attachments.length, 0);
      heard.push(args);
      return args;
    });
    for (const value of values) {
      const json = JSON.parse(JSON.stringify([value]));
      const answer = await all(socket, "value", value);
      assert.deepEqual(heard.at(-1), json);
      assert.deepEqual(answer, json, "and back");
    }
    socket.disconnect();
  });

  test("hears JSON of services as JSON.parse reads it", async () => {
    const socket = await join();
    const heard = collect(socket, "json");
    const texts = [
      "18446744073709551615", "18446744073709551616", "-9223372036854775809", "9007199254740993", "1e21", "1e-400", "1E+2", "1.0", "12345678901234567890.5",
      '"\\ud83d\\ude00\\u0000\\/"', ' [ 1 , { "a" : [ ] } ] ', '{"b":1,"a":2,"b":3}', '{"_placeholder":true,"num":0}', `"${"x".repeat(70_000)}"`, "[" + "[".repeat(500) + "]".repeat(500) + "]",
    ];
    for (const text of texts) {
      await backend.connection.request(`natter.emit._.socket.${socket.id}`, `["json",${text}]`, { timeout: 10_000 });
    }
    assert.deepEqual(await heard.of(texts.length), texts.map((text) => [JSON.parse(text)]));
    // Where it cannot be: msgpack's strings are UTF-8.
    const lone = next(socket, "lone");
    await backend.connection.request(`natter.emit._.socket.${socket.id}`, '["lone","\\ud800x"]', { timeout: 10_000 });
    assert.deepEqual(await lone, ["\ufffdx"]);
    socket.disconnect();
  });

  test("auth, refusals and an unknown namespace", async () => {
    const named = await join("/", { auth: { name: "Ann", more: { n: 1 } } });
    await ask(named, "join", "lobby");
    assert.deepEqual((await ask(named, "who", "lobby")).members, [{ id: named.id, name: "Ann" }]);
    named.disconnect();
    for (const [namespace, auth, message] of [["/nowhere", undefined, /^Invalid namespace$/], ["/admin", { token: "forged" }, /./], ["no-slash", undefined, /^Invalid namespace$/]]) {
      const socket = natter.client("/", { parser, autoConnect: false });
      socket.nsp = namespace; // also what a URL cannot name
      socket.auth = auth;
      socket.io.nsps[namespace] = socket;
      socket.connect();
      const [error] = await next(socket, "connect_error");
      assert.match(error.message, message);
      if (namespace === "/admin") assert.equal(typeof error.data.code, "string");
      assert.equal(socket.active, false);
      socket.io.engine.close();
    }
  });

  test("rooms, exceptions, questions, commands", async () => {
    const [ann, bob] = [await join(), await join("/", { transports: ["polling"] })];
    const heard = { ann: collect(ann, "notice"), bob: collect(bob, "notice") };
    for (const socket of [ann, bob]) assert.equal((await ask(socket, "join", "red")).ok, true);
    await backend.do("/", `socket.${bob.id}`, ["leave", "red"]);
    await backend.emit("/", "room.red", ["notice", "red"]);
    await backend.emit("/", "all", ["notice", "not ann"], { except: ann.id });
    await backend.emit("/", "all", ["notice", "end"]);
    await Promise.all([heard.ann.of(2), heard.bob.of(2)]);
    assert.deepEqual(heard.ann.all, [["red"], ["end"]]);
    assert.deepEqual(heard.bob.all, [["not ann"], ["end"]]);
    bob.on("capital", (country, answer) => answer(country === "France" ? "Paris" : null, { country }));
    assert.deepEqual(await backend.ask("/", bob.id, ["capital", "France"]), ["Paris", { country: "France" }]);

    const out = next(bob, "disconnect");
    await backend.do("/", `socket.${bob.id}`, ["disconnect"]);
    assert.equal((await out)[0], "io server disconnect");
    const reasons = new Map();
    await backend.on("/", "disconnect", ([reason], { socket }) => void reasons.set(socket, reason));
    const { id } = ann;
    ann.disconnect();
    assert.equal(await until(() => reasons.get(id), "the disconnect event"), "client namespace disconnect");
  });

  test("several namespaces over one connection", async () => {
    await backend.namespace("/news");
    const main = await join();
    const news = main.io.socket("/news");
    await until(async () => {
      if (!news.active) news.connect();
      await connected(news);
      return true;
    }, "the namespace /news");
    const heard = { main: collect(main, "headline"), news: collect(news, "headline") };
    await backend.emit("/news", "all", ["headline", "rain"]);
    await backend.emit("/", "all", ["headline", "hello"]);
    await Promise.all([heard.main.of(1), heard.news.of(1)]);
    assert.deepEqual([heard.main.all, heard.news.all], [[["hello"]], [["rain"]]]);
    news.disconnect();
    assert.equal((await ask(main, "chat message", "still here")).ok, true);
    main.disconnect();
  });

  test("reconnects by itself", async () => {
    const socket = await join("/", { transports: ["websocket"] });
    const { id } = socket;
    const again = next(socket, "connect");
    socket.io.engine.close();
    await again;
    assert.deepEqual([socket.id, socket.recovered], [id, true], "it goes on, though it has heard nothing");
    assert.equal((await ask(socket, "chat message", "back")).ok, true);
    socket.disconnect();
  });

  test("clients of the default parser lose the connection, nobody else does", async () => {
    const neighbour = await join();
    const ended = collect(neighbour, "disconnect");
    for (const transports of [["websocket"], ["polling"]]) {
      const wrong = stock(natter.url, "/", { transports, reconnection: false });
      let entered = false;
      wrong.on("connect", () => (entered = true));
      const [reason] = await next(wrong.io, "close");
      assert.equal(reason, "transport close");
      assert.equal(entered, false);
    }
    assert.equal((await ask(neighbour, "chat message", "all is well")).ok, true);
    assert.deepEqual(ended.all, []);
    neighbour.disconnect();
  });

  test("hostile frames end their connection alone", async () => {
    const neighbour = await join();
    const encode = (packet) => new parser.Encoder().encode(packet)[0];
    const event = encode({ type: 2, nsp: "/", data: ["e", [1, 2]] });
    const hex = (text) => Buffer.from(text, "hex");
    for (const [name, frame] of Object.entries({
      "text of the default parser": '2["e"]',
      nothing: Buffer.alloc(0),
      "half a packet": event.subarray(0, -1),
      "more than a packet": Buffer.concat([event, hex("c0")]),
      "a huge array": Buffer.concat([event.subarray(0, -3), hex("ddffffffff")]),
      "a huge map": Buffer.concat([event.subarray(0, -3), hex("dfffffffff")]),
      "a huge string": Buffer.concat([event.subarray(0, -3), hex("dbffffffff")]),
      "many levels": Buffer.concat([event.subarray(0, -3), Buffer.alloc(500_000, 0x91)]),
      "a reserved name": encode({ type: 2, nsp: "/", data: ["disconnect", "x"] }),
      "no name": encode({ type: 2, nsp: "/", data: [] }),
      "an object for a name": encode({ type: 2, nsp: "/", data: [{ toString: 1 }] }),
      "11 attachments": encode({ type: 2, nsp: "/", data: ["e", ...Array(11).fill(Buffer.of(1))] }),
      "a forged attachment": encode({ type: 2, nsp: "/", data: ["e", Buffer.of(1), placeholder(0)] }),
      "a type of servers": encode({ type: 4, nsp: "/", data: {} }),
      "a type that is none": encode({ type: 5, nsp: "/", data: ["e"] }),
      "a namespace it is not in": encode({ type: 2, nsp: "/other", data: ["e"] }),
      "a second CONNECT": encode({ type: 0, nsp: "/" }),
    })) {
      const socket = await join("/", { reconnection: false, transports: ["websocket"] });
      const end = next(socket, "disconnect");
      socket.io.engine.write(frame);
      assert.equal((await end)[0], "transport close", name);
      assert.equal((await ask(neighbour, "chat message", name)).ok, true);
    }
    neighbour.disconnect();
  });
});

test("clients with msgpack lose the connection at a Natter of the default parser", async (t) => {
  const natter = await start(t);
  const neighbour = await natter.connected();
  for (const transports of [["websocket"], ["polling"]]) {
    const wrong = stock(natter.url, "/", { parser, transports, reconnection: false });
    const [reason] = await next(wrong.io, "close");
    assert.equal(reason, "transport close");
    assert.equal(wrong.connected, false);
  }
  assert.equal((await ask(neighbour, "chat message", "all is well")).ok, true);
});
