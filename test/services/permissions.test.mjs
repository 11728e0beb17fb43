// The product under deploy/: its NATS configuration with a user for each service, and its
// sample settings. Everything works, and nobody may do more.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, test } from "node:test";
import { connect } from "@nats-io/transport-node";
import { collect, next, suite, timeout, until } from "../harness.mjs";
import { Process } from "../process.mjs";
import { admin, ask, bin, deployment, dial, password, root, signIn, texts } from "./deployment.mjs";

const users = {
  gateway: "NATTER_GATEWAY_NATS_PASSWORD",
  auth: "NATTER_AUTH_NATS_PASSWORD",
  history: "NATTER_HISTORY_NATS_PASSWORD",
  dice: "DICE_NATS_PASSWORD",
  monitor: "MONITOR_NATS_PASSWORD",
  operator: "OPERATOR_NATS_PASSWORD",
};
const secret = (user) => `p${Buffer.from(user).toString("hex")}`;
const environment = Object.fromEntries(Object.entries(users).map(([user, variable]) => [variable, secret(user)]));

describe("deploy", () => {
  let d;
  let dice;
  const t = suite();
  before(async () => {
    const config = (name) => ["--config", `${root}deploy/${name}.yaml`];
    d = await deployment(t, {
      natsArgs: (port) => ["-c", `${root}deploy/nats/natter.conf`, "-p", String(port)],
      env: { nats: environment, gateway: environment, auth: environment, history: environment },
      flags: { gateway: config("gateway"), auth: config("auth"), history: config("history") },
      gateways: 2,
      database: null, // the sample's, relative to the folder in which the service runs
    });
    // One after the other, so that each makes what it may have to make.
    for (const process of [d.nats, d.history, ...d.gateways, d.auth]) await process.start();
    dice = new Process(bin("dice"), [], { cwd: d.dir, env: { NATS_URL: d.natsUrl.replace("//", `//dice:${secret("dice")}@`) } });
    dice.launch();
    t.after(() => dice.stop());
  });

  // as connects to NATS as one of its users, and gathers what NATS refuses.
  async function as(t, user, inboxPrefix) {
    const connection = await dial(t, { servers: d.natsUrl, user, pass: secret(user), ...(inboxPrefix && { inboxPrefix }) });
    const refused = [];
    (async () => {
      for await (const status of connection.status()) if (status.type === "error") refused.push(String(status.error.message));
    })();
    const publish = async (subject) => {
      connection.publish(subject, '["forged"]');
      await until(() => refused.some((message) => /permissions violation/i.test(message) && message.includes(`"${subject}"`)), `${user} to be refused to publish to ${subject}`);
    };
    // A subscription that is refused ends with the error.
    const subscribe = async (subject) => {
      const ended = new Promise((resolve) => connection.subscribe(subject, { callback: (error) => error && resolve(error) }));
      assert.match(String((await ended).message), /permissions violation/i, `${user} subscribes to ${subject}`);
    };
    return { connection, publish, subscribe };
  }

  test("the whole product works", async (t) => {
    const ann = await d.connected("/", { gateway: d.gateways[0], auth: { name: "Ann" } });
    const bob = await d.connected("/", { gateway: d.gateways[1], auth: { name: "Bob" } });
    for (const socket of [ann, bob]) assert.equal((await ask(socket, "join", "red")).ok, true);
    const heard = collect(bob, "room message");
    // A volatile event misses Bob while none of his polls is there.
    const typing = collect(bob, "typing");
    await until(() => typing.all.length > 0 || void ann.emit("typing", "red"), "Bob to hear that Ann types");
    assert.equal((await ask(ann, "room message", "red", "hello")).ok, true);
    await heard.of(1);
    assert.equal((await ask(ann, "who", "red")).members.length, 2);

    const boss = await admin(d);
    const { user } = await ask(boss, "create user", { name: "eve", password: "eve has a password", roles: [] });
    assert.deepEqual((await ask(boss, "list users")).users.map((user) => user.name), ["admin", "eve"]);
    const { token } = await signIn(d.gateways[1], "eve", "eve has a password");
    const eve = await d.connected("/", { gateway: d.gateways[1], auth: { token } });
    assert.equal((await ask(eve, "join", "red")).ok, true);
    assert.equal((await ask(eve, "room message", "red", "secret")).ok, true);
    await until(async () => texts(await ask(ann, "history", { room: "red" })).length === 2, "the messages in history");
    const [edited, read] = [next(ann, "message edited"), next(eve, "read")];
    const { messages } = await ask(ann, "history", { room: "red" });
    assert.equal((await ask(ann, "edit message", { room: "red", id: messages[0].stamp.id, value: "hello again" })).ok, true);
    assert.equal((await edited)[0].event[2], "hello again");
    assert.equal((await ask(eve, "read", { room: "red", id: messages[0].stamp.id })).ok, true);
    assert.equal((await read)[0].room, "red");
    assert.equal((await ask(eve, "unread", { rooms: ["red"] })).rooms.length, 1);
    assert.equal((await ask(ann, "search", { text: "again" })).messages.length, 1);
    const list = await ask(boss, "list sockets");
    assert.deepEqual([list.ok, list.complete], [true, true]);
    assert.ok(list.sockets.some((socket) => socket.id === eve.id));
    assert.equal((await ask(boss, "disconnect socket", { namespace: "/", id: bob.id })).ok, true);
    await until(() => !bob.connected, "Bob to be disconnected");

    const [gone, redacted] = [next(eve, "disconnect"), next(ann, "redacted")];
    assert.equal((await ask(boss, "delete user", user.id)).ok, true);
    assert.equal((await gone)[0], "io server disconnect");
    assert.deepEqual((await redacted)[0], { user: user.id });

    // The back end.
    const player = await d.connected("/dice");
    const watcher = await d.connected("/dice", { gateway: d.gateways[1] });
    for (const socket of [player, watcher]) assert.equal(await ask(socket, "sit", "green"), "welcome");
    const [rolled, own] = [next(watcher, "rolled"), next(player, "rolled")];
    const dices = await ask(player, "roll", "green", 3);
    assert.equal(dices.length, 3);
    assert.deepEqual((await rolled).slice(0, 2), [player.id, dices]);
    await own;
    // Who sits down and rolls in one breath hears it: what a room is told between the order to join
    // and the gateway's joining is fetched from the stream.
    const all = collect(player, "rolled");
    for (let i = 0; i < 20; i++) {
      player.emit("sit", `table ${i}`);
      player.emit("roll", `table ${i}`, 1 + (i % 10));
    }
    assert.deepEqual((await all.of(20)).map(([, dices]) => dices.length), Array.from({ length: 20 }, (_, i) => 1 + (i % 10)));
  });

  test("nothing was refused to a service that it needs", async () => {
    // After a restart too, when everything is there already.
    for (const service of d.services) await service.stop();
    for (const service of d.services) service.launch();
    await Promise.all(d.services.map((service) => service.ready()));
    await d.connected("/", { auth: { token: (await signIn(d.gateway, "admin", await password(d.auth))).token } });
    for (const process of [...d.services, dice, d.nats]) {
      const line = process.output.split("\n").find((line) => /permissions? violation|denied a subject|authorization violation/i.test(line));
      assert.equal(line, undefined, `${process.name}: ${line}`);
    }
  });

  test("a back end speaks for no gateway and to no other namespace", async (t) => {
    const { publish, subscribe } = await as(t, "dice");
    for (const subject of [
      "natter.on.dice.roll.g1.abc", "natter.on.admin.delete=20user.g1.abc", // for clients
      "natter.gateway.g1.carry.g2", "natter.room.dice.join-room.red.g1", // for gateways
      "natter.live.dice.all", "natter.live._.room.red", // for JetStream
      "natter.emit._.all", "natter.do._.all", "natter.volatile._.all", "natter.post.admin.all", // in others' namespaces
      "natter.use.dice.auth", "natter.allow.dice", "natter.auth.create", "natter.auth.login", "natter.history.page", "natter.event.user.deleted",
      "$KV.NATTER_NAMESPACES.admin", "$KV.NATTER_ACCOUNTS.x", "$JS.API.STREAM.DELETE.NATTER", "$JS.API.STREAM.CREATE.MINE",
    ]) await publish(subject);
    for (const subject of ["natter.use.>", "natter.use._.auth", "natter.allow.>", "natter.allow.dice", "natter.on._.>", "natter.on.>", "natter.room.>", "natter.live.>", "natter.auth.>", "natter.gateway.g1.carry.*", "$KV.>", "_INBOX_auth.>", ">"]) await subscribe(subject);
  });

  test("only auth hears who wants to enter, and reads accounts", async (t) => {
    for (const user of ["gateway", "history", "dice", "monitor"]) {
      const { publish, subscribe } = await as(t, user);
      for (const subject of ["natter.use.>", "natter.use._.auth", "natter.allow.>", "natter.allow.door", "natter.auth.login", "$KV.NATTER_ACCOUNTS.>", "$KV.NATTER_AUTH_KEYS.>", "_INBOX_auth.>"]) await subscribe(subject);
      for (const bucket of ["KV_NATTER_ACCOUNTS", "KV_NATTER_AUTH_KEYS"]) {
        for (const api of ["STREAM.MSG.GET", "DIRECT.GET", "CONSUMER.CREATE", "STREAM.INFO", "STREAM.UPDATE", "STREAM.SNAPSHOT"]) await publish(`$JS.API.${api}.${bucket}`);
      }
      await publish("$KV.NATTER_ACCOUNTS.x");
    }
    const { connection } = await as(t, "auth", "_INBOX_auth");
    const reply = await connection.request("$JS.API.STREAM.INFO.KV_NATTER_ACCOUNTS", "", { timeout });
    assert.ok(reply.json().state.messages > 0);
  });

  test("gateways, auth and history do nothing that is another's", async (t) => {
    const gateway = await as(t, "gateway");
    for (const subject of ["natter.live._.all", "natter.do._.all", "natter.auth.create", "natter.auth.delete", "natter.event.user.deleted", "natter.event.message.deleted", "natter.history.export", "natter.history.erase", "natter.history.trail", "$JS.API.STREAM.DELETE.NATTER", "$JS.API.STREAM.PURGE.NATTER"]) await gateway.publish(subject);
    await gateway.subscribe("_INBOX.>");
    const auth = await as(t, "auth");
    for (const subject of ["natter.live._.all", "natter.on._.x.g1.abc", "natter.post._.all", "natter.emit._.all", "natter.do._.all", "natter.event.user.erased"]) await auth.publish(subject);
    await auth.subscribe("natter.on._.>");
    const history = await as(t, "history");
    for (const subject of ["natter.live._.all", "natter.on._.x.g1.abc", "natter.do._.all", "natter.post._.all", "natter.emit._.socket.g1.AAAAAAAAAAAAAAAAAAAA", "natter.volatile._.all", "natter.event.user.deleted"]) await history.publish(subject);
    for (const subject of ["natter.on.>", "natter.live.>", "natter.auth.>"]) await history.subscribe(subject);
  });

  test("a monitor watches, and says nothing", async (t) => {
    const { connection, publish, subscribe } = await as(t, "monitor");
    const seen = [];
    for (const subject of ["natter.on.>", "natter.live.>"]) connection.subscribe(subject, { callback: (error, message) => error || seen.push(message.subject) });
    await connection.flush();
    const ann = await d.connected();
    assert.equal((await ask(ann, "chat message", "for all to see")).ok, true);
    ann.emit("something else");
    await until(() => seen.includes("natter.live._.all") && seen.includes(`natter.on._.something=20else.${ann.id}`), "both to be seen");
    for (const subject of ["natter.emit._.all", "natter.live._.all", "natter.on._.x.g1.abc", "$SRV.PING", "$JS.API.INFO", "anything"]) await publish(subject);
    for (const subject of ["natter.use.>", "natter.auth.>", ">"]) await subscribe(subject);
  });

  test("gateways hand out sockets and hear who takes them", async (t) => {
    const { connection } = await as(t, "operator");
    connection.subscribe("natter.take.till.till", { callback: (_, message) => message.respond('{"instance":"t1"}') });
    connection.subscribe("natter.on.till.sell.*.*.t1", { callback: (_, message) => message.respond("[true]") });
    await connection.request("$KV.NATTER_NAMESPACES.till", '{"ordered":"till"}', { timeout });
    const sockets = d.gateways.map((gateway) => d.client("/till", { gateway, reconnection: false }));
    for (const socket of sockets) {
      await until(() => {
        if (!socket.active) socket.connect(); // refused by a gateway that does not know the namespace yet
        return socket.connected;
      }, "the namespace /till");
    }
    for (const socket of sockets) assert.equal(await ask(socket, "sell"), true);
    const gone = sockets.map((socket) => next(socket, "disconnect"));
    const replies = [];
    for await (const reply of await connection.requestMany("natter.alive.till.t1", '{"leaving":true}', { strategy: "count", maxMessages: 2, maxWait: 10_000 })) {
      replies.push(reply.headers.get("Natter-Gateway"));
    }
    assert.deepEqual(replies.sort(), ["g1", "g2"]);
    for (const [reason] of await Promise.all(gone)) assert.equal(reason, "transport close");
  });

  test("a wrong password and nobody at all are refused", async () => {
    for (const options of [{ user: "gateway", pass: "wrong" }, {}]) {
      await assert.rejects(connect({ servers: d.natsUrl, reconnect: false, ...options }), /authorization violation/i);
    }
  });

  test("the back end's permissions are those of the SDK's README", async () => {
    const plain = (text) => text.replace(/#.*$/gm, "").replace(/[\s,]+/g, " ").trim();
    const conf = await readFile(`${root}deploy/nats/natter.conf`, "utf8");
    const readme = await readFile(`${root}pkg/sdk/README.md`, "utf8");
    const [, wanted] = readme.match(/```hcl\n(permissions: [\s\S]*?)```/);
    const [, given] = conf.match(/user: dice\n.*\n\s*(permissions: \{[\s\S]*?\n {6}\})/);
    assert.equal(plain(given), plain(wanted.replaceAll("shop", "dice").replaceAll("orders", "dice")));
  });

  test("no secret stands in the configuration", async () => {
    const conf = await readFile(`${root}deploy/nats/natter.conf`, "utf8");
    const passwords = [...conf.matchAll(/password: (\S+?),?\s/g)].map(([, value]) => value);
    assert.deepEqual(passwords.sort(), Object.values(users).map((variable) => `$${variable}`).sort());
    // The README makes all of them.
    const readme = await readFile(`${root}deploy/README.md`, "utf8");
    const [, names] = readme.match(/for who in (.*);/);
    assert.deepEqual(names.split(" ").map((who) => `${who}_NATS_PASSWORD`).sort(), Object.values(users).sort());
  });
});
