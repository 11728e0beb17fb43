// Looking for what was said in a room, and going there.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { fresh, open, shoot } from "./pages.mjs";

describe("search on the chat page", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  const evil = "<img src=x onerror='window.ran=1'> PEARS &amp; plums";
  const line = (i) => `line ${i}`;

  // fill says lines in a room, and between them what is to be found, and waits until history has all.
  async function fill(room, count, found) {
    const bob = await site.client("Bob", room);
    let stored;
    const say = (text) => (stored = bob.timeout(20_000).emitWithAck("room message", room, text));
    for (let i = 1; i <= count; i++) {
      if (found[i]) say(found[i]);
      say(line(i));
    }
    assert.equal((await stored).ok, true);
    await until(async () => (await bob.timeout(10_000).emitWithAck("history", { room, limit: 1 })).messages?.[0]?.event[2] === line(count), "history to have all");
    return bob;
  }

  const toggle = (person) => person.page.getByRole("button", { name: "Search in this room" });
  const results = (person) => person.page.locator("#search-results .result");
  const state = (person) => person.page.locator("#search-state");

  async function search(person, words) {
    await person.page.getByRole("searchbox", { name: "Words to look for" }).fill(words);
    await person.page.keyboard.press("Enter");
  }

  const inView = (locator) =>
    locator.evaluate((element) => {
      const [box, log] = [element, document.querySelector("#log")].map((e) => e.getBoundingClientRect());
      return box.top >= log.top && box.bottom <= log.bottom;
    });

  test("words are found, marked and safe; one goes to the message and back to the newest", async () => {
    const room = fresh("orchard");
    const bob = await fill(room, 260, { 40: evil, 250: "a pear, says Bob" });
    const ann = await site.chat("Ann", room);
    await ann.sees(line(260));
    await toggle(ann).click();
    await search(ann, "pear*");
    await state(ann).getByText("2 found, the newest first.").waitFor();
    assert.deepEqual(await results(ann).locator(".result-text").allTextContents(), ["a pear, says Bob", evil]);
    assert.deepEqual(await results(ann).locator("mark").allTextContents(), ["pear", "PEARS"]);
    assert.deepEqual(await results(ann).locator(".result-who").allTextContents(), ["Bob", "Bob"]);
    assert.match(await results(ann).locator("time").first().textContent(), /^Today, \d\d:\d\d$/);
    assert.equal(await ann.page.evaluate(() => window.ran), undefined, "something ran");
    assert.equal(await ann.page.locator("#search img").count(), 0, "text became elements");
    await shoot(ann.page, "chat-search");

    // With the keyboard alone: to the second, which is further back than what the page has.
    await results(ann).first().focus();
    await ann.page.keyboard.press("ArrowDown");
    await ann.page.keyboard.press("Enter");
    await ann.page.locator(".message.found").filter({ hasText: evil }).waitFor();
    assert.equal(await toggle(ann).getAttribute("aria-expanded"), "false");
    assert.ok(await inView(ann.page.locator(".message.found")), "the message is in view");
    assert.equal(await ann.page.evaluate(() => document.activeElement?.classList.contains("found")), true);
    assert.ok(!(await ann.texts()).includes(line(260)), "what lies between is not fetched");

    // What is said meanwhile waits below, and there is no hole on the way there.
    bob.emit("room message", room, "news", () => {});
    const jump = ann.page.getByRole("button", { name: "1 new" });
    await jump.waitFor();
    assert.ok(!(await ann.texts()).includes("news"));
    const log = ann.page.locator("#log");
    await until(async () => {
      await log.evaluate((element) => (element.scrollTop = element.scrollHeight));
      return (await ann.texts()).includes("news");
    }, "the newest by reading on");
    const texts = await ann.texts();
    const lines = texts.filter((text) => text.startsWith("line "));
    assert.deepEqual(lines, Array.from({ length: lines.length }, (_, i) => line(260 - lines.length + 1 + i)));
    assert.equal(texts.at(-1), "news");
    // The last lines may have come after the last scrolling.
    await until(
      () =>
        log.evaluate((element) => {
          element.scrollTop = element.scrollHeight;
          return element.scrollHeight - element.scrollTop - element.clientHeight < 4;
        }),
      "to be at the end",
    );
    await bob.timeout(10_000).emitWithAck("room message", room, "live again");
    await ann.sees("live again");
  });

  test("one who looks at the past is back at the newest with a click, or by saying something", async () => {
    const room = fresh("past");
    await fill(room, 160, { 10: "the needle" });
    const ann = await site.chat("Ann", room);
    for (const back of [() => ann.page.getByRole("button", { name: "To the newest" }).click(), () => ann.say("and now")]) {
      await toggle(ann).click();
      await search(ann, "needle");
      await results(ann).click();
      await ann.page.locator(".message.found").waitFor();
      assert.ok(!(await ann.texts()).includes(line(160)));
      await back();
      await ann.sees(line(160));
    }
    await ann.sees("and now");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    assert.deepEqual((await ann.texts()).slice(-2), [line(160), "and now"]);
  });

  test("it says what cannot be found or asked, and Escape closes it", async () => {
    const room = fresh("shed");
    const ann = await site.chat("Ann", room);
    await toggle(ann).click();
    await search(ann, "?!");
    await state(ann).getByText("Write a word to look for.").waitFor();
    await search(ann, "nothing such");
    await state(ann).getByText("Nothing was found").waitFor();
    await ann.say("in the open");
    // The room's name is in every message; only what was written counts.
    await until(async () => {
      await search(ann, "open");
      await results(ann).first().waitFor({ timeout: 3000 });
      return (await results(ann).count()) === 1;
    }, "what was said to be found");
    await search(ann, "shed");
    await state(ann).getByText("Nothing was found").waitFor();
    await ann.page.getByRole("searchbox").press("Escape");
    assert.equal(await ann.page.locator("#search").isVisible(), false);
    assert.equal(await toggle(ann).evaluate((element) => element === document.activeElement), true, "the focus is back");

    await toggle(ann).click();
    await ann.context.setOffline(true);
    await ann.page.locator("#banner").getByText("Reconnecting…").waitFor();
    await search(ann, "open");
    await ann.page.getByRole("alert").getByText("Search is not possible now.").waitFor();
    await ann.context.setOffline(false);
  });
});
