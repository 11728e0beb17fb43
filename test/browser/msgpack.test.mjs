// The bundle with the msgpack parser in Chromium, alone and under the pages.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import parser from "socket.io-msgpack-parser";
import { browser, collect, next, start, suite } from "../harness.mjs";
import { Site, fresh } from "./pages.mjs";

describe("socket.io.msgpack.min.js in Chromium", () => {
  let site;
  const t = suite();
  before(async () => {
    const natter = await start(t, "--parser", "msgpack");
    site = new Site(natter, await browser(t));
  });
  afterEach(() => site.leave());

  test("says and hears, with binary data inside", async () => {
    const { page } = await site.visit("/tutorial/");
    const outside = await site.natter.connected("/", { parser });
    const heard = collect(outside, "chat message");
    await page.waitForFunction(() => "io" in globalThis);
    const { back, transport } = await page.evaluate(async () => {
      const socket = io({ forceNew: true });
      const upgraded = new Promise((resolve) => socket.io.once("open", () => socket.io.engine.once("upgrade", resolve)));
      const own = new Promise((resolve) => socket.once("chat message", resolve));
      await upgraded;
      await socket.timeout(10_000).emitWithAck("chat message", { text: "café 🎉", bytes: new Uint8Array([1, 255]).buffer, at: new Date(0), n: [1.5, -1] });
      const back = await own;
      const transport = socket.io.engine.transport.name;
      socket.disconnect();
      return { back: { ...back, bytes: [...new Uint8Array(back.bytes)] }, transport };
    });
    const said = { text: "café 🎉", bytes: [1, 255], at: "1970-01-01T00:00:00.000Z", n: [1.5, -1] };
    assert.deepEqual(back, said);
    assert.equal(transport, "websocket");
    const [[message]] = await heard.of(1);
    assert.deepEqual({ ...message, bytes: [...message.bytes] }, said);
    outside.disconnect();
  });

  test("the built-in pages speak it", async () => {
    const { page } = await site.visit("/tutorial/");
    const outside = await site.natter.connected("/", { parser });
    const text = fresh("hello");
    const before = next(outside, "chat message"); // which comes by another way than the ack
    assert.equal((await outside.timeout(10_000).emitWithAck("chat message", fresh("before"))).ok, true);
    await before;
    const heard = collect(outside, "chat message");
    await page.getByRole("textbox").fill(text);
    await page.getByRole("textbox").press("Enter");
    assert.equal((await heard.of(1))[0][0], text);
    await page.locator("li").filter({ hasText: text }).waitFor();
    outside.disconnect();
    await site.chat("Ann", fresh("room")); // which asks for history and members
  });
});
