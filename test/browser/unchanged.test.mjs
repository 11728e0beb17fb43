// Edits that are not made, or not answered, on the chat page.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { fresh, open, shoot } from "./pages.mjs";

describe("edits on the chat page that go wrong", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  const message = (person, text) => person.page.locator(".message").filter({ hasText: text });

  // change opens what was said for editing, and writes.
  async function change(person, text, into) {
    await message(person, text).hover();
    await message(person, text).getByRole("button", { name: "Edit" }).click();
    await person.input.fill(into);
  }

  test("an edit without a connection is kept with its message, until it is made", async () => {
    const room = fresh("unchanged");
    const ann = await site.chat("Ann", room);
    const bob = await site.chat("Bob", room);
    await ann.say("frist");
    await bob.sees("frist");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    await change(ann, "frist", "first");
    await ann.context.setOffline(true);
    await ann.page.locator("#banner").getByText("Reconnecting…").waitFor();
    await ann.input.press("Enter");
    await message(ann, "frist").getByText("Not changed. There is no connection now.").waitFor();
    await shoot(ann.page, "chat-not-changed");
    await ann.context.setOffline(false);
    await ann.isIn(room);
    await message(ann, "frist").hover();
    await message(ann, "frist").getByRole("button", { name: "Edit" }).click();
    assert.equal(await ann.input.inputValue(), "first", "what was written is there");
    await ann.input.press("Escape");
    await message(ann, "frist").getByRole("button", { name: "Try again" }).click();
    for (const person of [ann, bob]) await person.sees("first");
    assert.equal(await ann.page.getByText("Not changed").count(), 0);
  });

  test("whether an edit was made is not known without an answer, until it is heard", async () => {
    const room = fresh("unanswered");
    let upgraded, deaf;
    const held = [];
    const prepare = async (page) => {
      await page.clock.install();
      await page.routeWebSocket(/socket\.io/, (client) => {
        const server = client.connectToServer();
        client.onMessage((frame) => {
          upgraded ||= frame === "5";
          server.send(frame);
        });
        server.onMessage((frame) => {
          const answer = /^43/.test(String(frame));
          if (deaf && (answer || /message edited/.test(String(frame)))) return held.push({ answer, give: () => client.send(frame) });
          client.send(frame);
        });
      });
    };
    const ann = await site.chat("Ann", room, { prepare });
    const bob = await site.chat("Bob", room);
    await until(() => upgraded, "the page to be through with the polling");
    await ann.say("frist");
    await bob.sees("frist");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    await change(ann, "frist", "first");
    deaf = true;
    await ann.input.press("Enter");
    await bob.sees("first");
    await until(() => held.some(({ answer }) => answer) && held.some(({ answer }) => !answer), "the answer to be held back");
    await ann.page.clock.fastForward(10_000);
    await message(ann, "frist").getByText("Whether it was changed is not known.").waitFor();
    deaf = false;
    for (const { answer, give } of held) if (!answer) give();
    await ann.sees("first");
    assert.equal(await ann.page.locator(".state.problem").count(), 0);

    // It may be heard before the page gives the answer up.
    deaf = true;
    await change(ann, "first", "at last");
    held.length = 0;
    await ann.input.press("Enter");
    await until(() => held.length === 2, "the answer to be held back again");
    for (const { answer, give } of held) if (!answer) give();
    await ann.sees("at last");
    await ann.page.clock.fastForward(10_000);
    deaf = false;
    await ann.say("next");
    await bob.sees("next");
    assert.equal(await ann.page.locator(".state.problem").count(), 0);
  });
});
