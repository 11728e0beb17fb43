// What was said before one came: on entering, and on scrolling up.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { fresh, open } from "./pages.mjs";

const count = 120;
const text = (i) => `message ${String(i).padStart(3, "0")}`;

describe("history on the chat page", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  // fill says count messages in a room and waits until history has them.
  async function fill(room) {
    const bob = await site.client("Bob", room);
    for (let i = 1; i <= count; i++) assert.equal((await bob.timeout(10_000).emitWithAck("room message", room, text(i))).ok, true);
    await until(async () => {
      const page = await bob.timeout(10_000).emitWithAck("history", { room, limit: 1 });
      return page.messages?.at(-1)?.event[2] === text(count);
    }, "history to have everything");
    return bob;
  }

  test("the newest are there on entering, the older ones come on scrolling up, none twice", async () => {
    const room = fresh("long");
    const bob = await fill(room);
    const ann = await site.chat("Ann", room);
    await ann.sees(text(count));
    const log = ann.page.locator("#log");
    const atEnd = () => log.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight < 4);
    await until(atEnd, "the newest message to be in view");
    assert.ok((await ann.texts()).length < count, "not everything is fetched at once");

    // Page by page to the beginning: what the reader looks at must not move.
    while (!(await ann.texts()).includes(text(1))) {
      const before = (await ann.texts()).length;
      const moved = await log.evaluate(async (element) => {
        const first = element.querySelector(".message");
        element.scrollTop = 200;
        const top = first.getBoundingClientRect().top;
        await new Promise((resolve) => {
          const observer = new MutationObserver(() => {
            if (element.querySelector(".message") === first) return;
            observer.disconnect();
            resolve();
          });
          observer.observe(element, { childList: true, subtree: true });
        });
        return first.getBoundingClientRect().top - top;
      });
      assert.ok(Math.abs(moved) < 40, `the message in view moved by ${moved} px`);
      await until(async () => (await ann.texts()).length > before, "an older page");
    }
    await ann.page.getByText("begins.").waitFor();
    assert.deepEqual(
      await ann.texts(),
      Array.from({ length: count }, (_, i) => text(i + 1)),
    );

    // While one reads above, what is said below does not pull the page down.
    await log.evaluate((element) => (element.scrollTop = 300));
    bob.emit("room message", room, "news", () => {});
    await ann.page.getByRole("button", { name: "1 new" }).waitFor();
    assert.equal(await atEnd(), false);
    await ann.page.getByRole("button", { name: "1 new" }).click();
    await until(atEnd, "the page to go to the newest");
    await ann.sees("news");
  });

  test("what was said to everyone stands in every room, in its place, also after a reload; what services say there besides does not", async () => {
    const [room, other] = [fresh("announced"), fresh("elsewhere")];
    const bob = await site.client("Bob", room);
    const ann = await site.chat("Ann", room);
    const backend = await site.natter.nats();
    const said = (...event) => bob.timeout(10_000).emitWithAck(...event);
    await said("room message", room, "before");
    await ann.sees("before");
    const noon = fresh("lunch is ready");
    await backend.emit("/", "all", ["chat message", noon], { verb: "post" });
    await ann.sees(noon);
    for (let i = 0; i < 60; i++) await backend.emit("/", "all", ["news", `no chat message ${i}`], { verb: "post" });
    await said("room message", room, "after");
    await ann.sees("after");
    assert.deepEqual((await ann.texts()).slice(-3), ["before", noon, "after"]);
    await until(async () => (await said("history", { limit: 1 })).messages?.[0]?.event[1] === "no chat message 59", "history to have everything");

    await ann.page.reload();
    await ann.sees("after");
    await until(async () => JSON.stringify((await ann.texts()).slice(-3)) === JSON.stringify(["before", noon, "after"]), "the same as before");
    assert.ok(!(await ann.texts()).some((line) => line.includes("no chat message")));

    const eve = await site.chat("Eve", other);
    await eve.sees(noon);
    await said("chat message", "late news");
    await eve.sees("late news");
    await ann.sees("late news");
    assert.equal((await ann.texts()).filter((line) => line === noon).length, 1);
  });

  test("a busy room does not fill the page without end, and nothing is lost by it", async () => {
    const room = fresh("busy");
    const ann = await site.chat("Ann", room);
    const bob = await site.client("Bob", room);
    const many = 650;
    let stored;
    for (let i = 1; i <= many; i++) stored = bob.timeout(20_000).emitWithAck("room message", room, text(i));
    assert.equal((await stored).ok, true);
    await ann.sees(text(many));
    const shown = await ann.texts();
    assert.ok(shown.length < many, `${shown.length} messages are on the page`);
    assert.deepEqual(
      shown,
      Array.from({ length: shown.length }, (_, i) => text(many - shown.length + 1 + i)),
    );
    await until(async () => {
      const page = await bob.timeout(10_000).emitWithAck("history", { room, limit: 1 });
      return page.messages?.at(-1)?.event[2] === text(many);
    }, "history to have everything");
    await ann.page.locator("#log").evaluate((element) => (element.scrollTop = 0));
    await until(async () => (await ann.texts()).length > shown.length, "older messages to come back");
    const all = await ann.texts();
    assert.deepEqual(
      all,
      Array.from({ length: all.length }, (_, i) => text(many - all.length + 1 + i)),
    );
  });

  test("nor does it while one reads further up, and one comes to all by reading on", async () => {
    const room = fresh("busy meanwhile");
    const bob = await fill(room);
    const ann = await site.chat("Ann", room);
    const log = ann.page.locator("#log");
    await until(async () => {
      await log.evaluate((element) => (element.scrollTop = 0));
      return (await ann.texts()).includes(text(1));
    }, "all to be on the page");
    const bubble = ann.page.locator(".bubble").getByText(text(12), { exact: true });
    await bubble.evaluate((element) => element.scrollIntoView());
    const place = () => bubble.evaluate((element) => Math.round(element.getBoundingClientRect().top));
    let before;
    await until(async () => before === (before = await place()), "the page to have scrolled");
    const many = 700;
    let stored;
    for (let i = count + 1; i <= many; i++) stored = bob.timeout(20_000).emitWithAck("room message", room, text(i));
    assert.equal((await stored).ok, true);
    await ann.page.getByRole("button", { name: `${many - count} new` }).waitFor();
    await until(async () => (await ann.texts()).length < 400, "the page to forget what is far behind the reader");
    assert.ok(Math.abs((await place()) - before) <= 2, "what was read stays");
    await bob.timeout(10_000).emitWithAck("room message", room, text(many + 1));
    await ann.page.getByRole("button", { name: `${many - count + 1} new` }).waitFor();
    assert.ok((await ann.texts()).length < 400);
    await until(async () => {
      await log.evaluate((element) => (element.scrollTop = element.scrollHeight));
      return (await ann.texts()).includes(text(many + 1));
    }, "the newest by reading on");
    const all = (await ann.texts()).filter((line) => line.startsWith("message")); // others are said to everyone
    assert.deepEqual(
      all,
      Array.from({ length: all.length }, (_, i) => text(many + 2 - all.length + i)),
    );
    await bob.timeout(10_000).emitWithAck("room message", room, text(many + 2));
    await ann.sees(text(many + 2));
  });

  test("one reads on past messages that are too large for history to give, which say so", async () => {
    const [room, large] = [fresh("pictures").replace(" ", "-"), 12];
    const bob = await site.client("Bob", room);
    const backend = await site.natter.nats();
    const post = (what, attachments = []) => backend.emit("/", `room.${room}`, ["room message", room, what], { verb: "post", attachments });
    await post("first");
    for (let i = 0; i < large; i++) await post({ _placeholder: true, num: 0 }, [Buffer.alloc(800_000)]); // over 1 MiB in base64
    await post("last");
    await until(async () => {
      const page = await bob.timeout(10_000).emitWithAck("history", { room, limit: 1 });
      return page.messages?.at(-1)?.event[2] === "last";
    }, "history to have everything");

    const ann = await site.chat("Ann", room);
    await ann.sees("last");
    await until(async () => {
      await ann.page.locator("#log").evaluate((element) => (element.scrollTop = 0));
      return (await ann.texts()).includes("first");
    }, "the first message");
    const all = await ann.texts();
    assert.deepEqual(all.slice(all.indexOf("first")), ["first", ...Array(large).fill("This message is too large to be shown here."), "last"]);
    await ann.page.getByText("begins.").waitFor();
  });

  test("a message heard live and found in history stands there once", async () => {
    const room = fresh("once");
    const ann = await site.chat("Ann", room);
    const bob = await site.chat("Bob", room);
    await bob.say("only once");
    await ann.sees("only once");
    await ann.page.getByRole("button", { name: "Leave this room" }).click();
    await ann.join(room);
    await bob.say("and this");
    await ann.sees("and this");
    await ann.sees("only once");
  });
});
