// The client bundles that the gateway serves, in a real browser.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { browser, collect, start, suite, until } from "../harness.mjs";

describe("the client bundles in Chromium", () => {
  let natter;
  let chromium;
  const t = suite();
  before(async () => {
    natter = await start(t);
    chromium = await browser(t);
  });

  for (const bundle of ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"]) {
    test(bundle, async () => {
      const page = await chromium.newPage({ bypassCSP: true }); // the policy lets nobody add a script to the page
      try {
        await page.goto(natter.url);
        const url = `/socket.io/${bundle}`;
        const inPage = page.evaluate(
          async ({ url, text, module }) => {
            const load = () =>
              new Promise((resolve, reject) => {
                const script = Object.assign(document.createElement("script"), { src: url, onload: resolve, onerror: () => reject(new Error(`${url} did not load`)) });
                document.head.append(script);
              });
            const io = module ? (await import(url)).io : (await load(), window.io);
            const socket = io({ forceNew: true });
            const upgraded = new Promise((resolve) => socket.io.once("open", () => socket.io.engine.once("upgrade", resolve)));
            const heard = new Promise((resolve) => socket.once("chat message", resolve));
            await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
            await upgraded;
            const ack = await socket.timeout(10_000).emitWithAck("chat message", text);
            const result = { ack, heard: await heard, transport: socket.io.engine.transport.name };
            socket.disconnect();
            return result;
          },
          { url, text: `café 🎉 from ${bundle}`, module: bundle.includes(".esm.") },
        );
        const outside = await natter.connected();
        const result = await inPage;
        assert.equal(result.ack.ok, true);
        assert.equal(result.heard, `café 🎉 from ${bundle}`);
        assert.equal(result.transport, "websocket");

        const heard = collect(outside, "chat message"); // perhaps the page's own before
        outside.emit("chat message", "and back");
        await until(() => heard.all.some(([text]) => text === "and back"), "the answer");
        outside.disconnect();
      } finally {
        await page.close();
      }
    });
  }
});
