// The chat page as people use it: two browsers that talk through Natter.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, token, until } from "../harness.mjs";
import { fresh, open } from "./pages.mjs";

describe("the chat page", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  test("two people talk, and see who said what and when", async () => {
    const room = fresh("talk");
    const ann = await site.chat("Ann", room);
    const bob = await site.chat("Bob", room);

    await ann.say("Hello Bob");
    await bob.sees("Hello Bob");
    await bob.say("Hello Ann");
    await ann.sees("Hello Ann");

    const heard = bob.page.locator(".message").filter({ hasText: "Hello Bob" });
    assert.equal(await heard.locator(".who").textContent(), "Ann");
    assert.match(await heard.locator(".head time").textContent(), /^\d\d:\d\d/);
    assert.ok(Math.abs(Date.parse(await heard.locator("time").getAttribute("datetime")) - Date.now()) < 60_000);
    assert.equal(await heard.evaluate((element) => element.classList.contains("own")), false);
    const own = ann.page.locator(".message.own").filter({ hasText: "Hello Bob" });
    await own.getByText("Stored").waitFor();
    assert.equal(await ann.page.locator(".day").count(), 1);
  });

  test("texts arrive as they were written", async () => {
    const room = fresh("texts");
    const ann = await site.chat("Ann", room);
    const bob = await site.chat("Bob", room);
    const texts = ["two\nlines", "שלום عليكم", "👩‍🚀🎉", "w".repeat(900), "x y ".repeat(1000).trim(), "&lt;b&gt; “quoted” \\u0041"];
    for (const text of texts) await ann.say(text);
    await until(async () => (await bob.texts()).length === texts.length, "all texts");
    assert.deepEqual(await bob.texts(), texts);
    assert.deepEqual(await ann.texts(), texts);
  });

  test("addresses become links, and only those of the web", async () => {
    const room = fresh("links");
    const ann = await site.chat("Ann", room);
    await ann.say("see https://example.com/a?b=c, or javascript:alert(1)");
    await ann.sees("see https://example.com/a?b=c, or javascript:alert(1)");
    const links = await ann.page.locator(".bubble a").evaluateAll((all) => all.map(({ href, rel }) => ({ href, rel })));
    assert.deepEqual(links, [{ href: "https://example.com/a?b=c", rel: "noopener noreferrer" }]);
  });

  test("rooms are joined, listed, left, and say who is there", async () => {
    const room = fresh("first");
    const other = fresh("team.ops 🛠 ü");
    const ann = await site.chat("Ann", room);
    const bob = await site.chat("Bob", room);
    await until(async () => (await ann.people()).join() === "Ann,Bob", "both in Ann's list");

    await ann.join(other);
    assert.deepEqual(await ann.page.locator("#room-list .room-name").allTextContents(), [room, other]);
    assert.equal(new URLSearchParams(new URL(ann.page.url()).hash.slice(1)).get("room"), other);
    await until(async () => (await ann.people()).join() === "Ann", "Ann alone in the other room");

    // The link brings Bob there, without a reload.
    await bob.page.evaluate((hash) => (location.hash = hash), new URL(ann.page.url()).hash);
    await bob.isIn(other);
    await until(async () => (await ann.people()).join() === "Ann,Bob", "Bob to follow");
    await bob.say("found it");
    await ann.sees("found it");

    await bob.page.getByRole("button", { name: "Leave this room" }).click();
    await bob.isIn(room);
    await until(async () => (await ann.people()).join() === "Ann", "Bob to be gone");
    await ann.say("gone?");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    assert.equal(await bob.room(other).count(), 0);

    await bob.context.close();
    await ann.room(room).click();
    await ann.isIn(room);
    await until(async () => (await ann.people()).join() === "Ann", "the closed page to be gone");
  });

  test("the name, the rooms and the open room survive a reload", async () => {
    const room = fresh("kept");
    const other = fresh("also kept");
    const ann = await site.chat("Ann", room);
    await ann.join(other);
    await ann.say("mine");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    await ann.page.reload();
    await ann.isIn(other);
    assert.deepEqual(await ann.page.locator("#room-list .room-name").allTextContents(), [room, other]);
    await ann.sees("mine");
    assert.equal(await ann.page.locator(".message.own").count(), 1, "what was said before the reload is still one's own");
  });

  test("what is half written survives another room, an edit and a reload", async () => {
    const room = fresh("writing");
    const other = fresh("elsewhere");
    const ann = await site.chat("Ann", other);
    await ann.join(room);
    await ann.say("sent");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    const text = ann.page.locator("#composer-text");
    const holds = (value) => until(async () => (await text.inputValue()) === value, `the composer to hold "${value}"`);
    await text.fill("half a sentence");
    await ann.room(other).click();
    await holds("");
    await ann.room(room).click();
    await holds("half a sentence");
    await ann.page.locator(".message.own").hover();
    await ann.page.locator(".message.own").getByRole("button", { name: "Edit" }).click();
    await holds("sent");
    await ann.page.reload();
    await ann.isIn(room);
    await holds("half a sentence");
    await text.press("Enter");
    await ann.sees("half a sentence");
    await ann.page.reload();
    await ann.isIn(room);
    await holds("");
  });

  test("unread messages are counted where one is not", async () => {
    const room = fresh("here");
    const other = fresh("there");
    const ann = await site.chat("Ann", other);
    await ann.join(room);
    const bob = await site.chat("Bob", other);
    await bob.say("one");
    await bob.say("two");
    await until(async () => (await ann.room(other).locator(".count").textContent()) === "2", "two unread");
    assert.match(await ann.page.title(), /^\(2\) /);
    assert.equal(await ann.room(other).getAttribute("aria-label"), `${other}, 2 unread`);

    await ann.room(other).click();
    await ann.sees("two");
    assert.equal(await ann.page.locator(".unread-line").count(), 1);
    assert.equal(await ann.room(other).locator(".count").isVisible(), false);
    assert.doesNotMatch(await ann.page.title(), /^\(/);
  });

  test("typing shows, and ends", async () => {
    const room = fresh("typing");
    const ann = await site.chat("Ann", room);
    const bob = await site.chat("Bob", room);
    const typing = bob.page.locator("#typing");
    // Signs of typing are volatile: one that finds Bob between two polls is lost, and the next one is seen.
    const seenTyping = async () => {
      await ann.input.pressSequentially("!");
      return (await typing.textContent()) === "Ann is typing";
    };
    await ann.input.pressSequentially("Wait");
    await until(seenTyping, "Ann to be seen typing");
    assert.equal(await ann.page.locator("#typing").textContent(), "");
    const text = await ann.input.inputValue();
    await ann.input.press("Enter");
    await bob.sees(text);
    await until(async () => (await typing.textContent()) === "", "the sign to go with the message");

    await ann.input.pressSequentially("I give up");
    await until(seenTyping, "Ann to be seen typing again");
    await until(async () => (await typing.textContent()) === "", "the sign to expire");
  });

  test("what everybody is told is shown where one is", async () => {
    const ann = await site.chat("Ann", fresh("anywhere"));
    const bob = await site.client("Bob");
    const text = fresh("To all of you");
    bob.emit("chat message", text);
    await ann.sees(text);
    assert.equal(await ann.page.locator(".message").filter({ hasText: text }).locator(".tag").textContent(), "to everyone");
  });

  test("what a service says is shown as a service's", async () => {
    const room = fresh("served");
    const ann = await site.chat("Ann", room);
    const service = await site.natter.nats();
    await service.emit("/", `room.${token(room)}`, ["room message", room, "Build 412 is up."], { verb: "post" });
    await ann.sees("Build 412 is up.");
    const message = ann.page.locator(".message.service");
    assert.equal(await message.locator(".who").textContent(), "Service");
    // A service may say anything: it is shown as it is.
    await service.emit("/", `room.${token(room)}`, ["room message", room, { build: 413, ok: [true, null] }], { verb: "post" });
    await ann.sees('{"build":413,"ok":[true,null]}');
    await service.emit("/", `room.${token(room)}`, ["room message"], { verb: "post" });
    await ann.say("still here");
    await ann.sees("still here");
  });

  test("a room that the server refuses says so, and can be taken off the list", async () => {
    const room = fresh("refused");
    const ann = await site.chat("Ann", room);
    await ann.page.evaluate((hash) => (location.hash = hash), `#${new URLSearchParams({ room: "ü".repeat(100) })}`);
    await ann.page.getByRole("heading", { name: "This room cannot be joined" }).waitFor();
    assert.equal(await ann.input.isVisible(), false);
    await ann.page.getByRole("button", { name: "Take it off the list" }).click();
    await ann.isIn(room);
  });
});

describe("the chat page where nothing was said to everyone", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  test("someone who is nowhere is told what to do", async () => {
    const ann = await site.chat("Ann", fresh("only"));
    await ann.page.getByText("It is quiet here").waitFor();
    await ann.page.getByRole("button", { name: "Leave this room" }).click();
    await ann.page.getByRole("heading", { name: "You are in no room" }).waitFor();
    await ann.page.locator("#empty").getByRole("button", { name: "Join a room" }).click();
    await ann.page.getByRole("textbox", { name: "Name of the room" }).fill(fresh("next"));
    await ann.page.keyboard.press("Enter");
    await ann.page.getByText("It is quiet here").waitFor();
  });
});
