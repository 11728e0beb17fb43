// Two of a kind on one NATS are one server; when one is killed the other goes on.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Backend, collect, next, until } from "../harness.mjs";
import { freePorts } from "../ports.mjs";
import { Process, answers } from "../process.mjs";
import { admin, ask, bin, deployment, dial, lease, password, running, signIn } from "./deployment.mjs";

const ids = (list) => list.map((entry) => entry.id).sort();

describe("two gateways", () => {
  test("behave as one server, and one goes on when the other is killed", async (t) => {
    const d = await running(t, { gateways: 2 });
    const [g1, g2] = d.gateways;
    const ann = await d.connected("/", { gateway: g1, auth: { name: "Ann" } });
    const bob = await d.connected("/", { gateway: g2, auth: { name: "Bob" }, reconnection: false });
    assert.match(ann.id, /^g1\./);
    assert.match(bob.id, /^g2\./);

    // Rooms: who comes, what is said in one order, who is there, who goes.
    const joined = next(ann, "joined");
    for (const socket of [ann, bob]) assert.equal((await ask(socket, "join", "red")).ok, true);
    const [room, stamp] = await joined;
    assert.deepEqual([room, stamp.socket], ["red", bob.id]);
    const heard = [ann, bob].map((socket) => collect(socket, "room message"));
    await Promise.all(Array.from({ length: 40 }, (_, i) => ask(i % 2 ? ann : bob, "room message", "red", i)));
    const [first, second] = (await Promise.all(heard.map((h) => h.of(40)))).map((all) => all.map(([, text, stamp]) => [text, stamp.id]));
    assert.deepEqual(first, second, "both hear one order");
    for (const socket of [ann, bob]) assert.deepEqual(ids((await ask(socket, "who", "red")).members), [ann.id, bob.id]);

    // The admin sees both gateways' sockets, and disconnects one at the other gateway.
    const boss = await admin(d, { gateway: g1 });
    const cat = await d.connected("/", { gateway: g2 });
    let list = await ask(boss, "list sockets");
    assert.deepEqual([list.ok, list.complete], [true, true]);
    assert.deepEqual(ids(list.sockets), ids([ann, bob, cat, boss]));
    const left = next(cat, "disconnect");
    assert.equal((await ask(boss, "disconnect socket", { namespace: "/", id: cat.id })).ok, true);
    assert.equal((await left)[0], "io server disconnect");

    // A killed gateway: its clients are gone at once, and when its lease has ended nobody waits for it.
    const gone = next(bob, "disconnect");
    await g2.kill();
    const killed = Date.now();
    await gone;
    const own = next(ann, "room message");
    assert.equal((await ask(ann, "room message", "red", "still here")).ok, true);
    assert.equal((await own)[1], "still here");
    assert.deepEqual(ids((await ask(ann, "who", "red")).members), [ann.id], "who answers all the time");
    list = await until(async () => {
      const list = await ask(boss, "list sockets");
      return list.complete && list;
    }, "the list to be complete again", 3 * lease);
    assert.deepEqual(ids(list.sockets), ids([ann, boss]));
    assert.ok(Date.now() - killed < 3 * lease);

    // And it comes back.
    g2.launch();
    await g2.ready();
    const dan = await d.connected("/", { gateway: g2 });
    assert.equal((await ask(dan, "join", "red")).ok, true);
    await until(async () => ids((await ask(ann, "who", "red")).members).length === 2, "both to be seen again");
  });

  test("what a service says and then does arrives in that order at both", async (t) => {
    const d = await running(t, { gateways: 2 });
    const backend = new Backend(await dial(t, { servers: d.natsUrl }));
    const transports = [["websocket"], ["polling"]];
    for (let round = 0; round < 5; round++) {
      const sockets = await Promise.all([0, 1, 2, 3].map((i) => d.connected("/", { gateway: d.gateways[i % 2], transports: transports[i >> 1], reconnection: false })));
      const heard = sockets.map((socket) => {
        const all = [];
        socket.on("last words", (n) => all.push(n));
        socket.on("disconnect", (reason) => all.push(reason));
        return all;
      });
      // To all and to each in turn, so that what is said takes several subjects.
      const said = [];
      for (let i = 0; i < 20; i++) said.push(backend.emit("/", i % 5 ? "all" : "many", ["last words", i], { rooms: sockets.map(({ id }) => id) }));
      said.push(backend.do("/", "all", ["disconnect"]), backend.emit("/", "all", ["last words", "too late"]));
      await Promise.all(said);
      for (const all of heard) await until(() => all.includes("io server disconnect"), "the end");
      for (const all of heard) assert.deepEqual(all, [...Array.from({ length: 20 }, (_, i) => i), "io server disconnect"]);
    }
  });

  test("share what a middleware and an admin say about a user", async (t) => {
    const d = await running(t, { gateways: 2 });
    const boss = await admin(d, { gateway: d.gateways[0] });
    const { user } = await ask(boss, "create user", { name: "eve", password: "eve has a password", roles: [] });

    const signedIn = await signIn(d.gateways[1], "eve", "eve has a password");
    assert.equal(signedIn.ok, true);
    const sockets = await Promise.all(d.gateways.map((gateway) => d.connected("/", { gateway, auth: { token: signedIn.token } })));
    const gone = sockets.map((socket) => next(socket, "disconnect"));
    assert.equal((await ask(boss, "delete user", user.id)).ok, true);
    for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
    for (const gateway of d.gateways) {
      const again = d.client("/", { gateway, auth: { token: signedIn.token } });
      assert.ok((await next(again, "connect_error"))[0].message);
    }
  });
});

describe("two auth services", () => {
  test("started together make one admin, and either of them does when the other is killed", async (t) => {
    const d = await deployment(t);
    const [health] = await freePorts(1);
    const second = new Process(bin("auth"), ["--nats-url", d.natsUrl, "--health-listen", `127.0.0.1:${health}`], {
      name: "second auth",
      cwd: d.dir,
      ready: answers(`http://127.0.0.1:${health}/readyz`),
    });
    t.after(() => second.stop());
    for (const process of [d.auth, second, d.nats, d.gateway, d.history]) process.launch();
    for (const process of [d.auth, second, d.gateway, d.history]) await process.ready();
    const printed = await until(() => {
      const all = [d.auth, second].filter((auth) => auth.stdout.includes("with the password"));
      return all.length > 0 && all;
    }, "a password to be printed");
    assert.equal(printed.length, 1);
    const first = await password(printed[0]);
    const { token } = await signIn(d.gateway, "admin", first);
    await printed[0].kill();
    // What the killed one was asked is lost; the next question reaches the other.
    await until(async () => (await signIn(d.gateway, "admin", first)).ok, "to sign in at the other", 30_000);
    const boss = await d.connected("/admin", { auth: { token } });
    assert.deepEqual((await ask(boss, "list users")).users.map((user) => user.name), ["admin"]);
    printed[0].launch();
    await printed[0].ready();
    assert.equal([...printed[0].stdout.matchAll(/with the password/g)].length, 1, "no second password");
  });
});
