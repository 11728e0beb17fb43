// Two gateways with the msgpack parser, and a back end on the SDK that knows nothing of it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import parser from "socket.io-msgpack-parser";
import { collect, connected, next, until } from "../harness.mjs";
import { Process } from "../process.mjs";
import { ask, bin, running } from "./deployment.mjs";

describe("gateways with the msgpack parser", () => {
  test("behave as one server, with back ends on the SDK", async (t) => {
    const d = await running(t, { gateways: 2, flags: { gateway: ["--parser", "msgpack"] } });
    const [g1, g2] = d.gateways;
    const ann = await d.connected("/", { parser, gateway: g1, auth: { name: "Ann" } });
    const bob = await d.connected("/", { parser, gateway: g2, auth: { name: "Bob" } });
    for (const socket of [ann, bob]) assert.equal((await ask(socket, "join", "red")).ok, true);

    // Said to a room, with binary data inside, kept, and read again.
    const picture = Buffer.from([0, 0xff, 7]);
    const heard = [ann, bob].map((socket) => collect(socket, "room message"));
    const ack = await ask(ann, "room message", "red", { picture, at: [1.5, { deep: picture }] });
    assert.equal(ack.ok, true);
    for (const h of heard) {
      const [[room, message, stamp]] = await h.of(1);
      assert.deepEqual([room, message, stamp.id, stamp.name], ["red", { picture, at: [1.5, { deep: picture }] }, ack.id, "Ann"]);
    }
    const page = await until(async () => {
      const page = await ask(bob, "history", { room: "red" });
      return page.messages?.length === 1 && page;
    }, "the history");
    assert.deepEqual(page.messages[0].attachments, [picture.toString("base64"), picture.toString("base64")]);
    assert.deepEqual((await ask(bob, "who", "red")).members.map((member) => member.name), ["Ann", "Bob"]);

    // The SDK: a namespace of its own, acks, broadcasts, refusals.
    const dice = new Process(bin("dice"), [], { cwd: d.dir, env: { NATS_URL: d.natsUrl } });
    t.after(() => dice.stop());
    dice.launch();
    const [one, two] = [d.client("/dice", { parser, gateway: g1 }), d.client("/dice", { parser, gateway: g2 })];
    await until(() => {
      for (const socket of [one, two]) if (!socket.active) socket.connect();
      return one.connected && two.connected;
    }, "the namespace /dice", 30_000);
    for (const socket of [one, two]) assert.equal(await ask(socket, "sit", "green"), "welcome");
    const atTable = next(two, "rolled");
    const rolled = await ask(one, "roll", "green", 3);
    assert.deepEqual((await atTable).slice(0, 2), [one.id, rolled]);
    const refused = await ask(two, "roll", "green", 11);
    assert.deepEqual([refused.ok, refused.message], [false, "roll 1 to 10 dice"]);

    // A gateway that ends: its client comes back when it does.
    const lost = next(bob, "disconnect");
    await g2.kill();
    await lost;
    assert.equal((await ask(ann, "chat message", "still here")).ok, true);
    g2.launch();
    await g2.ready();
    await connected(bob);
    assert.equal((await ask(bob, "chat message", "here again")).ok, true);
  });
});
