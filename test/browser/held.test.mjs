// What an instance of history holds in its hands, or was killed with, is stored after newer messages: pages loaded meanwhile
// lack it, and must not go on lacking it.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { createInbox } from "@nats-io/transport-node";
import { suite, until } from "../harness.mjs";
import { fresh, open, shoot } from "./pages.mjs";

const text = (i) => `message ${String(i).padStart(3, "0")}`;
const lines = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => text(from + i));

describe("the chat page while history lacks a message that is older than others", () => {
  let site;
  let keeping;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => {
    clearInterval(keeping);
    return site.leave();
  });

  // post says a line, and waits until it is stored in the stream.
  const post = async (bob, room, i) => {
    const { ok, id } = await bob.timeout(10_000).emitWithAck("room message", room, text(i));
    assert.equal(ok, true);
    return id;
  };
  const last = async (bob, room) => (await bob.timeout(10_000).emitWithAck("history", { room, limit: 1 })).messages?.[0]?.event[2];

  // hold plays another instance of history, which takes a post from the queue and hangs with it: the first that it gets of those
  // said from line i on. It says which that is, which is next, and gives the post back when told.
  async function hold(bob, room, i) {
    await until(async () => (await last(bob, room)) === text(i - 1), "history to have what was said before");
    const { connection } = await site.natter.nats();
    const inbox = createInbox();
    let taken;
    connection.subscribe(inbox, { callback: (_, message) => (taken ??= message) });
    connection.publish("$JS.API.CONSUMER.MSG.NEXT.NATTER_POSTS.history", JSON.stringify({ batch: 1 }), { reply: inbox });
    await connection.flush();
    for (; !taken; i++) {
      await post(bob, room, i);
      await until(async () => taken || (await last(bob, room)) === text(i), "the line to be somebody's");
    }
    // So that it is not given to another one meanwhile.
    keeping = setInterval(() => connection.publish(taken.reply, "+WPI"), 5_000);
    const held = i - 1;
    assert.equal(taken.json()[2], text(held));
    await post(bob, room, i);
    await until(async () => (await last(bob, room)) === text(i), "what was said next to be in history");
    const release = () => {
      clearInterval(keeping);
      connection.publish(taken.reply, "-NAK");
    };
    return { held, next: i, release };
  }

  // asks counts the pages of a room that a page asks for.
  function asks(page, room) {
    const asked = [];
    const note = (said) => {
      for (const packet of String(said).split("\x1e")) {
        const [event, request] = JSON.parse(/^42\d*(\[.*\])$/s.exec(packet)?.[1] ?? "[]");
        if (event === "history" && request.room === room) asked.push(request);
      }
    };
    page.on("request", (request) => note(request.postData()));
    page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => note(payload)));
    return asked;
  }

  test("it is there as soon as it is stored, in its place, whatever the reader does", async () => {
    const room = fresh("held");
    const bob = await site.client("Bob", room);
    for (let i = 1; i <= 70; i++) await post(bob, room, i);
    const { held, next, release } = await hold(bob, room, 71);

    let asked;
    const ann = await site.chat("Ann", room, { prepare: (page) => void (asked = asks(page, room)) });
    await ann.sees(text(next));
    await post(bob, room, next + 1);
    await ann.sees(text(next + 1));
    assert.ok(!(await ann.texts()).includes(text(held)), "history does not have it yet");
    await shoot(ann.page, "chat-held");
    // Older pages meanwhile, and two questions more.
    await ann.page.locator("#log").evaluate((element) => (element.scrollTop = 0));
    await until(async () => (await ann.texts()).includes(text(1)), "the older ones");
    const before = asked.length;
    await until(() => asked.length >= before + 2, "the page to ask again");
    assert.ok(!(await ann.texts()).includes(text(held)));
    release();
    await ann.sees(text(held));
    await until(async () => (await ann.texts()).length === next + 1, "all of them");
    assert.deepEqual(await ann.texts(), lines(1, next + 1));
    await ann.bubble(text(held)).scrollIntoViewIfNeeded();
    await shoot(ann.page, "chat-held-no-more");
  });

  test("one who comes there from further back waits, and misses nothing", async () => {
    const room = fresh("held back");
    const bob = await site.client("Bob", room);
    for (let i = 1; i <= 130; i++) await post(bob, room, i);
    const { held, next, release } = await hold(bob, room, 131);
    let asked;
    const ann = await site.chat("Ann", room, { prepare: (page) => void (asked = asks(page, room)) });
    await ann.sees(text(next));
    await ann.page.getByRole("button", { name: "Search in this room" }).click();
    await ann.page.getByRole("searchbox", { name: "Words to look for" }).fill("003");
    await ann.page.keyboard.press("Enter");
    await ann.page.locator("#search-results .result").click();
    await ann.page.locator(".message.found").waitFor();
    const down = () => ann.page.locator("#log").evaluate((element) => (element.scrollTop = element.scrollHeight));
    const from = asked.length;
    await until(async () => {
      await down();
      return asked.slice(from).filter(({ after }) => after).length >= 5 && (await ann.texts()).includes(text(held - 1));
    }, "the page to read on and to wait");
    assert.ok(!(await ann.texts()).includes(text(next)), "nothing is stepped over");
    release();
    await until(async () => {
      await down();
      return (await ann.texts()).includes(text(next));
    }, "the end");
    assert.deepEqual((await ann.texts()).slice(-3), lines(held - 1, next));
  });
});
