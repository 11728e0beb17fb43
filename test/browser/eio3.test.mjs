// The client of Socket.IO 2 in a real browser, which polls with binary payloads.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, test } from "node:test";
import { browser, start, suite } from "../harness.mjs";

const bundle = await readFile(new URL("../node_modules/socket.io-client-2/dist/socket.io.js", import.meta.url), "utf8");

describe("the client of Socket.IO 2 in Chromium", () => {
  let natter;
  let chromium;
  const t = suite();
  before(async () => {
    natter = await start(t, "--allow-eio3");
    chromium = await browser(t);
  });

  for (const [name, options] of Object.entries({
    polling: { transports: ["polling"] },
    "polling, then WebSocket": {},
    WebSocket: { transports: ["websocket"] },
    "polling with forceBase64": { transports: ["polling"], forceBase64: true },
  })) {
    test(name, async () => {
      const page = await chromium.newPage({ bypassCSP: true }); // the policy lets nobody add a script to the page
      const types = new Set();
      page.on("response", (response) => {
        if (response.url().includes("transport=polling")) types.add(response.headers()["content-type"]);
      });
      try {
        await page.goto(natter.url);
        await page.addScriptTag({ content: bundle });
        const result = await page.evaluate(async (options) => {
          const socket = window.io({ forceNew: true, ...options });
          const upgraded = options.transports ? null : new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
          await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", (reason) => reject(new Error(JSON.stringify(reason)))));
          await upgraded;
          const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i % 256);
          const heard = new Promise((resolve) => socket.once("chat message", resolve));
          const ack = await new Promise((resolve) => socket.emit("chat message", { text: "café 🎉", bytes: bytes.buffer }, resolve));
          const message = await heard;
          const back = new Uint8Array(message.bytes);
          const same = back.length === bytes.length && back.every((byte, i) => byte === bytes[i]);
          const transport = socket.io.engine.transport.name;
          socket.disconnect();
          return { ack, text: message.text, same, transport };
        }, options);
        assert.equal(result.ack.ok, true);
        assert.equal(result.text, "café 🎉");
        assert.equal(result.same, true, "the bytes come back as they were");
        assert.equal(result.transport, name === "polling" || options.forceBase64 ? "polling" : "websocket");
        if (result.transport === "polling") assert.equal(types.has("application/octet-stream"), !options.forceBase64);
      } finally {
        await page.close();
      }
    });
  }
});
