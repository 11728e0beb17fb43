// The chat page comes back: as the same socket, with nothing asked twice; or afresh, and refills itself.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { adminPassword, emits, fresh, open, Person, shoot } from "./pages.mjs";

const patience = 30_000;

// certain says whether a page has read on to a message that it heard live: then it knows that nothing between is missing.
function certain(page) {
  const heard = [];
  page.on("response", (response) => response.text().then((text) => heard.push(text), () => {}));
  page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => heard.push(String(payload))));
  return (text) => until(() => heard.some((answer) => answer.includes('"newer":') && answer.includes(JSON.stringify(text))), `the page to be certain up to ${text}`, patience);
}

const connected = (person) =>
  until(async () => (await person.page.locator("html").getAttribute("data-phase")) === "connected", "the connection to be back", patience);

const unread = async (person, room) => (await person.room(room).locator(".count").textContent()) ?? "";

async function say(socket, room, from, to) {
  for (let i = from; i <= to; i++) assert.equal((await socket.timeout(10_000).emitWithAck("room message", room, `message ${i}`)).ok, true);
}

const messages = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => `message ${from + i}`);

describe("the chat page that comes back in time", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  test("asks for nothing that it has: after a break of the network", async () => {
    const [room, other] = [fresh("back"), fresh("back elsewhere")];
    let events, read;
    const ann = await site.chat("Ann", other, { prepare: (page) => void ([events, read] = [emits(page), certain(page)]) });
    await ann.join(room);
    const bob = await site.chat("Bob", room);
    const cem = await site.client("Cem", room);
    assert.equal((await cem.timeout(10_000).emitWithAck("join", other)).ok, true);
    await say(cem, room, 1, 3);
    await say(cem, other, 100, 100);
    await ann.sees("message 3");
    await read("message 1");
    await read("message 100");
    await until(async () => (await ann.people()).length === 3, "everybody to be listed");

    await ann.context.setOffline(true);
    await ann.page.locator("#banner").getByText("Reconnecting…").waitFor();
    await until(async () => !(await bob.people()).includes("Ann"), "Ann to be gone");
    await say(cem, room, 4, 70);
    await say(cem, other, 1, 2);
    cem.disconnect();
    await until(async () => (await bob.people()).join() === "Bob", "Cem to be gone");
    events.length = 0;
    await ann.context.setOffline(false);
    await connected(ann);
    await ann.sees("message 70");
    assert.deepEqual(await ann.texts(), messages(1, 70));
    await until(async () => (await unread(ann, other)) === "3", "what was said elsewhere to be counted");
    await until(async () => (await ann.people()).join() === "Ann,Bob", "Ann to know who is there");
    await until(async () => (await bob.people()).join() === "Ann,Bob", "Bob to know that Ann is back");
    await ann.isIn(room);
    await ann.say("here I am");
    await bob.sees("here I am");
    assert.deepEqual([...new Set(events.map(([event]) => event))].sort(), ["room message", "typing", "who"], "no room is joined again, no history asked for");
  });

  test("asks for nothing that it has: after the server was killed", async () => {
    const room = fresh("killed");
    let events;
    const read = [];
    const ann = await site.chat("Ann", room, { prepare: (page) => void ([events] = [emits(page), read.push(certain(page))]) });
    const bob = await site.chat("Bob", room, { prepare: (page) => void read.push(certain(page)) });
    for (let i = 1; i <= 2; i++) {
      await bob.say(`message ${i}`);
      await ann.sees(`message ${i}`);
      await until(async () => (await bob.page.locator(".message.own").getByText("Stored").count()) > 0, "the message to be stored");
      for (const come of read) await come("message 1");
      await site.natter.kill();
      for (const person of [ann, bob]) await person.page.locator("#banner").getByText("Reconnecting…").waitFor();
      events.length = 0;
      await site.natter.start();
      for (const person of [ann, bob]) await connected(person);
      await until(async () => (await ann.people()).join() === "Ann,Bob", "Ann to know who is there");
      await until(async () => (await bob.people()).join() === "Ann,Bob", "Bob to know who is there");
    }
    await bob.say("message 3");
    await ann.sees("message 3");
    assert.deepEqual(await ann.texts(), messages(1, 3));
    assert.deepEqual(await bob.texts(), messages(1, 3));
    assert.deepEqual([...new Set(events.map(([event]) => event))], ["who"]);
  });

  test("notices that a service took it out of a room", async () => {
    const [room, other] = [fresh("out"), fresh("still in")];
    let events;
    const ann = await site.chat("Ann", other, { prepare: (page) => void (events = emits(page)) });
    await ann.join(room);
    const bob = await site.chat("Bob", room);
    await until(async () => (await bob.people()).join() === "Ann,Bob", "both to be listed");
    const admin = await site.admin();
    const { sockets } = await admin.timeout(10_000).emitWithAck("list sockets");
    const { id } = sockets.find((socket) => socket.name === "Ann" && socket.rooms.includes(room));
    const services = await site.natter.nats();
    await services.do("/", `socket.${id}`, ["leave", room]);
    await bob.say("who is there?"); // Ann does not hear it
    await ann.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange"))); // as of a person who comes back to the page
    const out = ann.page.getByText("You were taken out of it");
    await out.waitFor();
    // It stays so when the connection comes back, until the person wants in again.
    await ann.context.setOffline(true);
    await ann.page.locator("#banner").getByText("Reconnecting…").waitFor();
    events.length = 0;
    await ann.context.setOffline(false);
    await connected(ann);
    await until(() => events.some(([event, name]) => event === "who" && name === other), "the page to be back in the other room");
    assert.equal(await out.isVisible(), true);
    assert.ok(!events.some(([event]) => event === "join"));
    await ann.room(room).click();
    await ann.isIn(room);
    await ann.sees("who is there?");
  });
});

