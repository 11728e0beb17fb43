// The server API of Socket.IO, as pkg/sdk has it, through stock clients of two gateways and
// two instances of one back end, test/serverapi. Clients of /control order what the back end
// does by itself in a Socket.IO server, and hear what happened there.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { collect, connected, next, said, suite, timeout, until } from "../harness.mjs";
import { Process } from "../process.mjs";
import { ask, bin, running } from "./deployment.mjs";

// A heartbeat short enough to wait for its end, and long enough for a machine that is busy.
const heartbeat = ["--ping-interval", "2s", "--ping-timeout", "4s", "--connect-timeout", "3s", "--max-http-buffer-size", "100KB", "--per-message-deflate"];

describe("the server API over two gateways", () => {
  let d;
  let g1;
  let g2;
  let control;
  let reports; // [what, …details] in order
  const t = suite();

  const backend = async (instance) => {
    const process = new Process(bin("serverapi"), ["--nats-url", d.natsUrl, "--instance", instance], { name: `back end ${instance}`, cwd: d.dir });
    process.isReady = () => process.stdout.includes("ready");
    t.after(() => process.stop());
    await process.start();
    return process;
  };

  before(async () => {
    d = await running(t, { gateways: 2, flags: { gateway: heartbeat } });
    [g1, g2] = d.gateways;
    await Promise.all(["one", "two"].map(backend));
    control = await enter("/control", { gateway: g1 });
    reports = [];
    control.on("report", (...report) => reports.push(said(control, "report", report)));
  });

  // Nobody of one test is there in the next.
  const open = [];
  afterEach(async () => {
    leave(...open.splice(0));
    await until(async () => (await order("fetch", { namespace: "/static" })).length === 0, "the sockets of the test to be gone");
  });

  // enter makes a client and waits until it is in; its namespace may not be known to the gateway yet.
  async function enter(namespace, options) {
    let socket;
    await until(async () => {
      socket = d.client(namespace, options);
      if (namespace !== "/control") open.push(socket);
      try {
        await connected(socket);
        return true;
      } catch (error) {
        socket.disconnect();
        if (error.message !== "Invalid namespace") throw error;
      }
    }, `to be in ${namespace}`);
    return socket;
  }

  // both makes a client at each gateway.
  const both = (namespace, options) => Promise.all([enter(namespace, { gateway: g1, ...options }), enter(namespace, { gateway: g2, ...options })]);
  const leave = (...sockets) => sockets.forEach((socket) => socket.disconnect());
  const order = (what, target, ...args) => ask(control, what, target, ...args);
  const reported = (what, ...details) =>
    until(() => reports.find((report) => report[0] === what && details.every((detail, i) => detail === undefined || JSON.stringify(report[i + 1]) === JSON.stringify(detail))), `the report ${what} ${JSON.stringify(details)}`);
  const refused = async (namespace, options) => {
    const socket = d.client(namespace, options);
    const [error] = await next(socket, "connect_error");
    socket.disconnect();
    return error;
  };
  // heard are the events that each socket has been told, up to one that comes last.
  let lasts = 0;
  const heard = (...sockets) => {
    const all = sockets.map((socket) => collect(socket, "news"));
    return async () => {
      const last = `last ${++lasts}`;
      await order("emit", { namespace: sockets[0].nsp, rooms: sockets.map((socket) => socket.id) }, "news", last);
      await Promise.all(all.map((one) => until(() => one.all.some(([text]) => text === last), `${last} to be heard`)));
      sockets.forEach((socket) => socket.off("news"));
      return all.map((one) => one.all.map(([text]) => text).filter((text) => text !== last));
    };
  };

  describe("namespaces", () => {
    test("are static, by pattern, and by function", async () => {
      const inside = { key: "sesame" };
      for (const [namespace, kind, options] of [
        ["/pattern-1", "pattern"],
        ["/tenant", "function", { auth: inside }],
        ["/tenant/a/b c/ü", "function", { auth: inside }],
      ]) {
        const sockets = await both(namespace, options);
        for (const socket of sockets) {
          assert.equal(await ask(socket, "which"), kind);
          await reported("connect", namespace, socket.id);
        }
        leave(...sockets);
      }
      const socket = await enter("/tenant/b", { gateway: g2, auth: inside });
      const [, , , details] = await reported("connect", "/tenant/b", socket.id);
      assert.deepEqual([details.auth, details.data], [inside, { tenant: "/tenant/b" }], "the function's services are told auth, its middleware runs");
      leave(socket);
    });

    test("that nobody declares are invalid, and so are those that the function refuses", async () => {
      for (const gateway of [g1, g2]) {
        for (const [namespace, auth] of [
          ["/tenant/a", { key: "wrong" }],
          ["/elsewhere", { key: "sesame" }],
          ["/pattern-1/2", {}],
          ["/pattern-*", {}],
        ]) {
          const error = await refused(namespace, { gateway, auth });
          assert.deepEqual([error.message, error.data], ["Invalid namespace", undefined], namespace);
        }
      }
    });

    test("do not vanish while the function is in trouble: the transport closes, the client tries again", async () => {
      const socket = d.client("/tenant/c", { gateway: g2, auth: { key: "trouble" } });
      const errors = collect(socket, "connect_error");
      await next(socket.io, "close", 3 * timeout);
      assert.deepEqual(errors.all, []);
      assert.equal(socket.active, true);
      socket.auth = { key: "sesame" };
      await connected(socket);
      leave(socket);
    });

    test("hear what is said to the pattern or function they have their configuration from", async () => {
      const auth = { key: "sesame" };
      const sockets = [await enter("/tenant/x", { gateway: g1, auth }), await enter("/tenant/y", { gateway: g2, auth }), await enter("/pattern-x", { gateway: g1 }), await enter("/pattern-y", { gateway: g2 })];
      const all = sockets.map((socket) => collect(socket, "news"));
      await order("emit", { namespace: "/**serverapi" }, "news", "tenants");
      await order("emit", { namespace: "/pattern-*" }, "news", "patterns");
      await Promise.all(all.map((one) => one.of(1)));
      assert.deepEqual(all.map((one) => one.all), [[["tenants"]], [["tenants"]], [["patterns"]], [["patterns"]]]);
      const [listed] = [await order("fetch", { namespace: "/**serverapi" })];
      assert.deepEqual(listed.map((info) => [info.id, info.namespace]).sort(), [[sockets[0].id, "/tenant/x"], [sockets[1].id, "/tenant/y"]].sort());
      leave(...sockets);
    });
  });

  describe("middleware", () => {
    test("emits, joins and sets data before the client is in", async () => {
      for (const gateway of [g1, g2]) {
        const socket = d.client("/static", { gateway, auth: { room: "early" } });
        const packets = [];
        socket.io.on("packet", (packet) => packet.nsp === "/static" && packets.push(packet.type));
        const welcome = collect(socket, "welcome");
        await connected(socket);
        await welcome.of(2);
        assert.deepEqual(welcome.all, [[socket.id, Buffer.from([1, 2, 255])], ["again"]]);
        // Two EVENTs come before CONNECT: the client kept them.
        assert.deepEqual(packets.slice(0, 3), [2, 2, 0]);
        const [, , , details] = await reported("connect", "/static", socket.id);
        assert.deepEqual([details.rooms, details.data, details.auth], [["early"], { from: "middleware" }, null]);
        leave(socket);
      }
    });

    test("refuses with a message and data", async () => {
      for (const gateway of [g1, g2]) {
        const error = await refused("/static", { gateway, auth: { refuse: "no way" } });
        assert.deepEqual([error.message, error.data], ["no way", { why: "it asked for it" }]);
      }
    });

    test("for events lets them on, refuses them, or loses them", async () => {
      for (const socket of await both("/static")) {
        assert.equal(await ask(socket, "echo", 1), 1);
        assert.deepEqual(await ask(socket, "forbidden", "so there"), { ok: false, code: "forbidden", message: "not this", data: "so there" });
        await assert.rejects(socket.timeout(500).emitWithAck("lost"), /timed out/);
        leave(socket);
      }
    });
  });

  describe("events", () => {
    test("that fail are told in development, and so are middlewares", async () => {
      for (const socket of await both("/develop")) {
        assert.deepEqual(await ask(socket, "fail"), { ok: false, code: "internal", message: "fail: database down" });
        assert.deepEqual(await ask(socket, "panic"), { ok: false, code: "internal", message: "panic: panic: boom" });
        leave(socket);
      }
      assert.equal((await refused("/develop", { query: { fail: "1" } })).message, "the users cannot be read");
    });

    test("reach catch-all listeners in both directions", async () => {
      await ask(control, "outgoing");
      for (const socket of await both("/static")) {
        reports.length = 0;
        socket.emit("echo", 1, 2);
        await reported("any", "echo", 2);
        await ask(socket, "emit", "to you");
        leave(socket);
      }
      await order("emit", { namespace: "/static", volatile: true }, "news", 1, 2);
      const said = await ask(control, "outgoing");
      assert.deepEqual(said.sort(), [["emit", "/static", "news", 1], ["emit", "/static", "news", 1], ["volatile", "/static", "news", 2]]);
    });

    test("are acked after what their handlers said, and set, before", async () => {
      for (const socket of await both("/static")) {
        let heard = 0;
        socket.on("news", () => heard++);
        for (let i = 1; i <= 100; i++) {
          assert.equal(await ask(socket, "emit", "to you"), "said");
          assert.equal(heard, i);
          await ask(socket, "set data", { i });
          assert.deepEqual(await ask(socket, "data"), { i });
        }
        leave(socket);
      }
    });

    test("reach catch-all listeners before middlewares refuse them", async () => {
      for (const socket of await both("/static")) {
        reports.length = 0;
        assert.equal((await ask(socket, "forbidden", 1)).ok, false);
        await reported("any", "forbidden", 1);
        leave(socket);
      }
    });

    test("are acked in both directions, binary data too, or time out", async () => {
      for (const socket of await both("/static")) {
        const bytes = Buffer.from([0, 1, 255]);
        assert.deepEqual(await new Promise((resolve) => socket.emit("echo", { a: [1] }, bytes, (...args) => resolve(args))), [{ a: [1] }, bytes]);
        await assert.rejects(socket.timeout(300).emitWithAck("silence"), /timed out/);
        assert.equal(await ask(socket, "ask me", "anybody?", 500), "timed out");
        socket.on("question", (text, ack) => ack(`${text} yes`, bytes));
        assert.deepEqual(await new Promise((resolve) => socket.emit("ask me", "there?", timeout / 2, (...args) => resolve(args))), ["answered", "there? yes", bytes]);
        leave(socket);
      }
    });

    test("gather the acks of every client, and those that came when the time is over", async () => {
      const sockets = [...(await both("/static")), ...(await both("/static"))];
      const answer = (socket, i) => socket.on("number", (x, ack) => ack(x, i));
      sockets.slice(0, 3).forEach(answer);
      const target = { namespace: "/static", timeout: 1500 };
      const several = (...args) => new Promise((resolve) => control.emit(...args, (...answers) => resolve(answers)));
      let [state, byID] = await several("ask", target, "number", 7);
      if (Object.keys(byID).length < 3) [state, byID] = await several("ask", { ...target, timeout: timeout / 2 }, "number", 7); // a busy machine
      assert.deepEqual([state, byID], ["timed out", Object.fromEntries(sockets.slice(0, 3).map((socket, i) => [socket.id, [7, i]]))]);
      answer(sockets[3], 3);
      [state, byID] = await several("ask", { ...target, timeout: timeout }, "number", 8);
      assert.deepEqual([state, byID], ["all", Object.fromEntries(sockets.map((socket, i) => [socket.id, [8, i]]))]);
      [state, byID] = await several("ask", { ...target, rooms: ["nobody's"] }, "number", 9);
      assert.deepEqual([state, byID], ["all", {}]);
      leave(...sockets);
    });

    test("go to rooms, to others, to all but some, to one gateway", async () => {
      const [a, b] = await both("/static");
      const [c, e] = await both("/static");
      await order("join", { namespace: "/static", rooms: [a.id, b.id] }, "red");
      const end = heard(a, b, c, e);
      await ask(a, "broadcast", "all but me");
      await ask(a, "to", "red but me", "red");
      await ask(a, "except", "neither me nor red", "red");
      await ask(a, "local", "my gateway but me");
      await order("emit", { namespace: "/static" }, "news", "all");
      await order("emit", { namespace: "/static", rooms: ["red", c.id] }, "news", "many");
      await order("emit", { namespace: "/static", rooms: ["red"], except: [a.id] }, "news", "red but a");
      await order("emit", { namespace: "/static", local: "g2" }, "news", "at g2");
      await order("emit", { namespace: "/static", local: "g2", rooms: ["red"] }, "news", "red at g2");
      assert.deepEqual(await end(), [
        ["all", "many"],
        ["all but me", "red but me", "all", "many", "red but a", "at g2", "red at g2"],
        ["all but me", "neither me nor red", "my gateway but me", "all", "many"],
        ["all but me", "neither me nor red", "all", "at g2"],
      ]);
      leave(a, b, c, e);
    });

    test("are compressed for who takes them so, unless they say otherwise", async () => {
      const sockets = await both("/static", { transports: ["websocket"], perMessageDeflate: true });
      const text = "again and ".repeat(2_000);
      for (const plain of [false, true]) {
        const before = sockets.map((socket) => socket.io.engine.transport.ws._socket.bytesRead);
        const heard = sockets.map((socket) => next(socket, "news"));
        await order("emit", { namespace: "/static", plain }, "news", text);
        for (const [i, socket] of sockets.entries()) {
          assert.deepEqual(await heard[i], [text]);
          const bytes = socket.io.engine.transport.ws._socket.bytesRead - before[i];
          assert.equal(bytes > text.length, plain, `${bytes} bytes`);
        }
      }
      leave(...sockets);
    });

    test("that are volatile reach who reads, and are dropped for who does not", async () => {
      const [reader, sleeper] = await both("/static", { transports: ["websocket"], perMessageDeflate: false });
      const read = collect(reader, "news");
      const slept = collect(sleeper, "news");
      const [mine, others] = [collect(sleeper, "now"), next(reader, "now")];
      await ask(sleeper, "volatile broadcast", "to others", "now");
      assert.deepEqual(await others, ["to others"]);
      await ask(reader, "volatile broadcast", "to me too", "now");
      await mine.of(1);
      assert.deepEqual(mine.all, [["to me too"]]);
      const missed = async () => Number((await (await fetch(`${g2.health}/metrics`)).text()).match(/^natter_gateway_volatile_missed_total (\d+)$/m)[1]);
      const before = await missed();
      const connection = sleeper.io.engine.transport.ws._socket;
      connection.pause();
      const many = 300; // 18 MB, more than the system's buffers hold
      await order("flood", { namespace: "/static", volatile: true }, many, 60_000);
      await until(async () => (await missed()) > before, "some to be missed"); // soon: the heartbeat waits for nobody
      connection.resume();
      await order("emit", { namespace: "/static" }, "news", "stored");
      await until(() => slept.all.some(([text]) => text === "stored"), "what is not volatile");
      assert.equal(sleeper.connected, true);
      const got = () => slept.all.filter(([i]) => i !== "stored").length;
      await until(async () => got() + (await missed()) - before === many, "each volatile event to be heard or counted as missed");
      await read.of(1);
      leave(reader, sleeper);
    });
  });

  describe("sockets", () => {
    test("are fetched with what is known of them", async () => {
      const [a] = [await enter("/static", { gateway: g1, transports: ["polling"], query: { x: "1" }, auth: { room: "blue" } })];
      const b = await enter("/static", { gateway: g2, transports: ["websocket"], extraHeaders: { "x-who": "b" } });
      const fetch = async (target) => Object.fromEntries((await order("fetch", { namespace: "/static", ...target })).map((info) => [info.id, info]));
      const all = await fetch();
      assert.deepEqual(Object.keys(all).sort(), [a.id, b.id].sort());
      assert.deepEqual([all[a.id].rooms, all[a.id].data, all[a.id].transport], [["blue"], { from: "middleware" }, "polling"]);
      assert.equal(all[a.id].handshake.query.x, "1");
      assert.deepEqual([all[b.id].handshake.headers["x-who"], all[b.id].transport, all[b.id].handshake.auth], ["b", "websocket", undefined]);
      for (const field of ["address", "url", "time", "issued", "secure", "xdomain"]) assert.ok(field in all[b.id].handshake, field);
      assert.deepEqual([await order("count", { namespace: "/static" }), await order("count", { namespace: "/static", rooms: ["blue"] }), await order("count", { namespace: "/static", rooms: ["red"] })], [2, 1, 0]);
      assert.deepEqual(Object.keys(await fetch({ rooms: ["blue"] })), [a.id]);
      assert.deepEqual(Object.keys(await fetch({ rooms: [b.id] })), [b.id]);
      assert.deepEqual(Object.keys(await fetch({ local: "g2" })), [b.id]);
      assert.deepEqual(Object.keys(await fetch({ except: ["blue"] })), [b.id]);
      leave(a, b);
    });

    test("have their data in every handler", async () => {
      for (const gateway of [g1, g2]) {
        reports.length = 0;
        const socket = await enter("/static", { gateway });
        const seen = (where, value) => reported("data", where, socket.id, value);
        assert.deepEqual(await ask(socket, "data"), { from: "middleware" });
        await seen("middleware", { from: "middleware" });
        await seen("catch-all", { from: "middleware" });
        const value = { user: { name: "Zoë 🎉" }, n: [1, null, 2.5] };
        assert.deepEqual(await ask(socket, "set data", value), value, "what is set is there at once");
        // Its gateway hears of it from the stream, the handler's ack may be quicker.
        await until(async () => isDeepStrictEqual(await ask(socket, "data"), value), "the data to come with the events");
        const large = "x".repeat(10_000);
        await ask(socket, "set data", large);
        await until(async () => (await ask(socket, "data")) === "elsewhere", "to be told that they are too large");
        const [mine, rooms, fetched, query] = await new Promise((resolve) => socket.emit("fetch me", "red", (...all) => resolve(all)));
        assert.deepEqual([mine, rooms, fetched, query.EIO], [true, ["red"], large, "4"]);
        await order("data", { namespace: "/static", rooms: ["red"] }, { seat: 3 });
        assert.deepEqual((await order("fetch", { namespace: "/static", rooms: ["red"] })).map((info) => info.data), [{ seat: 3 }]);
        assert.deepEqual(await ask(socket, "data"), { seat: 3 });
        const { id } = socket;
        leave(socket);
        await reported("data", "disconnect", id, { seat: 3 });
      }
    });

    test("join, leave, are given data and are disconnected, by room", async () => {
      const [a, b] = await both("/static");
      const [c] = await both("/static").then(([first, second]) => (leave(second), [first]));
      const all = { namespace: "/static" };
      const rooms = async () => Object.fromEntries((await order("fetch", all)).map((info) => [info.id, info.rooms]));
      await order("join", { ...all, rooms: [a.id, b.id] }, "red");
      await order("join", { ...all, rooms: ["red"] }, "blue");
      assert.deepEqual(await rooms(), { [a.id]: ["blue", "red"], [b.id]: ["blue", "red"], [c.id]: [] });
      await order("leave", { ...all, rooms: ["blue"], except: [b.id] }, "red");
      assert.deepEqual(await rooms(), { [a.id]: ["blue"], [b.id]: ["blue", "red"], [c.id]: [] });
      await order("data", { ...all, rooms: ["red"] }, { seat: 3 });
      assert.deepEqual((await order("fetch", { ...all, rooms: ["red"] })).map((info) => info.data), [{ seat: 3 }]);
      const gone = [a, b].map((socket) => next(socket, "disconnect"));
      await order("put out", { ...all, rooms: ["blue"] });
      for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
      assert.deepEqual(Object.keys(await rooms()), [c.id]);
      const manager = next(c.io, "close");
      await order("put out", { ...all, rooms: [c.id] }, true);
      await manager;
    });
  });

  test("instances talk among themselves, with acks", async () => {
    reports.length = 0;
    const [speaker] = [await ask(control, "server side emit", "hello")];
    const other = speaker === "one" ? "two" : "one";
    await reported("server side", other, "hello");
    const [asker, said] = await new Promise((resolve) => control.emit("server side ask", "who?", (...args) => resolve(args)));
    assert.deepEqual(said, [asker === "one" ? "two" : "one"]);
    assert.equal(reports.filter(([what]) => what === "server side").length, 2, "nobody hears itself");
  });

  test("rooms tell who comes and goes, gateway by gateway", async () => {
    reports.length = 0;
    const events = () => reports.filter(([what]) => what === "room").map(([, ...event]) => event);
    const [a, b] = await both("/static");
    const [c] = [await enter("/static", { gateway: g1 })];
    const ids = [a.id, b.id, c.id];
    const at = (gateway) => events().filter((event) => event[3] === gateway);
    await order("join", { namespace: "/static", rooms: [a.id] }, "red");
    await until(() => at("g1").length === 2, "the room at g1");
    await order("join", { namespace: "/static", rooms: [b.id, c.id] }, "red");
    await until(() => events().length === 5, "the others");
    await order("leave", { namespace: "/static", rooms: [a.id] }, "red");
    await until(() => events().length === 6, "the first to leave");
    leave(b);
    await until(() => at("g2").length === 4, "the last one at g2 to leave");
    // Sorted, since the two instances share the events and neither waits for the other.
    assert.deepEqual(at("g1").sort(), [["create-room", "red", "", "g1"], ["join-room", "red", ids[0], "g1"], ["join-room", "red", ids[2], "g1"], ["leave-room", "red", ids[0], "g1"]].sort());
    assert.deepEqual(at("g2").sort(), [["create-room", "red", "", "g2"], ["delete-room", "red", "", "g2"], ["join-room", "red", ids[1], "g2"], ["leave-room", "red", ids[1], "g2"]]);
    leave(a, c);
  });

  describe("disconnecting knows the rooms, and disconnect the reason", () => {
    const inRed = async (socket) => {
      await order("join", { namespace: "/static", rooms: [socket.id] }, "red");
      await until(async () => (await order("fetch", { namespace: "/static", rooms: ["red"] })).length === 1, "the socket to be in the room");
    };
    const ws = (socket) => socket.io.engine.transport.ws;
    const reasons = {
      "client namespace disconnect": (socket) => socket.disconnect(),
      "server namespace disconnect": (socket) => order("put out", { namespace: "/static", rooms: [socket.id] }),
      "transport close": (socket) => socket.io.engine.close(),
      "transport error": (socket) => socket.emit("echo", "x".repeat(200_000)), // over maxHttpBufferSize
      "parse error": (socket) => ws(socket).send("no Engine.IO packet"),
      "forced close": (socket) => socket.io.engine.write('2/static,["half an event"'),
      "forced server close": (socket) => socket.io.engine.write('2/not-entered,["event"]'),
      "ping timeout": (socket) => (socket.io.engine._sendPacket = () => {}), // no pong
    };
    for (const [reason, end] of Object.entries(reasons)) {
      test(reason, async () => {
        const socket = await enter("/static", { gateway: g2, transports: ["websocket"], reconnection: false });
        await inRed(socket);
        const { id } = socket;
        await end(socket);
        const ends = await until(() => {
          const ends = reports.filter(([what, , who]) => what.startsWith("disconnect") && who === id);
          return ends.length === 2 && ends;
        }, `the end of ${id}`, 2 * timeout);
        ends.sort(([a], [b]) => (a < b ? 1 : -1)); // one instance may have heard the one, the other instance the other
        assert.deepEqual(ends, [["disconnecting", "/static", id, reason, ["red"]], ["disconnect", "/static", id, reason]]);
        leave(socket);
      });
    }

    test("server shutting down", async () => {
      const socket = await enter("/static", { gateway: g2, reconnection: false });
      await inRed(socket);
      const { id } = socket;
      await g2.stop();
      await reported("disconnecting", "/static", id, "server shutting down", ["red"]);
      await reported("disconnect", "/static", id, "server shutting down");
    });
  });
});
