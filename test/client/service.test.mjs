// What services do with nothing but a NATS client: hear events, answer acks, say
// things to all, to rooms and to single sockets, with binary data too.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { collect, next, start, suite, until } from "../harness.mjs";

describe("a back end on NATS", () => {
  let natter;
  let backend;
  let ann;
  let bob;
  const t = suite();
  before(async () => {
    natter = await start(t);
    backend = await natter.nats();
    ann = await natter.connected();
    bob = await natter.connected("/", { transports: ["polling"] });
  });

  const ask = (socket, ...event) => socket.timeout(10_000).emitWithAck(...event);

  test("answers a client's ack", async () => {
    await backend.on("/", "add", ([a, b], { socket }) => [a + b, { socket }]);
    await new Promise((resolve) =>
      ann.emit("add", 2, 3, (sum, who) => {
        assert.equal(sum, 5);
        assert.deepEqual(who, { socket: ann.id });
        resolve();
      }),
    );
  });

  test("acks find their way among many", async () => {
    await backend.on("/", "double", ([n]) => [2 * n]);
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(i % 2 ? ann : bob, "double", i)));
    assert.deepEqual(answers, Array.from({ length: 200 }, (_, i) => 2 * i));
  });

  test("may answer with nothing, and not at all", async () => {
    await backend.on("/", "nothing", () => []);
    assert.equal(await ask(ann, "nothing"), undefined);
    await backend.on("/", "silence", () => undefined);
    await assert.rejects(ann.timeout(300).emitWithAck("silence"), /timed out/);
  });

  test("hears events of any name, in order", async () => {
    const heard = [];
    const names = ["error", "a.b", "*", ">", "with space", "émoji 🎉", "", "message"];
    for (const name of names) await backend.on("/", name, (args, { wantsAck }) => void heard.push([name, ...args, wantsAck]));
    names.forEach((name, i) => ann.emit(name, i, { i }));
    await until(() => heard.length === names.length, "every event");
    assert.deepEqual(heard, names.map((name, i) => [name, i, { i }, false]));
  });

  test("emits to all, to a room, to one socket, with exceptions", async () => {
    const heard = { ann: collect(ann, "notice"), bob: collect(bob, "notice") };
    await backend.emit("/", "all", ["notice", "all"]);
    await backend.do("/", `socket.${bob.id}`, ["join", "red"]);
    await backend.emit("/", "room.red", ["notice", "red"]);
    await backend.emit("/", `socket.${ann.id}`, ["notice", "ann"]);
    await backend.emit("/", "all", ["notice", "not ann"], { except: ann.id });
    await backend.do("/", `socket.${bob.id}`, ["leave", "red"]);
    await backend.emit("/", "room.red", ["notice", "nobody"]);
    await backend.emit("/", "all", ["notice", "end"]);
    await Promise.all([heard.ann.of(3), heard.bob.of(4)]);
    assert.deepEqual(heard.ann.all.map(([text]) => text), ["all", "ann", "end"]);
    assert.deepEqual(heard.bob.all.map(([text]) => text), ["all", "red", "not ann", "end"]);
  });

  test("asks a client and gets its ack", async () => {
    ann.on("capital", (country, answer) => answer(country === "France" ? "Paris" : null, country));
    assert.deepEqual(await backend.ask("/", ann.id, ["capital", "France"]), ["Paris", "France"]);
  });

  const carriers = {
    websocket: { transports: ["websocket"] },
    "websocket as base64": { transports: ["websocket"], forceBase64: true },
    polling: { transports: ["polling"] },
  };
  for (const [transport, options] of Object.entries(carriers)) {
    test(`binary data in both directions over ${transport}`, async () => {
      const socket = await natter.connected("/", options);
      const first = Buffer.from([0, 1, 2, 0xff, 0x1e]);
      const second = Buffer.alloc(100_000, 7);

      await backend.on("/", `picture ${transport}`, (args, { attachments }) => {
        assert.deepEqual(args, [
          { name: "cat", data: { _placeholder: true, num: 0 } },
          { _placeholder: true, num: 1 },
        ]);
        return { args: [{ _placeholder: true, num: 1 }, "and", { _placeholder: true, num: 0 }], attachments };
      });
      const answer = await new Promise((resolve) =>
        socket.emit(`picture ${transport}`, { name: "cat", data: first }, second, (...args) => resolve(args)),
      );
      assert.deepEqual(answer, [second, "and", first]);

      const heard = next(socket, "file");
      await backend.emit("/", `socket.${socket.id}`, ["file", [{ _placeholder: true, num: 0 }], { name: "b", data: { _placeholder: true, num: 1 } }], {
        attachments: [first, second],
      });
      assert.deepEqual((await heard).slice(0, 2), [[first], { name: "b", data: second }]);
    });
  }

  test("what looks like an attachment and is none stays as it is", async () => {
    const fake = { _placeholder: true, num: 0 };
    await backend.on("/", "fake", (args) => args);
    const answer = await new Promise((resolve) => ann.emit("fake", fake, (...args) => resolve(args)));
    assert.deepEqual(answer, [fake]);
  });

  test("nonsense on a stored subject harms nobody", async () => {
    const heard = collect(ann, "after");
    for (const payload of ["hello", "", "[]", "{}", '["connect"]', '[{"toString":1}]', '["a"', '["a\xff"]']) {
      const data = Buffer.from(payload, "latin1");
      await backend.connection.request("natter.emit._.all", data, { timeout: 10_000 });
    }
    await backend.emit("/", "all", ["after", 1]);
    await heard.of(1);
    assert.equal(ann.connected, true);
    assert.equal(bob.connected, true);
  });
});
