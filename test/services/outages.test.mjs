// What goes on, and what comes back by itself, while a part is away.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { collect, next, until } from "../harness.mjs";
import { answers } from "../process.mjs";
import { admin, ask, deployment, password, running, signIn, stopNats, texts } from "./deployment.mjs";

const patience = 30_000;
const isReady = (service) => answers(`${service.health}/readyz`)();
// settles waits until a service says it is ready, or that it is not.
const settles = (service, ready) => until(async () => (await isReady(service)) === ready, `${service.name} to be ${ready ? "" : "not "}ready`, patience);
// history waits until a room's history has a text last.
const history = (socket, room, last) =>
  until(async () => {
    const page = await ask(socket, "history", { room });
    return page.ok && texts(page).at(-1) === last && page;
  }, `${last} in the history of ${room}`, patience);

describe("NATS is away", { concurrency: 2 }, () => {
  for (const [how, end] of [
    ["stopped", stopNats],
    ["killed", (nats) => nats.kill()],
  ]) {
    test(`${how} and started again`, async (t) => {
      const d = await running(t);
      const boss = await admin(d);
      const ann = await d.connected("/", { auth: { name: "Ann" }, transports: ["websocket"] });
      const bob = await d.connected("/", { auth: { name: "Bob" }, transports: ["polling"] });
      const ends = [boss, ann, bob].map((socket) => collect(socket, "disconnect"));
      for (const socket of [ann, bob]) assert.equal((await ask(socket, "join", "red")).ok, true);
      const heard = [ann, bob].map((socket) => collect(socket, "room message"));
      assert.equal((await ask(ann, "room message", "red", "before")).ok, true);
      await Promise.all(heard.map((h) => h.of(1)));

      await end(d.nats);
      await Promise.all(d.services.map((service) => settles(service, false)));
      for (const service of d.services) assert.equal((await fetch(`${service.health}/readyz`)).status, 503);
      for (const service of d.services) assert.equal((await fetch(`${service.health}/healthz`)).status, 200, "a restart would not help");
      // What cannot be stored is not acked, and a question is answered that it cannot be answered.
      await assert.rejects(ann.timeout(500).emitWithAck("room message", "red", "lost"), /timed out/);
      assert.equal((await ask(ann, "history", { room: "red" })).code, "unavailable");
      assert.equal((await signIn(d.gateway, "admin", "x")).status, 503);

      d.nats.launch();
      await d.nats.ready();
      await Promise.all(d.services.map((service) => settles(service, true)));
      await until(() => ann.timeout(3_000).emitWithAck("room message", "red", "after"), "a message to be stored", patience);
      for (const h of heard) await until(() => h.all.at(-1)[1] === "after", "the message", patience);
      const said = texts(await history(bob, "red", "after"));
      assert.equal(said[0], "before");
      assert.equal((await ask(boss, "list users")).ok, true, "auth is back too");
      assert.deepEqual(ends.map((end) => end.all), [[], [], []], "clients stayed connected");
    });
  }
});

describe("NATS without JetStream", () => {
  test("is not enough: nobody is ready, and the log says what to do", async (t) => {
    const d = await deployment(t, { natsArgs: (port) => ["-a", "127.0.0.1", "-p", String(port)] });
    await d.nats.start();
    for (const service of d.services) service.launch();
    for (const service of d.services) {
      await until(() => /start nats-server with -js/.test(service.output), `the hint of ${service.name}`, patience);
      assert.equal((await fetch(`${service.health}/readyz`)).status, 503, service.name);
    }
  });
});

describe("a service is away", { concurrency: 2 }, () => {
  test("auth: guests do not notice, and who needs it gets in when it is back", async (t) => {
    const d = await running(t);
    const { token } = await signIn(d.gateway, "admin", await password(d.auth));
    assert.ok(token);
    await d.auth.stop();

    const ann = await d.connected("/", { auth: { name: "Ann" } });
    const heard = next(ann, "chat message");
    assert.equal((await ask(ann, "chat message", "hello")).ok, true);
    await heard;
    assert.equal((await signIn(d.gateway, "admin", "whatever it was")).status, 503);

    const boss = d.client("/admin", { auth: { token } });
    const errors = collect(boss, "connect_error");
    await until(() => d.gateway.output.includes("natter.use.admin.auth"), "the gateway to ask in vain", patience);
    assert.deepEqual([boss.connected, errors.all], [false, []]);
    const entered = next(boss, "connect", patience);
    d.auth.launch();
    await d.auth.ready();
    await entered;
    assert.deepEqual(errors.all, [], "it was held, not refused");
    assert.equal((await ask(boss, "list users")).ok, true);
  });

  test("auth: a client is not refused when its time to connect is over", async (t) => {
    const d = await running(t, { flags: { gateway: ["--connect-timeout", "1s"] } });
    const { token } = await signIn(d.gateway, "admin", await password(d.auth));
    await d.auth.stop();
    const boss = d.client("/admin", { auth: { token } });
    const refusals = [];
    boss.on("connect_error", (error) => boss.active || refusals.push(error));
    const attempts = collect(boss.io, "open");
    await attempts.of(2); // the transport was closed, and the client came again by itself
    const entered = next(boss, "connect", patience);
    d.auth.launch();
    await d.auth.ready();
    await entered;
    assert.deepEqual(refusals, []);
  });

  test("history: the chat goes on, and nothing is missing afterwards", async (t) => {
    const d = await running(t);
    const boss = await admin(d);
    const secret = "eve has a password";
    const { user } = await ask(boss, "create user", { name: "eve", password: secret, roles: [] });
    const { token } = await signIn(d.gateway, "eve", secret);
    const eve = await d.connected("/", { auth: { token } });
    const ann = await d.connected("/", { auth: { name: "Ann" } });
    for (const socket of [ann, eve]) assert.equal((await ask(socket, "join", "red")).ok, true);
    assert.equal((await ask(ann, "room message", "red", "one")).ok, true);
    assert.equal((await ask(eve, "room message", "red", "secret one")).ok, true);
    await history(ann, "red", "secret one");

    await d.history.stop();
    const heard = collect(ann, "room message");
    assert.equal((await ask(ann, "room message", "red", "two")).ok, true);
    assert.equal((await ask(eve, "room message", "red", "secret two")).ok, true);
    await heard.of(2);
    assert.deepEqual([(await ask(ann, "history", { room: "red" })).ok, (await ask(ann, "history", { room: "red" })).code], [false, "unavailable"]);
    const gone = next(eve, "disconnect");
    assert.equal((await ask(boss, "delete user", user.id)).ok, true);
    await gone;
    assert.equal((await ask(ann, "room message", "red", "three")).ok, true);

    const redacted = next(ann, "redacted", patience);
    d.history.launch();
    await d.history.ready();
    assert.deepEqual((await redacted)[0], { user: user.id });
    await history(ann, "red", "three");
    const page = await until(async () => {
      const page = await ask(ann, "history", { room: "red" });
      return page.messages.filter((message) => message.redacted).length === 2 && page;
    }, "both messages of the deleted user to be redacted", patience);
    assert.deepEqual(page.messages.map((message) => [message.event[2], message.redacted ?? false]), [
      ["one", false],
      [undefined, true],
      ["two", false],
      [undefined, true],
      ["three", false],
    ]);
    assert.ok(!JSON.stringify(page).includes("secret"));
  });
});
