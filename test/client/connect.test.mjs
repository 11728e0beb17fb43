// How stock clients get in: transports, namespaces, refusals.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { connected, next, start, suite, until } from "../harness.mjs";

describe("connecting", () => {
  let natter;
  let backend;
  const t = suite();
  before(async () => {
    natter = await start(t);
    backend = await natter.nats();
  });

  for (const transport of ["polling", "websocket"]) {
    test(`over ${transport} alone`, async () => {
      const socket = await natter.connected("/", { transports: [transport] });
      assert.equal(socket.io.engine.transport.name, transport);
      assert.match(socket.id, /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/, "a socket id can be pasted into a subject");
      assert.notEqual(socket.id, socket.io.engine.id, "the Engine.IO session id is a secret of its own");

      const heard = next(socket, "chat message");
      const ack = await socket.timeout(10_000).emitWithAck("chat message", `over ${transport}`);
      assert.equal(ack.ok, true);
      assert.equal((await heard)[0], `over ${transport}`);
      socket.disconnect();
    });
  }

  test("over polling, upgraded to websocket, with nothing lost on the way", async () => {
    const socket = natter.client();
    const heard = [];
    const said = Array.from({ length: 50 }, (_, i) => `upgrade ${i}`);
    socket.on("chat message", (text) => heard.push(text));
    // From the first packet on, so that some of it is under way during the upgrade.
    for (const text of said) socket.emit("chat message", text);
    const upgraded = new Promise((resolve) => socket.io.once("open", () => socket.io.engine.once("upgrade", resolve)));
    await connected(socket);
    await upgraded;
    assert.equal(socket.io.engine.transport.name, "websocket");
    await until(() => heard.length >= said.length, "everything said during the upgrade");
    assert.deepEqual(heard, said);
    socket.disconnect();
  });

  test("an unknown namespace is refused", async () => {
    const socket = natter.client("/no-such-namespace");
    const [error] = await next(socket, "connect_error");
    assert.equal(error.message, "Invalid namespace");
    assert.equal(socket.active, false, "a refused client does not try again by itself");
  });

  test("several namespaces over one connection", async () => {
    await backend.namespace("/news");
    await backend.namespace("/sport/local");
    // Gateways hear of a namespace soon, not at once; refused clients do not ask again.
    for (const name of ["/news", "/sport/local"]) {
      await until(async () => {
        const socket = natter.client(name);
        try {
          await connected(socket);
          return true;
        } finally {
          socket.disconnect();
        }
      }, `the namespace ${name}`);
    }

    const main = await natter.connected();
    const news = await natter.connected("/news", { beside: main });
    const sport = await natter.connected("/sport/local", { beside: main });
    assert.equal(new Set([main.id, news.id, sport.id]).size, 3, "each has an id of its own");

    const heard = { main: [], news: [], sport: [] };
    for (const [name, socket] of Object.entries({ main, news, sport })) {
      socket.on("headline", (text) => heard[name].push(text));
    }
    await backend.emit("/news", "all", ["headline", "rain"]);
    await backend.emit("/sport/local", "all", ["headline", "goal"]);
    await backend.emit("/", "all", ["headline", "hello"]);
    await until(() => heard.main.length && heard.news.length && heard.sport.length, "a headline in each namespace");
    assert.deepEqual(heard, { main: ["hello"], news: ["rain"], sport: ["goal"] });

    // Leaving one leaves the others alone.
    news.disconnect();
    const again = next(main, "headline");
    await backend.emit("/", "all", ["headline", "still here"]);
    assert.equal((await again)[0], "still here");
    assert.equal(sport.connected, true);
    main.disconnect();
    sport.disconnect();
  });

  test("a refusal in one namespace does not touch the others", async () => {
    const main = await natter.connected();
    const refused = natter.client("/missing", { beside: main });
    const [error] = await next(refused, "connect_error");
    assert.equal(error.message, "Invalid namespace");
    assert.equal((await main.timeout(10_000).emitWithAck("chat message", "still here")).ok, true);
    main.disconnect();
  });

  test("nobody enters /admin without a token", async () => {
    const socket = natter.client("/admin");
    const [error] = await next(socket, "connect_error");
    assert.notEqual(error.message, "Invalid namespace", "it exists");
    assert.equal(socket.active, false);
  });
});
