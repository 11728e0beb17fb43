// The default rules of the main namespace: a chat without any back-end code.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { collect, next, start, suite, until } from "../harness.mjs";

const ask = (socket, ...event) => socket.timeout(10_000).emitWithAck(...event);

describe("the chat rules", () => {
  let natter;
  let ann;
  let bob;
  const t = suite();
  before(async () => {
    natter = await start(t);
    ann = await natter.connected("/", { auth: { name: "Ann" } });
    bob = await natter.connected("/", { auth: { name: "Bob" }, transports: ["polling"] });
  });

  test("a chat message reaches every client, its sender too, byte for byte", async () => {
    const texts = ["hello", "<b>&\u2028</b>", "café 🎉", "", "lone \ud800 surrogate", { z: 1, a: [null, 1.5, { "": "" }] }];
    for (const text of texts) {
      const heard = [next(ann, "chat message"), next(bob, "chat message")];
      const ack = await ask(ann, "chat message", text);
      assert.equal(ack.ok, true);
      for (const args of await Promise.all(heard)) {
        assert.deepEqual(args[0], text);
        assert.equal(JSON.stringify(args[0]), JSON.stringify(text), "keys keep their order");
        assert.equal(args[1].socket, ann.id);
        assert.equal(args[1].name, "Ann");
        assert.equal(args[1].user, undefined, "nobody verified who this is");
        assert.ok(args[1].id, "a stored message has an id");
        assert.ok(!Number.isNaN(Date.parse(args[1].time)));
      }
    }
  });

  test("everybody hears the same order", async () => {
    const heard = [collect(ann, "chat message"), collect(bob, "chat message")];
    for (let i = 0; i < 50; i++) {
      ann.emit("chat message", `a${i}`);
      bob.emit("chat message", `b${i}`);
    }
    const [first, second] = (await Promise.all(heard.map((h) => h.of(100)))).map((all) => all.map(([text]) => text));
    assert.deepEqual(first, second);
    for (const who of ["a", "b"]) {
      assert.deepEqual(first.filter((text) => text[0] === who), Array.from({ length: 50 }, (_, i) => `${who}${i}`));
    }
  });

  test("a stamp cannot be forged", async () => {
    const ack = await ask(ann, "chat message", "hello", { socket: bob.id, user: "root", name: "Bob" });
    assert.deepEqual([ack.ok, ack.code], [false, "invalid"]);
    assert.ok(ack.message);
  });

  test("a room: join, talk, who, leave", async () => {
    const room = "lunch > *.café";
    const outside = collect(bob, "room message");

    const refused = await ask(ann, "room message", room, "too early");
    assert.deepEqual([refused.ok, refused.code], [false, "forbidden"]);

    assert.equal((await ask(ann, "join", room)).ok, true);
    const heard = next(ann, "room message");
    assert.equal((await ask(ann, "room message", room, "hungry?")).ok, true);
    assert.deepEqual((await heard).slice(0, 2), [room, "hungry?"]);

    assert.equal((await ask(bob, "join", room)).ok, true);
    const both = [next(ann, "room message"), next(bob, "room message")];
    assert.equal((await ask(bob, "room message", room, "yes")).ok, true);
    for (const args of await Promise.all(both)) assert.deepEqual(args.slice(0, 2), [room, "yes"]);
    assert.deepEqual(outside.all.map((args) => args[1]), ["yes"], "what was said before the join is not heard");

    const who = await ask(ann, "who", room);
    assert.equal(who.ok, true);
    for (const socket of [ann, bob]) assert.ok(JSON.stringify(who).includes(socket.id), `${socket.id} is in ${JSON.stringify(who)}`);

    assert.equal((await ask(bob, "leave", room)).ok, true);
    const last = next(ann, "room message");
    assert.equal((await ask(ann, "room message", room, "gone?")).ok, true);
    await last;
    // A later event on the same connection: what came before it would be here.
    const fence = next(bob, "chat message");
    assert.equal((await ask(bob, "chat message", "fence")).ok, true);
    await fence;
    assert.deepEqual(outside.all.map((args) => args[1]), ["yes"]);
  });

  test("typing reaches the room, except who types", async () => {
    for (const socket of [ann, bob]) assert.equal((await ask(socket, "join", "typists")).ok, true);
    const heard = { ann: collect(ann, "typing"), bob: collect(bob, "typing") };
    // Volatile: a client that cannot be written to at that moment does not hear it.
    const typed = (who, by) =>
      until(() => {
        if (who.all.length === 0) by.emit("typing", "typists");
        return who.all.length > 0;
      }, "typing");
    await typed(heard.bob, ann);
    // Bob's reaches Ann by the way that her own would have come before.
    await typed(heard.ann, bob);
    for (const [who, by] of [[heard.bob, ann], [heard.ann, bob]]) {
      for (const [room, stamp] of who.all) {
        assert.equal(room, "typists");
        assert.equal(stamp.socket, by.id);
      }
    }
  });

  test("history has what was said, for members only", async () => {
    const room = "archive";
    const request = { room, limit: 2 };
    assert.deepEqual([(await ask(ann, "history", request)).code], ["forbidden"]);
    assert.equal((await ask(ann, "join", room)).ok, true);
    const stamps = collect(ann, "room message");
    for (const text of ["one", "two", "three"]) assert.equal((await ask(ann, "room message", room, text)).ok, true);
    const live = await stamps.of(3);

    const newest = await until(async () => {
      const page = await ask(ann, "history", request);
      return page.ok && page.messages.at(-1)?.event[2] === "three" && page;
    }, "the message in history");
    assert.deepEqual(newest.messages.map((m) => m.event.slice(0, 3)), [["room message", room, "two"], ["room message", room, "three"]]);
    assert.deepEqual(newest.messages.map((m) => m.stamp.id), live.slice(1).map((args) => args[2].id), "the ids are those heard live");
    assert.equal(newest.more, true);

    const older = await ask(ann, "history", { ...request, before: newest.messages[0].stamp.id });
    assert.deepEqual(older.messages.map((m) => m.event[2]), ["one"]);
    assert.equal(older.more, false);
  });

  test("edits of one client end in the order in which it sent them, in history and at clients", async () => {
    const room = "drafts";
    for (const socket of [ann, bob]) assert.equal((await ask(socket, "join", room)).ok, true);
    const latest = new Map();
    bob.on("message edited", (change) => {
      if (!(Date.parse(change.time) < Date.parse(latest.get(change.id)?.time))) latest.set(change.id, change);
    });
    const ids = [];
    for (let i = 0; i < 30; i++) ids.push((await ask(ann, "room message", room, "start")).id);
    await until(async () => (await ask(ann, "history", { room })).messages?.length === ids.length, "the messages in history");
    for (const id of ids) {
      const acks = await Promise.all(["first", "second", "last"].map((value) => ask(ann, "edit message", { room, id, value })));
      assert.deepEqual(acks, [{ ok: true }, { ok: true }, { ok: true }]);
    }
    await until(() => ids.every((id) => latest.get(id)?.event[2] === "last"), "the last edit of each at another client");
    const page = await ask(ann, "history", { room });
    assert.deepEqual(page.messages.map((m) => [m.stamp.id, m.event[2], m.edited]), ids.map((id) => [id, "last", latest.get(id).time]));
  });
});
