// The network goes and comes back; an administrator closes the connection.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { fresh, open } from "./pages.mjs";

describe("the chat page without a connection", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  test("it says so, comes back by itself, and has missed nothing", async () => {
    const room = fresh("gap");
    const other = fresh("gap elsewhere");
    const ann = await site.chat("Ann", other);
    await ann.join(room);
    const bob = await site.chat("Bob", room);
    await bob.say("before");
    await ann.sees("before");

    await ann.context.setOffline(true);
    const banner = ann.page.locator("#banner");
    await banner.getByText("Reconnecting…").waitFor();
    assert.match(await banner.textContent(), /offline/);
    await until(async () => (await bob.people()).join() === "Bob", "Ann to be gone");

    // More than a page, so that the gap is filled in several steps.
    for (let i = 1; i <= 3; i++) await bob.say(`missed ${i}`);
    const cem = await site.client("Cem", room);
    for (let i = 4; i <= 70; i++) assert.equal((await cem.timeout(10_000).emitWithAck("room message", room, `missed ${i}`)).ok, true);
    assert.equal((await cem.timeout(10_000).emitWithAck("join", other)).ok, true);
    assert.equal((await cem.timeout(10_000).emitWithAck("room message", other, "missed elsewhere")).ok, true);
    await ann.say("written without a connection");
    const own = ann.page.locator(".message.own").filter({ hasText: "written without a connection" });
    await own.getByText("Sending…").waitFor();
    await until(async () => {
      const page = await cem.timeout(10_000).emitWithAck("history", { room, limit: 1 });
      return page.messages?.at(-1)?.event[2] === "missed 70";
    }, "history to have everything");

    await ann.context.setOffline(false);
    await until(
      async () => (await ann.page.locator("html").getAttribute("data-phase")) === "connected",
      "the connection to be back",
      20_000,
    );
    await ann.sees("missed 70");
    await own.getByText("Stored").waitFor();
    await bob.sees("written without a connection");
    const missed = Array.from({ length: 70 }, (_, i) => `missed ${i + 1}`);
    await until(async () => (await ann.texts()).length === 72, "the whole gap");
    assert.deepEqual(await ann.texts(), ["before", ...missed, "written without a connection"]);
    assert.equal(await banner.isVisible(), false);
    await until(async () => (await ann.room(other).locator(".count").textContent()) === "1", "the message missed elsewhere to count");

    await bob.say("welcome back");
    await ann.sees("welcome back");
    await until(async () => (await bob.people()).includes("Ann"), "Ann to be listed again");
  });

  test("a message whose fate is unknown is sent again, and heard once", async () => {
    const room = fresh("unknown");
    let cut; // "asked": before the message reaches the server; "answered": before its answer reaches the page
    let lost = 0;
    const prepare = (page) =>
      page.routeWebSocket(/socket\.io/, (client) => {
        const server = client.connectToServer();
        const end = () => {
          cut = undefined;
          lost++;
          server.close();
          client.close();
        };
        client.onMessage((frame) => {
          if (cut === "asked" && String(frame).includes("room message")) return end();
          server.send(frame);
        });
        server.onMessage((frame) => {
          if (cut === "answered" && /^43\d+\[\{"ok":true,"id"/u.test(String(frame))) return end();
          client.send(frame);
        });
      });
    const ann = await site.chat("Ann", room, { prepare });
    const bob = await site.chat("Bob", room);
    await until(
      () => ann.page.evaluate(() => performance.getEntriesByType("resource").some(({ name }) => /sid=/.test(name))),
      "the polling to begin",
    );
    // Only what goes over the WebSocket can be cut: say something until it does.
    const said = [];
    for (const when of ["asked", "answered"]) {
      const before = lost;
      cut = when;
      await until(async () => {
        if (lost > before) return true;
        said.push(`word ${said.length}`);
        await ann.say(said.at(-1));
        await until(async () => lost > before || (await ann.page.locator(".message.own").getByText("Stored").count()) === said.length, "the word's fate");
        return lost > before;
      }, "a message to be lost", 30_000);
      await until(async () => (await ann.page.locator(".message.own").getByText("Stored").count()) === said.length, "all words to be stored", 20_000);
    }
    await bob.say("and now?");
    await ann.sees("and now?");
    assert.deepEqual(await bob.texts(), [...said, "and now?"]);
    assert.deepEqual(await ann.texts(), [...said, "and now?"]);
    assert.equal(await ann.page.locator(".message.failed").count(), 0);
  });

  test("a server that dies and comes back finds everybody again", async () => {
    const room = fresh("restart");
    const ann = await site.chat("Ann", room);
    const bob = await site.chat("Bob", room);
    await bob.say("before");
    await ann.page.locator(".message").filter({ hasText: "before" }).waitFor();
    await bob.page.locator(".message.own").getByText("Stored").waitFor();

    await site.natter.kill();
    await ann.page.locator("#banner").getByText("Reconnecting…").waitFor();
    await ann.say("while it was away");
    await site.natter.start();
    await bob.sees("while it was away");
    await until(async () => (await ann.people()).join() === "Ann,Bob", "both to be back");
    await bob.say("after");
    await ann.sees("after");
    assert.deepEqual(await ann.texts(), ["before", "while it was away", "after"]);
    assert.equal(await ann.page.locator("#banner").isVisible(), false);
  });

  test("a connection that an administrator closes stays closed until the person wants it", async () => {
    const room = fresh("closed");
    const name = fresh("Ann");
    const ann = await site.chat(name, room);
    const admin = await site.admin();
    const { sockets } = await admin.timeout(10_000).emitWithAck("list sockets");
    const { id, namespace } = sockets.find((socket) => socket.name === name);
    assert.equal((await admin.timeout(10_000).emitWithAck("disconnect socket", { namespace, id })).ok, true);

    await ann.page.locator("#banner").getByText("Disconnected").waitFor();
    await ann.page.getByRole("button", { name: "Try again" }).click();
    await ann.isIn(room);
    await ann.say("here again");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
  });
});

describe("the chat page without recovery", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t, "--no-recovery");
  });
  afterEach(() => site.leave());

  test("what is said in the moment in which a device wakes up is stored", async () => {
    const room = fresh("sleep");
    const ann = await site.chat("Ann", room, { prepare: (page) => page.clock.install() });
    await ann.say("good night");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    // The stock client sees by the clock that the server must have given it up, and keeps what is said for the next connection.
    await ann.page.clock.setSystemTime(Date.now() + 3_600_000);
    await ann.page.evaluate(() => {
      document.getElementById("composer-text").value = "good morning";
      document.getElementById("composer").requestSubmit();
    });
    await until(async () => (await ann.page.locator(".message.own").getByText("Stored").count()) === 2, "the message to be stored");
    assert.deepEqual(await ann.texts(), ["good night", "good morning"]);
    assert.equal(await ann.page.locator(".message.failed").count(), 0);
  });
});
