// People in front of the pages: what a test says they do, and what they see.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { io } from "socket.io-client";
import { browser, connected, start, timeout, until } from "../harness.mjs";

export const adminPassword = "correct horse battery";
const artifacts = new URL("../artifacts/", import.meta.url).pathname;

// open starts what the tests of a describe need: the product and a browser.
export async function open(t, ...flags) {
  const natter = await start(t, "--admin-password", adminPassword, ...flags);
  return new Site(natter, await browser(t));
}

// fresh makes a name that no earlier test used.
export const fresh = (name) => `${name} ${randomUUID().slice(0, 8)}`;

export class Site {
  #visitors = [];
  #clients = [];

  constructor(natter, chromium) {
    this.natter = natter;
    this.url = natter.url;
    this.chromium = chromium;
  }

  // visit opens a page in a browser context of its own. What the page reports as an
  // error, a breach of its policy too, fails the test in leave. prepare may do
  // something to the page before it is loaded.
  async visit(path, { prepare, ...options } = {}) {
    const context = await this.chromium.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
    context.setDefaultTimeout(timeout);
    const page = await context.newPage();
    await prepare?.(page);
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => {
      // What the network does is the browser's to report and no fault of the page.
      if (message.type() === "error" && !/Failed to load resource|WebSocket (connection|is already)|net::ERR/.test(message.text()))
        errors.push(message.text());
    });
    await page.goto(this.url + path);
    const visitor = { page, context, errors };
    this.#visitors.push(visitor);
    return visitor;
  }

  // chat opens the chat page, enters with a name and waits to be in the room.
  async chat(name, room, options) {
    const { page, context } = await this.visit(`/#${new URLSearchParams({ room })}`, options);
    await page.getByRole("textbox", { name: "Your name" }).fill(name);
    await page.getByRole("button", { name: "Enter", exact: true }).click();
    const person = new Person(page, context);
    await person.isIn(room);
    return person;
  }

  // client makes a stock client outside the browser that is in a room.
  async client(name, room) {
    const socket = await this.#connect("/", { name });
    if (room) assert.equal((await socket.timeout(timeout).emitWithAck("join", room)).ok, true);
    return socket;
  }

  // member makes a stock client of someone who is signed in, in a room.
  async member(token, room) {
    const socket = await this.#connect("/", { token });
    assert.equal((await socket.timeout(timeout).emitWithAck("join", room)).ok, true);
    return socket;
  }

  // signIn signs in at the gateway.
  async signIn(name, password) {
    const answer = await fetch(`${this.url}/auth/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name, password }),
    });
    return answer.json();
  }

  // admin makes a stock client in /admin.
  async admin() {
    const { token } = await this.signIn("admin", adminPassword);
    assert.ok(token, "the admin can sign in");
    return this.#connect("/admin", { token });
  }

  async #connect(namespace, auth) {
    const socket = io(this.url + namespace, { forceNew: true, auth });
    this.#clients.push(socket);
    await connected(socket);
    return socket;
  }

  // leave closes all pages and clients; no page may have reported an error.
  async leave() {
    for (const socket of this.#clients.splice(0)) socket.disconnect();
    const visitors = this.#visitors.splice(0);
    for (const { context } of visitors) await context.close();
    assert.deepEqual(
      visitors.flatMap(({ errors }) => errors),
      [],
      "a page reported errors",
    );
  }
}

// Person is someone on the chat page.
export class Person {
  constructor(page, context) {
    this.page = page;
    this.context = context;
    this.input = page.getByRole("textbox", { name: "Message" });
  }

  // isIn waits until the room is open and joined.
  async isIn(room) {
    await this.page.getByRole("heading", { level: 1, name: room, exact: true }).waitFor();
    await until(async () => /here/.test(await this.page.locator("#room-state").textContent()), `the page to be in ${room}`);
  }

  async say(text) {
    await this.input.fill(text);
    await this.input.press("Enter");
  }

  // bubble is what was said with exactly these words.
  bubble(text) {
    return this.page.locator(".bubble").filter({ hasText: text });
  }

  // sees waits until it is there, once.
  async sees(text) {
    await until(async () => (await this.texts()).includes(text), `${JSON.stringify(text)} on the page`);
    assert.equal((await this.texts()).filter((other) => other === text).length, 1, `${JSON.stringify(text)} stands there once`);
  }

  // texts is everything that was said, in order.
  texts() {
    return this.page.locator(".bubble").allTextContents();
  }

  // people are the names in the list of who is here.
  people() {
    return this.page.locator("#people .person-name").allTextContents();
  }

  async join(room) {
    await this.page.getByRole("button", { name: "Join a room" }).first().click();
    await this.page.getByRole("textbox", { name: "Name of the room" }).fill(room);
    await this.page.keyboard.press("Enter");
    await this.isIn(room);
  }

  // room is the room's button in the list.
  room(name) {
    return this.page.locator("#room-list button").filter({ hasText: name });
  }
}

// emits notes what a page emits, event arrays, by polling or over a WebSocket.
export function emits(page) {
  const events = [];
  const note = (said) => {
    for (const packet of String(said).split("\x1e")) {
      const event = /^42\d*(\[.*\])$/s.exec(packet);
      if (event) events.push(JSON.parse(event[1]));
    }
  };
  page.on("request", (request) => note(request.postData()));
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => note(payload)));
  return events;
}

// upgrades notes when a page is through with the polling, and gives a function that waits for it.
export function upgrades(page) {
  let done = false;
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => (done ||= payload === "5")));
  return () => until(() => done, "the page to be through with the polling");
}

// shoot saves a picture for people to look at.
export async function shoot(page, name) {
  mkdirSync(artifacts, { recursive: true });
  const path = `${artifacts}${name}.png`;
  await page.screenshot({ path });
  return path;
}

// fitsWidth asserts that nothing makes the page scroll sideways.
export async function fitsWidth(page) {
  const { content, view } = await page.evaluate(() => ({
    content: document.documentElement.scrollWidth,
    view: document.documentElement.clientWidth,
  }));
  assert.ok(content <= view, `the page is ${content} px wide, the window ${view} px`);
}
