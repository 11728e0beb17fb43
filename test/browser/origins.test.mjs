// Pages of other origins, and compression, as a browser sees them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { before, describe, test } from "node:test";
import { browser, start, suite } from "../harness.mjs";

describe("a page of another origin", () => {
  let natter;
  let chromium;
  let port;
  const t = suite();
  before(async () => {
    natter = await start(t, "--cors-origin", "http://localhost:*", "--cors-credentials", "--cors-exposed-headers", "x-served-by", "--per-message-deflate", "--cookie", "true");
    chromium = await browser(t);
    const pages = createServer((_, response) => response.setHeader("Content-Type", "text/html").end("<!doctype html><title>elsewhere</title>"));
    pages.listen(0, "127.0.0.1");
    await once(pages, "listening");
    t.after(() => pages.close());
    ({ port } = pages.address());
  });

  // meet loads the client as a module from the gateway, connects, and says something.
  const meet = async (host, options) => {
    const context = await chromium.newContext();
    try {
      const page = await context.newPage();
      await page.goto(`http://${host}:${port}/`);
      return await page.evaluate(
        async ({ url, options }) => {
          const { io } = await import(`${url}/socket.io/socket.io.esm.min.js`);
          const socket = io(url, { withCredentials: true, reconnection: false, timeout: 10_000, ...options });
          await new Promise((entered, failed) => socket.on("connect", entered).on("connect_error", failed));
          const { engine } = socket.io;
          if (!options.transports && engine.transport.name === "polling") await new Promise((upgraded) => engine.once("upgrade", upgraded));
          const text = "again and ".repeat(2_000);
          const heard = new Promise((resolve) => socket.on("chat message", (said) => resolve(said === text)));
          const { ok } = await socket.timeout(10_000).emitWithAck("chat message", text);
          const result = { ok, heard: await heard, transport: engine.transport.name, extensions: engine.transport.ws?.extensions };
          socket.disconnect();
          return result;
        },
        { url: natter.url, options },
      );
    } finally {
      await context.close();
    }
  };

  test("that is allowed connects, and Chromium takes compressed messages", async () => {
    const extensions = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert.deepEqual(await meet("localhost", { transports: ["websocket"] }), { ok: true, heard: true, transport: "websocket", extensions });
    assert.deepEqual(await meet("localhost", {}), { ok: true, heard: true, transport: "websocket", extensions });
    const { ok, heard, transport } = await meet("localhost", { transports: ["polling"] });
    assert.deepEqual({ ok, heard, transport }, { ok: true, heard: true, transport: "polling" });
  });

  test("that is not allowed gets neither the client nor a connection", async () => {
    await assert.rejects(meet("127.0.0.1", {}), /Failed to fetch dynamically imported module/);
    const context = await chromium.newContext();
    try {
      const page = await context.newPage();
      await page.goto(`http://127.0.0.1:${port}/`);
      const refused = (url) => page.evaluate((url) => new Promise((resolve) => Object.assign(new WebSocket(url), { onopen: () => resolve(false), onerror: () => resolve(true) })), url);
      assert.equal(await refused(`${natter.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`), true);
      await assert.rejects(page.evaluate((url) => fetch(url).then((answer) => answer.text()), `${natter.url}/socket.io/?EIO=4&transport=polling`), /Failed to fetch/);
    } finally {
      await context.close();
    }
  });
});