describe("the chat page that comes back too late", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t, "--recovery-window", "1s");
  });
  afterEach(() => site.leave());

  test("starts afresh and refills itself, where the person was reading", async () => {
    const [room, other] = [fresh("late"), fresh("late elsewhere")];
    let events;
    const ann = await site.chat("Ann", other, { prepare: (page) => void (events = emits(page)) });
    await ann.join(room);
    const bob = await site.chat("Bob", room);
    const cem = await site.client("Cem", room);
    assert.equal((await cem.timeout(10_000).emitWithAck("join", other)).ok, true);
    await say(cem, room, 1, 40);
    await ann.sees("message 40");

    await ann.context.setOffline(true);
    await ann.page.locator("#banner").getByText("Reconnecting…").waitFor();
    await until(async () => !(await bob.people()).includes("Ann"), "Ann to be gone");
    const gone = Date.now();
    await say(cem, room, 41, 60);
    await say(cem, other, 1, 2);
    await ann.bubble("message 5").first().scrollIntoViewIfNeeded();
    const place = () => ann.page.locator(".bubble").getByText("message 7", { exact: true }).evaluate((bubble) => {
        const top = (element) => element.getBoundingClientRect().top;
        return Math.round(top(bubble) - top(document.getElementById("log")));
      });
    let before;
    await until(async () => before === (before = await place()), "the page to have scrolled");
    await until(() => Date.now() - gone > 1500, "the window to be over");
    await until(async () => (await cem.timeout(10_000).emitWithAck("history", { room, limit: 1 })).messages?.at(-1)?.event[2] === "message 60", "history to have everything");
    events.length = 0;
    await ann.context.setOffline(false);
    await connected(ann);
    await until(async () => (await ann.texts()).length === 60, "the page to refill itself", patience);
    assert.deepEqual(await ann.texts(), messages(1, 60));
    const after = await place();
    assert.ok(Math.abs(after - before) <= 2, `the page shows what it showed, ${after - before} px away`);
    await until(async () => (await unread(ann, other)) === "2", "the unread messages elsewhere to count");
    assert.equal(events.filter(([event]) => event === "join").length, 2);
    await until(async () => (await bob.people()).join() === "Ann,Bob,Cem", "Ann to be listed again");
    await bob.say("welcome back");
    await ann.sees("welcome back");
  });

  test("shows nothing that was taken out meanwhile, however far up, and the reader's place stays", async () => {
    const [room, other] = [fresh("taken out"), fresh("taken out elsewhere")];
    const cem = await site.client("Cem", room);
    assert.equal((await cem.timeout(10_000).emitWithAck("join", other)).ok, true);
    const ids = {};
    for (const name of [room, other]) ids[name] = [];
    const post = async (name, text) => ids[name].push((await cem.timeout(10_000).emitWithAck("room message", name, text)).id);
    const remove = (name, i) => until(async () => (await cem.timeout(10_000).emitWithAck("delete message", { room: name, id: ids[name][i - 1] })).ok, "the message to be deleted");
    for (let i = 1; i <= 120; i++) await post(room, `message ${i}`);
    const ann = await site.chat("Ann", other);
    for (let i = 1; i <= 70; i++) await post(other, `elsewhere ${i}`);
    await ann.sees("elsewhere 70");
    await ann.join(room);
    const log = ann.page.locator("#log");
    await until(async () => {
      await log.evaluate((element) => (element.scrollTop = 0));
      return (await ann.texts()).includes("message 1");
    }, "all to be on the page");
    const bubble = (text) => ann.page.locator(".bubble").getByText(text, { exact: true });
    await bubble("message 12").evaluate((element) => element.scrollIntoView());
    const place = () => bubble("message 15").evaluate((element) => Math.round(element.getBoundingClientRect().top));
    let before;
    await until(async () => before === (before = await place()), "the page to have scrolled");

    await ann.context.setOffline(true);
    await ann.page.locator("#banner").getByText("Reconnecting…").waitFor();
    const gone = Date.now();
    await remove(room, 14);
    await remove(room, 60);
    await remove(other, 3);
    await post(room, "message 121");
    await until(async () => (await cem.timeout(10_000).emitWithAck("history", { room, limit: 1 })).messages?.at(-1)?.event[2] === "message 121", "history to have everything");
    await until(() => Date.now() - gone > 1500, "the window to be over");
    await ann.context.setOffline(false);
    await connected(ann);
    await until(async () => !(await ann.texts()).includes("message 14"), "what was deleted to be gone", patience);
    await shoot(ann.page, "chat-back-late");
    assert.ok(Math.abs((await place()) - before) <= 2, `what was read stands ${(await place()) - before} px away`);
    const now = messages(1, 121);
    for (const i of [14, 60]) now[i - 1] = "This message was deleted.";
    await until(async () => {
      await log.evaluate((element) => (element.scrollTop = element.scrollHeight));
      return (await ann.texts()).includes("message 121");
    }, "the newest by reading on");
    const texts = await ann.texts();
    assert.deepEqual(texts, now.slice(-texts.length));

    await ann.room(other).click();
    await until(async () => {
      await log.evaluate((element) => (element.scrollTop = 0));
      return (await ann.texts()).includes("elsewhere 1");
    }, "all of the other room");
    assert.deepEqual((await ann.texts()).slice(0, 4), ["elsewhere 1", "elsewhere 2", "This message was deleted.", "elsewhere 4"]);
  });

  test("what another device has read while there was no connection counts no more", async () => {
    const [room, other] = [fresh("here"), fresh("there")];
    const { page, context } = await site.visit(`/#${new URLSearchParams({ room })}`);
    await page.getByRole("textbox", { name: "Your name" }).fill("admin");
    await page.getByRole("button", { name: "I have an account" }).click();
    await page.getByLabel("Password").first().fill(adminPassword);
    await page.getByRole("button", { name: "Sign in" }).click();
    const admin = new Person(page, context);
    await admin.isIn(room);
    await admin.join(other);
    await admin.room(room).click();
    await admin.isIn(room);
    const bob = await site.client("Bob", other);
    const ids = [];
    for (let i = 1; i <= 10; i++) ids.push((await bob.timeout(10_000).emitWithAck("room message", other, `news ${i}`)).id);
    const count = async () => await admin.room(other).locator(".count").textContent();
    await until(async () => (await count()) === "10", "ten unread");

    await admin.context.setOffline(true);
    await admin.page.locator("#banner").getByText("Reconnecting…").waitFor();
    const gone = Date.now();
    const { token } = await site.signIn("admin", adminPassword);
    const device = await site.member(token, other);
    await until(async () => (await device.timeout(10_000).emitWithAck("read", { room: other, id: ids[7] })).ok, "the other device to have read eight");
    await until(() => Date.now() - gone > 1500, "the window to be over");
    await admin.context.setOffline(false);
    await until(async () => (await count()) === "2", "two unread", patience);
    await shoot(admin.page, "chat-read-elsewhere");
    await admin.room(other).click();
    await admin.isIn(other);
    await admin.page.locator(".unread-line + .message").getByText("news 9").waitFor();
  });
});
