// The keyboard alone, a phone's width, light and dark, and what a screen reader is told.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { adminPassword, fitsWidth, fresh, open, Person, shoot } from "./pages.mjs";

const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, reducedMotion: "reduce" };

describe("the pages for everybody", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  test("the chat needs no mouse", async () => {
    const room = fresh("keys");
    const { page, context } = await site.visit(`/#${new URLSearchParams({ room })}`);
    const keys = page.keyboard;
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") || document.activeElement.id);
    const tabTo = async (label, key = "Tab") => {
      for (let i = 0; i < 40 && (await focused()) !== label; i++) await keys.press(key);
      assert.equal(await focused(), label);
      const outline = await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement);
        const frame = getComputedStyle(document.activeElement.closest(".composer") ?? document.activeElement);
        return style.outlineStyle !== "none" || frame.boxShadow !== "none";
      });
      assert.ok(outline, `one sees that ${label} has the focus`);
    };
    await page.getByRole("textbox", { name: "Your name" }).waitFor();
    await keys.type("Ann");
    await keys.press("Enter");
    const ann = new Person(page, context);
    await ann.isIn(room);

    assert.equal(await focused(), "Message", "one can write at once");
    await keys.type("first");
    await keys.press("Shift+Enter");
    await keys.type("second");
    await keys.press("Enter");
    await ann.sees("first\nsecond");

    await tabTo("Join a room", "Shift+Tab");
    await keys.press("Enter");
    await page.getByRole("dialog", { name: "Join a room" }).waitFor();
    await keys.press("Escape");
    await page.getByRole("dialog", { name: "Join a room" }).waitFor({ state: "hidden" });
    assert.equal(await focused(), "Join a room", "the focus is back");
    await keys.press("Enter");
    const other = fresh("other");
    await keys.type(other);
    await keys.press("Enter");
    await ann.isIn(other);
    assert.equal(await focused(), "Message");

    await tabTo(other, "Shift+Tab");
    await keys.press("ArrowUp");
    assert.equal(await focused(), room);
    await keys.press("Enter");
    await ann.isIn(room);

    await tabTo(`Messages in ${room}`, "Shift+Tab");
    await page.reload();
    await ann.isIn(room);
    await tabTo("skip", "Shift+Tab");
    assert.ok(await page.getByRole("link", { name: "Skip to writing a message" }).isVisible());
    await keys.press("Enter");
    assert.equal(await focused(), "Message");
  });

  test("what others say is announced, what is fetched is not", async () => {
    const room = fresh("announced");
    const bob = await site.client("Bob", room);
    assert.equal((await bob.timeout(10_000).emitWithAck("room message", room, "earlier")).ok, true);
    const ann = await site.chat("Ann", room);
    await ann.sees("earlier");
    bob.emit("room message", room, "now");
    const live = ann.page.getByRole("log", { name: "New messages" });
    await live.getByText("Bob: now").waitFor();
    assert.equal(await live.textContent(), "Bob: now");
  });

  test("a phone shows all of it, with drawers for the lists", async () => {
    const room = fresh("phone with a rather long name of a room");
    const bob = await site.chat("Bob with a very long name, as people have them", room);
    await bob.say("aWordThatNeverEnds".repeat(20));
    const ann = await site.chat("Ann", room, phone);
    await until(async () => (await ann.texts()).length === 1, "the message");
    await fitsWidth(ann.page);
    const rooms = ann.page.getByRole("navigation", { name: "Rooms" });
    assert.equal(await rooms.isVisible(), false);
    await ann.page.getByRole("button", { name: "Rooms", exact: true }).click();
    await rooms.waitFor();
    await fitsWidth(ann.page);
    await ann.page.keyboard.press("Escape");
    await rooms.waitFor({ state: "hidden" });
    await ann.page.getByRole("button", { name: "Who is here" }).click();
    await until(async () => (await ann.people()).length === 2, "both in the drawer");
    await ann.page.getByRole("button", { name: "Close the list of people" }).click();
    await ann.say("from a phone");
    await bob.sees("from a phone");
    await shoot(ann.page, "chat-phone");

    const { page: admin } = await site.visit("/admin/", phone);
    await signIn(admin);
    await admin.locator("#sockets tr").first().waitFor();
    await fitsWidth(admin);
    await shoot(admin, "admin-phone");
    const { page: tutorial } = await site.visit("/tutorial/", phone);
    await fitsWidth(tutorial);
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`the colours are ${colorScheme} if the system is, and texts can be read`, async () => {
      const room = fresh(colorScheme);
      const ann = await site.chat("Ann", room, { colorScheme, reducedMotion: "reduce" });
      const bob = await site.chat("Bob", room);
      await bob.say("Good morning. Is the new build up?");
      await ann.sees("Good morning. Is the new build up?");
      await ann.say("It is, and nobody noticed. See https://example.com/builds");
      await bob.say("🎉");
      await ann.sees("🎉");
      // Signs of typing are volatile: one that finds Ann between two polls is lost, and the next one is seen.
      await until(async () => {
        await bob.input.fill("So");
        return ann.page.locator("#typing bdi").isVisible();
      }, "Bob to be seen typing");
      await shoot(ann.page, `chat-${colorScheme}`);
      await readable(ann.page, colorScheme);

      const { page: admin } = await site.visit("/admin/", { colorScheme, reducedMotion: "reduce" });
      await shoot(admin, `admin-sign-in-${colorScheme}`);
      await signIn(admin);
      await admin.locator("#sockets tr").first().waitFor();
      await admin.locator("#users tr").first().waitFor();
      await shoot(admin, `admin-${colorScheme}`);
      await readable(admin, colorScheme);
    });
  }

  test("the link decides about the colours if it names them", async () => {
    const ann = await site.chat("Ann", fresh("theme"), { colorScheme: "light" });
    const scheme = () => ann.page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
    await ann.page.getByRole("button", { name: "You and settings" }).click();
    await ann.page.getByRole("radio", { name: "Dark" }).check();
    assert.equal(await scheme(), "dark");
    assert.match(ann.page.url(), /theme=dark/);
    await ann.page.keyboard.press("Escape");
    await ann.page.reload();
    await until(async () => (await scheme()) === "dark", "the colours of the link");
  });
});

