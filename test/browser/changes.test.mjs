// Messages that are edited and deleted, and what is unread, on the chat page.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { collect, next, suite, until } from "../harness.mjs";
import { adminPassword, fresh, open, Person, shoot } from "./pages.mjs";

describe("changed messages on the chat page", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  const message = (person, text) => person.page.locator(".message").filter({ hasText: text });

  // signedIn opens the chat page with the admin's account.
  async function signedIn(room, before) {
    const { page, context } = before ?? (await site.visit(`/#${new URLSearchParams({ room })}`));
    await page.getByRole("textbox", { name: "Your name" }).fill("admin");
    await page.getByRole("button", { name: "I have an account" }).click();
    await page.getByLabel("Password").first().fill(adminPassword);
    await page.getByRole("button", { name: "Sign in" }).click();
    const person = new Person(page, context);
    await person.isIn(room);
    return person;
  }

  test("one's own message is edited and deleted, and everybody sees it", async () => {
    const room = fresh("changes");
    const ann = await site.chat("Ann", room, { prepare: (page) => page.clock.install() });
    const bob = await site.chat("Bob", room);
    await ann.say("frist");
    await bob.sees("frist");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    assert.equal(await message(bob, "frist").getByRole("button", { name: "Edit" }).count(), 0, "another's message cannot be edited");
    const eve = await site.client("Eve", room);
    const heard = collect(eve, "typing");
    await ann.input.fill("half a thought");
    await heard.of(1);
    await ann.page.clock.fastForward(5000); // a sign is given again after some seconds only
    await message(ann, "frist").hover();
    await message(ann, "frist").getByRole("button", { name: "Edit" }).click();
    assert.equal(await ann.input.inputValue(), "frist");
    await ann.page.locator(".message.editing").getByText("frist").waitFor();
    await shoot(ann.page, "chat-editing");
    await ann.input.fill("");
    await ann.input.pressSequentially("first");
    const edited = next(eve, "message edited");
    await ann.input.press("Enter");
    await edited;
    assert.equal(heard.all.length, 1, "who edits is not said to be typing");
    for (const person of [ann, bob]) {
      await person.sees("first");
      assert.equal(await message(person, "first").locator(".edited").count(), 1);
      assert.ok(!(await person.texts()).includes("frist"));
    }
    assert.equal(await ann.input.inputValue(), "half a thought", "what was being written is back");

    // Esc leaves a message as it is.
    await message(ann, "first").hover();
    await message(ann, "first").getByRole("button", { name: "Edit" }).click();
    await ann.input.fill("never");
    await ann.input.press("Escape");
    assert.equal(await ann.page.locator("#editing").isVisible(), false);
    await until(async () => (await ann.page.locator(".message.editing").count()) === 0, "no message to be marked as the one that is edited");

    // History has it as it is now.
    const cid = await site.chat("Cid", room);
    await cid.sees("first");
    assert.equal(await message(cid, "first").locator(".edited").count(), 1);

    await message(ann, "first").hover();
    await message(ann, "first").getByRole("button", { name: "Delete" }).click();
    await message(ann, "first").getByRole("button", { name: "Really delete?" }).click();
    for (const person of [ann, bob, cid]) await person.sees("This message was deleted.");
    const dan = await site.chat("Dan", room);
    await dan.sees("This message was deleted.");
    assert.deepEqual(await dan.texts(), ["This message was deleted."]);
  });

  // The words, also those of a deletion, are in view, at the bubble's height, and at it: beside it, or on it where there is
  // no room beside it.
  async function besideBubble(row) {
    const places = await row.evaluate((element) => {
      const measure = () => {
        const [box, bubble, log] = [".tools-box", ".bubble", "#log"].map((at) => (element.querySelector(at) ?? document.querySelector(at)).getBoundingClientRect());
        return { box, bubble, log };
      };
      const before = measure();
      element.querySelector(".tools button:last-child").click();
      return [before, measure()].map((place) => JSON.parse(JSON.stringify(place)));
    });
    for (const { box, bubble, log } of places) {
      const said = JSON.stringify({ box, bubble, log });
      assert.ok(Math.max(bubble.left - box.right, box.left - bubble.right) < 16, `apart from the bubble: ${said}`);
      assert.ok(box.bottom <= bubble.bottom && box.bottom > bubble.top, `not at the bubble's height: ${said}`);
      assert.ok(box.left >= log.left && box.right <= log.right, `out of view: ${said}`);
    }
    assert.ok(places[1].box.width > places[0].box.width, "the deletion is asked about");
  }

  test("what one may do with a message stands at its bubble", async () => {
    const room = fresh("tools");
    const ann = await site.chat("Ann", room);
    for (const width of [1100, 390]) {
      await ann.page.setViewportSize({ width, height: 800 });
      for (const text of [`${width}`, `${width} px are full of it `.repeat(20).trim()]) {
        await ann.say(text);
        const own = ann.page.locator(".message.own").last();
        await until(async () => (await own.locator(".bubble").textContent()) === text && (await own.locator(".tools").count()) === 1, "the message to be stored");
        await besideBubble(own);
      }
    }
  });

  test("what is changed while the page of history that has it is on its way is shown as changed", async () => {
    const { page } = await site.visit("/");
    const shown = await page.evaluate(async () => {
      const { Timeline } = await import("/timeline.js");
      const timeline = new Timeline(() => false);
      const at = (second) => `2026-01-02T12:00:0${second}Z`;
      timeline.change("x-1", at(2), "second"); // heard in another order
      timeline.change("x-1", at(1), "first");
      timeline.change("x-2", at(1), undefined);
      timeline.change("x-2", at(3), "back");
      timeline.change("x-3", at(1), "older than the page");
      for (const id of ["x-1", "x-2"]) timeline.add({ text: "as it was", stamp: { id, time: at(0) } });
      timeline.add({ text: "newest", stamp: { id: "x-3", time: at(0) }, edited: at(2) });
      return timeline.items.map((item) => [item.text, item.deleted]);
    });
    assert.deepEqual(shown, [["second", false], ["", true], ["newest", false]]);
  });

  test("what a person says after an erasure stays", async () => {
    const room = fresh("erased");
    const reader = await site.chat("Ann", room);
    const admin = await site.signIn("admin", adminPassword);
    const writer = await site.member(admin.token, room);
    const say = async (text) => assert.equal((await writer.timeout(10_000).emitWithAck("room message", room, text)).ok, true);
    await say("said before");
    await reader.sees("said before");
    const { connection } = await site.natter.nats();
    const ask = async (endpoint, request) => (await connection.request(`natter.history.${endpoint}`, JSON.stringify(request), { timeout: 10_000 })).json();
    await until(async () => (await ask("page", { namespace: "/", room })).messages.length === 1, "history to have it");
    // As of an announcement that comes after what is said next.
    const heard = await reader.page.evaluate(async () => {
      const { Timeline } = await import("/timeline.js");
      const timeline = new Timeline(() => false);
      const said = (id, time) => timeline.add({ text: id, stamp: { id, user: "u", time } });
      said("x-1", "2026-01-02T12:00:00Z");
      said("x-2", "2026-01-02T12:00:02.123456789Z");
      timeline.redact("u", "2026-01-02T12:00:01Z");
      const first = timeline.items.map(({ text }) => text);
      timeline.redact("u");
      return [first, timeline.items.map(({ text }) => text)];
    });
    assert.deepEqual(heard, [["", "x-2"], ["", ""]]);
    assert.equal((await ask("erase", { user: admin.user })).known, true);
    await reader.sees("Removed: what the sender had said was erased.");
    await say("said after");
    await reader.sees("said after");
    assert.deepEqual(await reader.page.locator(".message .who").allTextContents(), ["Removed", "admin"]);
    await shoot(reader.page, "chat-erased");
    await reader.page.reload();
    await reader.sees("said after");
    await reader.sees("Removed: what the sender had said was erased.");
  });

  test("an administrator changes what others said", async () => {
    const room = fresh("moderated");
    const bob = await site.chat("Bob", room);
    await bob.say("a word");
    await bob.say("something rude");
    const admin = await signedIn(room);
    await admin.sees("something rude");
    await besideBubble(message(admin, "a word"));
    await message(admin, "rude").hover();
    await message(admin, "rude").getByRole("button", { name: "Delete" }).click();
    await message(admin, "rude").getByRole("button", { name: "Really delete?" }).click();
    await bob.sees("This message was deleted.");
  });

  test("what is deleted before it was read counts no more", async () => {
    const [room, other] = [fresh("here"), fresh("there")];
    const signed = await signedIn(room);
    await signed.join(other);
    await signed.room(room).click();
    await signed.isIn(room);
    const guest = await site.chat("Ann", other);
    await guest.join(room);
    const bob = await site.client("Bob", other);
    const say = async (text) => {
      const { ok, id } = await bob.timeout(10_000).emitWithAck("room message", other, text);
      assert.equal(ok, true);
      return id;
    };
    const remove = async (id) => {
      const request = { room: other, id };
      await until(async () => (await bob.timeout(10_000).emitWithAck("delete message", request)).ok === true, "the message to be deleted");
    };
    const counts = (people, count) =>
      Promise.all(people.map((person) => until(async () => (await person.room(other).locator(".count").textContent()) === count, `${count || "nothing"} unread`)));
    const ids = [];
    for (const text of ["one", "two", "three"]) ids.push(await say(text));
    await counts([signed, guest], "3");
    await remove(ids[1]);
    await counts([signed, guest], "2");
    await shoot(signed.page, "chat-deleted-unread");
    // Counted by the server, before the page has the messages.
    await signed.page.goto("about:blank");
    await signed.page.goto(`${site.url}/#${new URLSearchParams({ room })}`);
    await signed.isIn(room);
    await counts([signed], "2");
    await remove(ids[0]);
    await counts([signed, guest], "1");
    await remove(ids[2]);
    await counts([signed, guest], "");
    await say("four");
    await counts([signed, guest], "1");
  });

  test("what a signed-in person has not read is counted over visits and devices", async () => {
    const [room, other] = [fresh("here"), fresh("there")];
    const admin = await signedIn(room);
    await admin.join(other);
    const bob = await site.client("Bob", other);
    const say = async (text) => assert.equal((await bob.timeout(10_000).emitWithAck("room message", other, text)).ok, true);
    await say("read here");
    await admin.sees("read here");
    await admin.room(room).click();
    await admin.isIn(room);
    const reader = await site.signIn("admin", adminPassword);
    const device = await site.member(reader.token, other);
    const unread = async () => (await device.timeout(10_000).emitWithAck("unread", { rooms: [other] })).rooms[0].unread;
    await until(async () => (await unread()) === 0, "the server to know what was read");
    // Away: what is said now is counted when the page is back, by the server.
    await admin.page.goto("about:blank");
    await say("missed one");
    await say("missed two");
    await until(async () => (await unread()) === 2, "both in history");
    await admin.page.goto(`${site.url}/#${new URLSearchParams({ room })}`);
    await admin.isIn(room);
    await until(async () => (await admin.room(other).locator(".count").textContent()) === "2", "two unread");
    // Read on another device.
    const { messages } = await device.timeout(10_000).emitWithAck("history", { room: other, limit: 1 });
    assert.equal((await device.timeout(10_000).emitWithAck("read", { room: other, id: messages[0].stamp.id })).ok, true);
    await until(async () => (await admin.room(other).locator(".count").isVisible()) === false, "the count to go");
  });
});
