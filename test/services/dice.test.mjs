// examples/dice beside the all-in-one, as its README says.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { collect, next, start, until } from "../harness.mjs";
import { Process } from "../process.mjs";
import { ask, bin } from "./deployment.mjs";

describe("examples/dice", () => {
  test("people sit down and roll, and everybody at the table hears it", async (t) => {
    const natter = await start(t);
    const dice = new Process(bin("dice"), [], { cwd: natter.place.dir, env: { NATS_URL: natter.natsUrl } });
    t.after(() => dice.stop());
    // Until the program has registered the namespace there is none; a client that is refused stays away.
    const early = natter.client("/dice");
    assert.equal((await next(early, "connect_error"))[0].message, "Invalid namespace");
    dice.launch();
    await until(() => {
      if (!early.active) early.connect();
      return early.connected;
    }, "the namespace /dice", 30_000);

    const [ann, bob] = await Promise.all([natter.connected("/dice"), natter.connected("/dice", { transports: ["polling"] })]);
    const [atTable, elsewhere] = [collect(bob, "rolled"), collect(early, "rolled")];
    for (const socket of [ann, bob]) assert.equal(await ask(socket, "sit", "green"), "welcome");
    assert.equal(await ask(early, "sit", "blue"), "welcome");
    const own = next(ann, "rolled");
    const rolled = await ask(ann, "roll", "green", 3);
    assert.equal(rolled.length, 3);
    for (const eyes of rolled) assert.ok(Number.isInteger(eyes) && eyes >= 1 && eyes <= 6);
    assert.deepEqual((await own).slice(0, 2), [ann.id, rolled]);
    assert.deepEqual((await atTable.of(1))[0].slice(0, 2), [ann.id, rolled]);
    const refused = await ask(bob, "roll", "green", 11);
    assert.deepEqual([refused.ok, refused.message], [false, "roll 1 to 10 dice"]);

    // The program starts again; its clients do not notice.
    await dice.stop();
    dice.launch();
    const again = await until(() => bob.timeout(500).emitWithAck("roll", "green", 1), "dice to be back", 30_000);
    assert.equal(again.length, 1);
    assert.deepEqual(elsewhere.all, [], "nobody else hears it");
    assert.deepEqual([ann.connected, bob.connected], [true, true]);
  });
});
