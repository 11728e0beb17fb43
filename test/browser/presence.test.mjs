// Who is in a room, as the page makes it out.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite } from "../harness.mjs";
import { open } from "./pages.mjs";

describe("the list of people", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  test("an answer that lacks a gateway's part takes nobody off the list, and nobody out of the room", async () => {
    const { page } = await site.visit("/");
    const seen = await page.evaluate(async () => {
      const { Presence } = await import("/presence.js");
      const { Room } = await import("/room.js");
      const answers = [
        { ok: true, members: [{ id: "me" }, { id: "ann" }] },
        { ok: true, members: [{ id: "bob" }], complete: false },
        { ok: true, members: [{ id: "bob" }], complete: true },
      ];
      const connection = { id: "me", phase: "connected", on() {}, request: async () => answers.shift() };
      const room = new Room("room", () => false);
      room.state = "in";
      const seen = [];
      let told;
      const look = (what) => {
        seen.push([what, ...room.members.map(({ id }) => id)]);
        told();
      };
      const presence = new Presence(connection, new Map([[room.name, room]]), () => look("there"), () => look("out"));
      while (answers.length > 0) {
        const answered = new Promise((resolve) => (told = resolve));
        presence.ask(room);
        await answered;
      }
      return seen;
    });
    assert.deepEqual(seen, [
      ["there", "me", "ann"],
      ["there", "bob", "me", "ann"],
      ["there", "bob"],
      ["out", "bob"],
    ]);
  });

  test("of the many who hear that somebody came not all ask at once", async () => {
    const { page } = await site.visit("/", { prepare: (page) => page.clock.install() });
    const asked = await page.evaluate(async () => {
      const { Presence } = await import("/presence.js");
      const { Room } = await import("/room.js");
      const listeners = {};
      const delays = [];
      globalThis.setTimeout = (_, delay) => delays.push(delay);
      for (let i = 0; i < 100; i++) {
        const room = new Room("room", () => false);
        room.state = "in";
        room.members = Array.from({ length: 500 }, (_, i) => ({ id: `member ${i}` }));
        new Presence({ id: "me", phase: "connected", on: (event, listener) => (listeners[event] = listener) }, new Map([["room", room]]), () => {}, () => {});
        listeners.joined("room", { socket: "somebody", time: "2026-01-02T12:00:00Z" });
      }
      return delays.sort((a, b) => a - b);
    });
    assert.equal(asked.length, 100);
    assert.ok(asked[0] >= 300 && asked[99] < 30_300, `${asked}`);
    // 500 pages in ten seconds: a hundred of them ask over most of that time.
    assert.ok(asked[99] - asked[0] > 5000, `between ${asked[0]} and ${asked[99]} ms`);
  });
});
