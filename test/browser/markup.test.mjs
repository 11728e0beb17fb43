// Text from others is text: as a message, as a name, as a room.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { adminPassword, fresh, open } from "./pages.mjs";

const evil = `<img src=x onerror="window.ran='img'"><svg onload="window.ran='svg'"><script>window.ran='script'</script>`;
const short = `<img src=x onerror=ran=1>`;

describe("markup in what others say", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  const harmless = async (page) => {
    assert.equal(await page.evaluate(() => window.ran), undefined, "something ran");
    assert.equal(await page.locator("img:not([src='/shared/favicon.svg']), svg, script:not([src])").count(), 0, "text became elements");
  };

  test("nothing of it runs on the chat page", async () => {
    const room = `${short} ${fresh("x")}`;
    const ann = await site.chat("Ann", room);
    const eve = await site.chat(short, room);
    await eve.say(evil);
    await ann.sees(evil);
    const message = ann.page.locator(".message").filter({ hasText: evil });
    assert.equal(await message.locator(".who").textContent(), short);
    assert.equal(await ann.page.getByRole("heading", { level: 1 }).textContent(), room);
    await until(async () => (await ann.people()).includes(short), "the name in the list");
    // Signs of typing are volatile: one that finds Ann between two polls is lost, and the next one is seen.
    await until(async () => {
      await eve.input.pressSequentially("x");
      return (await ann.page.locator("#typing").textContent()).includes(short);
    }, "the name as typing");
    await harmless(ann.page);
    await harmless(eve.page);

    // From history too, and in the list of rooms.
    await ann.page.reload();
    await ann.isIn(room);
    await ann.sees(evil);
    assert.equal(await ann.page.locator("#room-list .room-name").textContent(), room);
    await harmless(ann.page);
  });

  test("nothing of it runs on the admin and the tutorial's page", async () => {
    const room = `${short} ${fresh("y")}`;
    const eve = await site.client(short, room);
    const { page: tutorial } = await site.visit("/tutorial/");
    await tutorial.getByRole("button", { name: "Send" }).waitFor();
    await tutorial.waitForLoadState("networkidle");
    const { page: admin } = await site.visit("/admin/");
    await admin.getByRole("textbox", { name: "Name", exact: true }).fill("admin");
    await admin.getByRole("textbox", { name: "Password" }).fill(adminPassword);
    await admin.keyboard.press("Enter");
    const row = admin.locator("#sockets tr").filter({ hasText: room });
    await row.waitFor();
    assert.equal(await row.locator(".who bdi").textContent(), short);
    await harmless(admin);

    await until(async () => {
      eve.emit("chat message", evil);
      return (await tutorial.locator("li").filter({ hasText: evil }).count()) > 0;
    }, "the message on the tutorial's page");
    await harmless(tutorial);
  });

  test("the policy stops what would run nevertheless", async () => {
    const { page, errors } = await site.visit("/");
    const outcomes = await page.evaluate(() => {
      const element = document.createElement("div");
      const attempts = [
        () => (element.innerHTML = "<img src=x onerror='window.ran=1'>"),
        () => element.setAttribute("onclick", "window.ran=1"),
        () => (document.createElement("script").textContent = "window.ran=1"),
        () => (document.createElement("script").src = "https://example.com/x.js"),
      ];
      return attempts.map((attempt) => {
        try {
          attempt();
          return "allowed";
        } catch (error) {
          return error.name;
        }
      });
    });
    assert.deepEqual(outcomes, ["TypeError", "TypeError", "TypeError", "TypeError"]);
    assert.equal(await page.evaluate(() => window.ran), undefined);
    await until(() => errors.length >= outcomes.length, "the breaches to be reported");
    errors.length = 0; // they were wanted
  });
});
