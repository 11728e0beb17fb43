// A server that is there and confirms nothing.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { emits, fresh, open, shoot, upgrades } from "./pages.mjs";

describe("the chat page while messages are not confirmed", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  test("it says so after some seconds, until they are", async () => {
    const room = fresh("unconfirmed");
    const ann = await site.chat("Ann", room, { prepare: (page) => page.clock.install() });
    const banner = ann.page.locator("#banner");
    await ann.say("confirmed");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    site.natter.signal("SIGSTOP");
    try {
      const { clock } = ann.page;
      await clock.pauseAt((await ann.page.evaluate(() => Date.now())) + 1000); // it would run with the machine's
      await ann.say("unconfirmed");
      await ann.page.getByText("Sending…").waitFor();
      await clock.fastForward(3000);
      assert.equal(await banner.isVisible(), false, "some seconds are nothing to mention");
      await clock.fastForward(2000);
      await banner.getByText("Connected, but messages are not confirmed yet").waitFor();
      assert.equal(await ann.page.locator("#me-state").textContent(), "Unconfirmed");
      await shoot(ann.page, "chat-unconfirmed");
      const question = ann.page.waitForEvent("dialog");
      await ann.page.close({ runBeforeUnload: true });
      assert.equal((await question).type(), "beforeunload");
      await (await question).dismiss();
      await clock.resume();
    } finally {
      site.natter.signal("SIGCONT");
    }
    await ann.page.locator(".message.own").filter({ hasText: "unconfirmed" }).getByText("Stored").waitFor();
    await until(async () => !(await banner.isVisible()), "the banner to go with the ack");
    assert.equal(await ann.page.locator("#me-state").textContent(), "Connected");
  });

  test("what was written later goes out when what was written before is stored", async () => {
    const room = fresh("in turn");
    let said, upgraded;
    const prepare = async (page) => {
      said = emits(page);
      upgraded = upgrades(page);
      await page.clock.install();
    };
    const ann = await site.chat("Ann", room, { prepare });
    await upgraded();
    const out = () => said.filter(([event]) => event === "room message").map(([, , text]) => text);
    site.natter.signal("SIGSTOP");
    try {
      const { clock } = ann.page;
      await clock.pauseAt((await ann.page.evaluate(() => Date.now())) + 1000); // it would run with the machine's
      await ann.say("first");
      await until(() => out().length === 1, "the first message to go out");
      await clock.fastForward(5000);
      await ann.say("second");
      await ann.page.getByText("Sending…").nth(1).waitFor();
      await clock.fastForward(5000);
      await until(() => out().length > 1, "a message to go out again");
      assert.deepEqual(out(), ["first", "first"]);
      await clock.resume();
    } finally {
      site.natter.signal("SIGCONT");
    }
    await until(async () => (await ann.page.locator(".message.own").getByText("Stored").count()) === 2, "both to be stored");
    assert.deepEqual(out(), ["first", "first", "second"]);
    assert.deepEqual(await ann.texts(), ["first", "second"]);
  });

  test("who leaves a room is asked whether what waits there may be lost", async () => {
    const [room, other] = [fresh("left"), fresh("stays")];
    const ann = await site.chat("Ann", other);
    await ann.join(room);
    const leave = ann.page.getByRole("button", { name: "Leave this room" });
    const dialog = ann.page.getByRole("dialog", { name: `Leave ${room}?` });
    await ann.context.setOffline(true);
    await ann.page.locator("#banner").getByText("Reconnecting…").waitFor();
    await ann.say("not yet sent");
    await leave.click();
    await dialog.getByText("A message that you wrote there is still on its way").waitFor();
    await shoot(ann.page, "chat-leave");
    await dialog.getByRole("button", { name: "Stay" }).click();
    await ann.sees("not yet sent");
    await ann.context.setOffline(false);
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    await leave.click(); // nothing waits: nothing is asked
    await ann.isIn(other);

    await ann.context.setOffline(true);
    await ann.page.locator("#banner").getByText("Reconnecting…").waitFor();
    await ann.say("never sent");
    await leave.click();
    await ann.page.getByRole("button", { name: "Leave", exact: true }).click();
    await ann.page.getByText("You are in no room").waitFor();
  });

  test("what is too long is not cut, and not sent", async () => {
    const ann = await site.chat("Ann", fresh("long"));
    const text = ann.page.getByRole("textbox", { name: "Message" });
    await text.fill("x".repeat(4001));
    await ann.page.getByText("1 too many").waitFor();
    await text.press("Enter");
    await shoot(ann.page, "chat-too-long");
    assert.equal((await text.inputValue()).length, 4001);
    await text.press("Backspace");
    await ann.page.getByText("0 left").waitFor();
    await text.press("Enter");
    await ann.page.locator(".message.own").getByText("Stored").waitFor();
    assert.equal(await ann.page.locator(".message.own").count(), 1);
  });
});