async function signIn(page) {
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("admin");
  await page.getByRole("textbox", { name: "Password" }).fill(adminPassword);
  await page.keyboard.press("Enter");
}

// readable asserts the contrast that WCAG 2.2 AA asks of text (1.4.3), for every piece
// of text in view, against the nearest background that is painted behind it.
async function readable(page, scheme) {
  const { checked, dim, paper } = await page.evaluate(() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (color) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = ([r, g, b]) => {
      const [x, y, z] = [r, g, b].map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const background = (element) => {
      for (let e = element; e; e = e.parentElement) {
        const color = rgba(getComputedStyle(e).backgroundColor);
        if (color[3] > 250) return color;
      }
      return [255, 255, 255, 255];
    };
    const dim = [];
    let checked = 0;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (!node.data.trim() || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      if (element.closest(".visually-hidden, dialog:not([open]), noscript, script, .skip")) continue;
      const [a, b] = [luminance(rgba(getComputedStyle(element).color)), luminance(background(element))].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      checked++;
      if (ratio < 4.5) dim.push(`${ratio.toFixed(2)}: ${node.data.trim().slice(0, 40)} (${element.className || element.tagName})`);
    }
    return { checked, dim, paper: luminance(background(document.body)) };
  });
  assert.ok(checked > 10, `only ${checked} texts were found`);
  assert.deepEqual(dim, [], "texts with too little contrast");
  assert.ok(scheme === "dark" ? paper < 0.05 : paper > 0.7, `the page is not ${scheme}: luminance ${paper}`);
}
