// The history service is away for a while.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { ask, running } from "../services/deployment.mjs";
import { browser, next, suite, until } from "../harness.mjs";
import { fresh, shoot, Site, upgrades } from "./pages.mjs";

const patience = 30_000;
const bundles = new URL("../../web/node_modules/socket.io-client/dist", import.meta.url).pathname;

describe("the chat page while history is away", () => {
  let site, natter;
  const t = suite();
  before(async () => {
    natter = await running(t, { flags: { gateway: ["--client-dir", bundles, "--recovery-window", "1s"] } });
    site = new Site(natter.gateway, await browser(t));
  });
  afterEach(async () => {
    await site.leave();
    if (!natter.history.pid) await natter.history.start();
  });

  const lines = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => `message ${from + i}`);
  const last = async (bob, room) => (await ask(bob, "history", { room, limit: 1 })).messages?.[0]?.event[2];
  async function say(bob, room, from, to) {
    for (const text of lines(from, to)) assert.equal((await ask(bob, "room message", room, text)).ok, true);
  }

  test("what was missed comes by itself when history is back", async () => {
    const room = fresh("hole");
    const bob = await site.client("Bob", room);
    let upgraded;
    const ann = await site.chat("Ann", room, { prepare: (page) => void (upgraded = upgrades(page)) });
    await upgraded(); // a poll that is given up is noticed late
    await say(bob, room, 1, 3);
    await ann.sees("message 3");
    await until(async () => (await last(bob, room)) === "message 3", "history to have what was said");

    const left = next(bob, "left");
    await ann.context.setOffline(true);
    await left;
    const gone = Date.now();
    await say(bob, room, 4, 6);
    await until(async () => (await last(bob, room)) === "message 6", "history to have what was missed");
    await natter.history.kill();
    await until(() => Date.now() - gone > 1500, "the window to be over");
    await ann.context.setOffline(false);
    await ann.page.getByText("Earlier messages cannot be shown").waitFor();
    await say(bob, room, 7, 8);
    await ann.sees("message 8");
    assert.deepEqual(await ann.texts(), [...lines(1, 3), ...lines(7, 8)]);
    await ann.page.getByText("What was said in between cannot be shown yet").waitFor();
    await shoot(ann.page, "chat-hole");

    await natter.history.start();
    await until(async () => (await ann.texts()).length === 8, "what was missed", patience);
    assert.deepEqual(await ann.texts(), lines(1, 8));
    assert.equal(await ann.page.getByText("cannot be shown").count(), 0);
  });

  test("one who looks at the past goes on by Try again", async () => {
    const room = fresh("past");
    const bob = await site.client("Bob", room);
    await say(bob, room, 1, 130);
    await until(async () => (await last(bob, room)) === "message 130", "history to have everything");
    const ann = await site.chat("Ann", room);
    await ann.sees("message 130");
    await ann.page.getByRole("button", { name: "Search in this room" }).click();
    await ann.page.getByRole("searchbox", { name: "Words to look for" }).fill("2");
    await ann.page.keyboard.press("Enter");
    await ann.page.locator("#search-results .result").click();
    await ann.page.locator(".message.found").waitFor();
    await ann.page.getByText("begins.").waitFor(); // nothing older: only what is newer can be asked for

    await natter.history.kill();
    const down = () => ann.page.locator("#log").evaluate((element) => (element.scrollTop = element.scrollHeight));
    const problem = ann.page.getByText("Earlier messages cannot be shown");
    await until(async () => {
      await down();
      return (await problem.count()) > 0;
    }, "the page to say that it cannot go on");
    const shown = (await ann.texts()).length;
    await natter.history.start();
    await ann.page.getByRole("button", { name: "Try again" }).evaluate((button) => button.click()); // without scrolling up
    await until(async () => (await ann.texts()).length > shown, "what comes next");
    assert.deepEqual(await ann.texts(), lines(1, (await ann.texts()).length));
  });
});
