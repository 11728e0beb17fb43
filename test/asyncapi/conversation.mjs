// A conversation in which everything of the contract is said: by stock clients, by
// back ends, by examples/dice with the SDK, by an administrator.

import assert from "node:assert/strict";
import { headers } from "@nats-io/transport-node";
import { collect, namespaceToken, next, timeout, token, until } from "../harness.mjs";

export const password = "correct horse";
// Who decides whether clients may connect.
export const doorkeeper = "door keeper";

const ask = (socket, ...event) => socket.timeout(timeout).emitWithAck(...event);

export async function converse(natter, recorder) {
  const backend = await natter.nats();
  await door(backend, natter);
  const [ann, bob] = await Promise.all([
    natter.connected("/", { auth: { name: "Ann" } }),
    natter.connected("/", { auth: { name: "Bob" }, transports: ["polling"] }),
  ]);
  const said = { natter, recorder, backend, ann, bob };
  await chat(said);
  await events(said);
  await speak(said);
  await questions(said);
  await middleware(said);
  await pattern(said);
  await functions(said);
  await ordered(said);
  await among(said);
  await accounts(said);
  await pages(said);
  await history(said);
  await dice(said);
  await goodbye(said);
}

// The service that every client has to pass, before any other is connected.
async function door(backend, natter) {
  backend.connection.subscribe(`natter.allow.${token(doorkeeper)}`, {
    callback: (_, message) => message.respond(JSON.stringify(message.json().handshake.query.stranger ? { ok: false, message: "who are you?" } : { ok: true })),
  });
  await backend.connection.flush();
  const stranger = natter.client("/", { query: { stranger: "1" }, reconnection: false, transports: ["polling"] });
  const [error] = await next(stranger, "connect_error");
  assert.equal(error.description, 403);
}

// The rules of the main namespace.
async function chat({ ann, bob }) {
  for (const socket of [ann, bob]) assert.equal((await ask(socket, "join", "red")).ok, true);
  assert.equal((await ask(ann, "join", "odd room *.>")).ok, true);
  assert.equal((await ask(ann, "room message", "red", "hello")).ok, true);
  assert.equal((await ask(ann, "room message", "odd room *.>", "hello")).ok, true);
  assert.equal((await ask(ann, "chat message", "hello all")).ok, true);
  // A volatile event misses Bob while none of his polls is there.
  const typing = collect(bob, "typing");
  await until(() => typing.all.length > 0 || void ann.emit("typing", "red"), "Bob to hear that Ann types");
  assert.equal((await ask(bob, "who", "red")).members.length, 2);
  assert.equal((await ask(bob, "leave", "red")).ok, true);
  assert.equal((await ask(bob, "join", "blue")).ok, true);
}

// What clients say to services, with acks and attachments in both directions.
async function events({ backend, ann, bob, recorder }) {
  await backend.on("/", "add", ([a, b]) => [a + b]);
  assert.equal(await ask(ann, "add", 2, 3), 5);
  await backend.on("/", "nothing", () => []);
  assert.equal(await ask(ann, "nothing"), undefined);
  await backend.on("/", "mirror", (args, { attachments }) => ({ args, attachments }));
  const bytes = Buffer.from([0, 1, 0xff]);
  assert.deepEqual(await ask(bob, "mirror", bytes), bytes);
  ann.emit("no ack", { a: 1 });
  await until(() => recorder.heard(/^natter\.on\._\.no=20ack\./), "the event without ack");
  backend.connection.subscribe("natter.on._.empty.>", { callback: (_, message) => message.respond() });
  backend.connection.subscribe("natter.on._.after.>", {
    callback: async (_, message) => {
      const { seq } = await backend.emit("/", "all", ["before the ack"]);
      message.respond("[]", { headers: headersOf({ "Natter-After": String(seq) }) });
    },
  });
  await backend.connection.flush();
  assert.equal(await ask(ann, "empty"), undefined);
  let before = 0;
  ann.on("before the ack", () => before++);
  assert.equal(await ask(ann, "after"), undefined);
  assert.equal(before, 1);
}

// Every verb to every form of target, with every header that goes with it.
async function speak({ backend, ann, bob, natter }) {
  const targets = [
    ["all", {}],
    ["all", { "Natter-Except": `red,${bob.id}` }],
    ["room.red", { "Natter-Stamp": "1", "Natter-Name": "Weatherman", "Natter-Compress": "false" }],
    [`room.${token("odd room *.>")}`, {}],
    [`socket.${ann.id}`, {}],
    ["many", { "Natter-Rooms": `red,blue,${ann.id}` }],
  ];
  for (const [target, own] of targets) {
    for (const verb of ["emit", "post"]) await publish(backend, `natter.${verb}._.${target}`, '["news",1]', { ...own, "Nats-Msg-Id": `${verb} ${target} ${JSON.stringify(own)}` });
    backend.connection.publish(`natter.volatile._.${target}`, '["cursor",1,2]', { headers: headersOf(own) });
    const { "Natter-Stamp": _stamp, "Natter-Name": _name, "Natter-Compress": _compress, ...selection } = own; // a command says nothing
    await publish(backend, `natter.do._.${target}`, '["join","green","yellow"]', selection);
    await publish(backend, `natter.do._.${target}`, '["leave","green"]', selection);
    await publish(backend, `natter.do._.${target}`, '["data",{"seat":3}]', selection);
  }
  await backend.emit("/", "room.red", ["file", { _placeholder: true, num: 0 }], { attachments: [Buffer.from("bytes")] });
  const cid = await natter.connected();
  const gone = next(cid, "disconnect");
  await publish(backend, `natter.do._.socket.${cid.id}`, '["disconnect",true]', { "Natter-User": "u1" });
  await gone;
  const duplicate = await publish(backend, "natter.emit._.all", '["news",1]', { "Nats-Msg-Id": "emit all {}" });
  assert.equal(duplicate.duplicate, true);
}

// Questions to clients and gateways.
async function questions({ backend, ann, bob }) {
  const { seq } = await backend.emit("/", "all", ["before the question"]);
  for (const socket of [ann, bob]) socket.on("ready?", (answer) => answer(true));
  for (const [target, own] of [
    ["all", { "Natter-Timeout": "15s", "Natter-After": String(seq) }],
    ["room.red", { "Natter-Except": bob.id, "Natter-Timeout": "12.5s" }],
    ["many", { "Natter-Rooms": "red,blue" }],
    [`socket.${ann.id}`, {}],
  ]) {
    const options = { timeout, headers: headersOf(own) };
    const plain = { timeout, headers: headersOf({ ...own, "Natter-Compress": "false" }) };
    assert.ok((await backend.connection.request(`natter.ask._.${target}`, '["ready?"]', plain)).json().length > 0, target);
    assert.ok((await backend.connection.request(`natter.list._.${target}`, "", options)).json().length > 0, target);
  }
  // Without the header there are no rooms: a refusal.
  for (const [subject, payload] of [["natter.ask._.many", '["ready?"]'], ["natter.list._.many", ""]]) {
    const refusal = await backend.connection.request(subject, payload, { timeout });
    assert.equal(refusal.json().code, "invalid");
  }
}

// A namespace with a middleware, from its beginning to its end.
async function middleware({ backend, natter, recorder }) {
  const door = (message) => {
    const { handshake } = message.json();
    message.respond(
      JSON.stringify(
        handshake.auth.ticket
          ? { ok: true, user: "u1", name: "Eve", roles: ["guest"], rooms: ["vip"], data: { seat: 3 }, expires: new Date(Date.now() + 3_600_000).toISOString() }
          : { ok: false, message: "sold out", data: { tomorrow: true } },
      ),
    );
  };
  backend.connection.subscribe("natter.use.shop.door", { callback: (_, message) => door(message) });
  await backend.namespace("/shop", { use: ["door"], events: { shout: { action: "emit", to: "all", args: 1, except: "sender" }, whisper: { action: "refuse" } } });
  const eve = await entered(natter, "/shop", { auth: { ticket: 42 } });
  assert.equal((await ask(eve, "shout", "hello")).ok, true);
  assert.equal((await ask(eve, "whisper")).ok, false);
  const stranger = natter.client("/shop");
  const [refused] = await next(stranger, "connect_error");
  assert.equal(refused.message, "sold out");
  eve.disconnect();
  await until(() => recorder.heard(/^natter\.on\.shop\.disconnect\./), "the end of Eve");
  await publish(backend, "$KV.NATTER_NAMESPACES.shop", "", { "KV-Operation": "DEL" });
}

// A namespace of a pattern.
async function pattern({ backend, natter, recorder }) {
  backend.connection.subscribe("natter.use.*.gate", { callback: (_, message) => message.respond('{"ok":true}') });
  await backend.namespace("/game-*", { use: ["gate"] });
  const eve = await entered(natter, "/game-1");
  const heard = next(eve, "news");
  await publish(backend, "natter.emit.game-=2A.all", '["news",1]', {});
  await heard;
  const [{ id, namespace }] = (await backend.connection.request("natter.list.game-=2A.all", "", { timeout })).json();
  assert.deepEqual([id, namespace], [eve.id, "/game-1"]);
  eve.emit("move");
  eve.disconnect();
  await until(() => recorder.heard(/^natter\.on\.game-1\.disconnect\./), "the end of Eve");
}

// Namespaces that exist because a service says so, which has room events and is told auth.
async function functions({ backend, natter, recorder }) {
  backend.connection.subscribe("natter.use.=2A=2Atenants.exists", {
    callback: (_, message) => message.respond(JSON.stringify({ ok: message.json().namespace === "/tenant/a" })),
  });
  const greetings = [{ event: ["welcome"] }, { event: ["picture", { _placeholder: true, num: 0 }], attachments: ["AQI="] }];
  backend.connection.subscribe("natter.use.*.greeter", { callback: (_, message) => message.respond(JSON.stringify({ ok: true, rooms: ["hall"], emit: greetings })) });
  await backend.namespace("/**tenants", { use: ["greeter"], handshakeAuth: true, roomEvents: true });
  const eve = await entered(natter, "/tenant/a", { auth: { key: 1 } });
  const stranger = natter.client("/elsewhere");
  assert.equal((await next(stranger, "connect_error"))[0].message, "Invalid namespace");
  const local = headersOf({ "Natter-Gateway": eve.id.split(".")[0] });
  const heard = next(eve, "news");
  await publish(backend, "natter.emit.=2A=2Atenants.all", '["news",1]', { "Natter-Gateway": eve.id.split(".")[0] });
  await heard;
  await publish(backend, "natter.do.=2A=2Atenants.room.hall", '["leave","hall"]', { "Natter-Gateway": eve.id.split(".")[0] });
  eve.on("picture?", (answer) => answer(Buffer.from([1, 2])));
  const [answer] = (await backend.connection.request("natter.ask.=2A=2Atenants.all", '["picture?"]', { timeout, headers: local })).json();
  assert.deepEqual(answer, { id: eve.id, ack: [{ _placeholder: true, num: 0 }], attachments: ["AQI="] });
  const [listed] = (await backend.connection.request("natter.list.=2A=2Atenants.all", "", { timeout, headers: local })).json();
  assert.deepEqual([listed.namespace, listed.handshake.auth, listed.transport.length > 0], ["/tenant/a", { key: 1 }, true]);
  const counted = await backend.connection.request("natter.list.=2A=2Atenants.all", "", { timeout, headers: headersOf({ "Natter-Count": "1" }) });
  assert.deepEqual([counted.json(), counted.headers.last("Natter-Expected")], [[], "1"]);
  eve.disconnect();
  await until(() => recorder.heard(/^natter\.on\.tenant=2Fa\.disconnect\./), "the end of Eve");
}

// A namespace whose sockets an instance of a back end takes, and leaves.
async function ordered({ backend, natter, recorder }) {
  const heard = [];
  backend.connection.subscribe("natter.on.till.*.*.*.t1", {
    callback: (_, message) => {
      heard.push(message.json()[0]);
      if (message.reply) message.respond("[true]");
    },
  });
  const takes = backend.connection.subscribe("natter.take.till.till", { queue: "till", callback: (_, message) => message.respond('{"instance":"t1"}') });
  await backend.namespace("/till", { ordered: "till" });
  const eve = await entered(natter, "/till");
  assert.equal(await ask(eve, "sell", "tea"), true);
  backend.connection.publish("natter.alive.till.t1");
  takes.unsubscribe();
  const gone = next(eve, "disconnect");
  const reply = await backend.connection.request("natter.alive.till.t1", '{"leaving":true}', { timeout, headers: headersOf({ "Natter-Timeout": "1s" }) });
  assert.deepEqual(reply.json(), {});
  await gone;
  eve.disconnect();
  assert.deepEqual(heard, ["connect", "sell", "disconnecting", "disconnect"]);
  await until(() => recorder.heard(/^natter\.on\.till\.disconnect\./), "the end of Eve");
}

// Back ends among themselves.
async function among({ backend }) {
  const own = headersOf({ "Natter-Server": "one" });
  backend.connection.subscribe("natter.server._.prices=20changed", { callback: (_, message) => message.respond('["thanks"]', { headers: own }) });
  const answer = await backend.connection.request("natter.server._.prices=20changed", '["prices changed",7]', { timeout, headers: headersOf({ "Natter-Server": "two" }) });
  assert.deepEqual(answer.json(), ["thanks"]);
}

// Accounts: over NATS, and as an administrator in /admin does it.
async function accounts({ backend, natter, recorder }) {
  const service = async (name, request) => (await backend.connection.request(`natter.auth.${name}`, request, { timeout })).json();
  assert.equal((await service("users", "")).users.length, 1);
  assert.equal((await service("users", "{}")).ok, true);
  assert.equal((await service("create", '{"name":"Flo","password":"battery staple","roles":["sales"]}')).ok, true);
  assert.equal((await service("create", '{"name":"flo","password":"battery staple"}')).code, "conflict");
  assert.equal((await service("delete", '{"user":"u_nobody"}')).ok, false);
  assert.equal((await signIn(natter, "admin", "wrong password")).ok, false);
  const { token: adminToken } = await signIn(natter, "admin", password);
  const { token: floToken, user } = await signIn(natter, "Flo", "battery staple");

  const admin = await natter.connected("/admin", { auth: { token: adminToken } });
  const flo = await natter.connected("/", { auth: { token: floToken } });
  const visitor = await natter.connected();
  assert.equal((await ask(flo, "chat message", "my secret")).ok, true);
  assert.equal((await ask(flo, "join", "red")).ok, true);
  const sockets = (await ask(admin, "list sockets")).sockets;
  assert.ok(sockets.some(({ id }) => id === flo.id));
  assert.equal((await ask(admin, "list users")).users.length, 2);
  const gus = await ask(admin, "create user", { name: "Gus", password: "battery staple", roles: [] });
  assert.equal((await service("delete", JSON.stringify({ user: gus.user.id, by: "u_tool" }))).ok, true);
  const put = next(visitor, "disconnect");
  assert.equal((await ask(admin, "disconnect socket", { namespace: "/", id: visitor.id })).ok, true);
  await put;
  const gone = next(flo, "disconnect");
  const redacted = until(() => recorder.heard(/^natter\.emit\._\.all$/, '["redacted"'), "what Flo said to be redacted");
  assert.equal((await ask(admin, "delete user", user)).ok, true);
  await Promise.all([gone, redacted]);
  admin.disconnect();
}

// Pages of history, over NATS and by the rule.
async function pages({ backend, ann }) {
  const page = async (request) => (await backend.connection.request("natter.history.page", JSON.stringify(request), { timeout })).json();
  const newest = await until(async () => {
    const found = await page({ namespace: "/", room: null, limit: 3 });
    return found.messages.length === 3 && found;
  }, "a page of history");
  assert.equal((await page({ namespace: "/", room: null, before: newest.messages[0].stamp.id })).ok, true);
  assert.equal((await page({ namespace: "/", room: "r".repeat(200) })).code, "invalid");
  assert.equal((await ask(ann, "history", { room: "red" })).ok, true);
  const { id } = newest.messages[0].stamp;
  assert.equal((await page({ namespace: "/", room: null, after: id })).newer, false);
  assert.equal((await ask(ann, "history", { room: null, around: id, limit: 2 })).ok, true);
}

// What else history answers, over NATS and by the rules.
async function history({ backend, natter, ann }) {
  const service = async (name, request) => (await backend.connection.request(`natter.history.${name}`, JSON.stringify(request), { timeout })).json();
  const room = "notes";
  assert.equal((await ask(ann, "join", room)).ok, true);
  const [mine, other] = [await ask(ann, "room message", room, "my frist words"), await ask(ann, "room message", room, "more words")];
  const edited = next(ann, "message edited");
  assert.equal((await ask(ann, "edit message", { room, id: mine.id, value: "my first words" })).ok, true);
  assert.equal((await edited)[0].event[2], "my first words");
  const deleted = next(ann, "message deleted");
  assert.equal((await service("delete", { namespace: "/", room, id: other.id, user: "u_tool", name: "Tool", admin: true })).ok, true);
  await deleted;
  assert.equal((await service("edit", { namespace: "/", room, id: mine.id, user: "u_tool", value: { not: "mine" } })).code, "forbidden");
  assert.equal((await service("delete", { namespace: "/", room, id: "0-1", user: "u_tool" })).code, "not_found");
  assert.equal((await service("trail", { namespace: "/", room, id: mine.id })).changes.length, 1);
  assert.equal((await service("trail", { namespace: "/", room, id: "0-1" })).code, "not_found");
  assert.equal((await ask(ann, "search", { text: "FIRST wor*" })).messages.length, 1);
  assert.equal((await service("search", { namespace: "/", rooms: [room, null], text: "first", limit: 5 })).messages.length, 1);
  assert.equal((await service("search", { namespace: "/", text: "?" })).code, "invalid");

  const user = "u_reader";
  await publish(backend, `natter.post._.room.${room}`, `["room message","${room}","a reader's"]`, { "Natter-User": user });
  await until(async () => (await service("export", { user })).messages?.length === 1, "what the reader said");
  assert.equal((await service("unread", { namespace: "/", rooms: [room, null], user })).rooms[0].unread, 1);
  assert.equal((await service("read", { namespace: "/", room, user, id: mine.id })).ok, true);
  assert.equal((await service("unread", { namespace: "/", rooms: [room], user })).rooms[0].read, mine.id);
  assert.equal((await ask(ann, "unread", {})).code, "forbidden");
  const flo = await natter.connected("/", { auth: { token: (await signIn(natter, "admin", password)).token } });
  assert.equal((await ask(flo, "join", room)).ok, true);
  const read = collect(flo, "read");
  assert.equal((await ask(flo, "read", { room, id: mine.id })).ok, true);
  await read.of(1);
  assert.equal((await ask(flo, "unread", {})).rooms.length, 2);
  flo.disconnect();
  assert.equal((await service("export", { user, limit: 5 })).reads.length, 1);
  assert.equal((await service("erase", { user })).erased, 1);
  assert.equal((await backend.connection.request("natter.history.stats", "", { timeout })).json().reached, true);
}

// A service with the Go SDK; what it says has the SDK's headers.
async function dice({ natter }) {
  const guest = await entered(natter, "/dice");
  assert.equal(await ask(guest, "sit", "green"), "welcome");
  const rolled = next(guest, "rolled");
  assert.equal((await ask(guest, "roll", "green", 2)).length, 2);
  await rolled;
}

// What ends is heard of.
async function goodbye({ ann, bob, backend, recorder }) {
  const id = ann.id;
  ann.disconnect();
  await until(() => recorder.heard(new RegExp(`^natter\\.on\\._\\.disconnect\\.${id}$`)), "the end of Ann");
  const gone = next(bob, "disconnect");
  await backend.do("/", "all", ["disconnect"]);
  await gone;
}

// entered waits until there is the namespace, whose gateways may hear of it later.
async function entered(natter, namespace, options) {
  const socket = natter.client(namespace, options);
  await until(() => {
    if (!socket.active) socket.connect();
    return socket.connected;
  }, `the namespace ${namespaceToken(namespace)}`, 30_000);
  return socket;
}

async function signIn(natter, name, password) {
  const response = await fetch(`${natter.url}/auth/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name, password }),
  });
  return response.json();
}

// publish waits for JetStream's answer.
async function publish(backend, subject, payload, own) {
  const ack = (await backend.connection.request(subject, payload, { timeout, headers: headersOf(own) })).json();
  assert.ok(ack.seq > 0, `${subject}: ${JSON.stringify(ack)}`);
  return ack;
}

function headersOf(own) {
  const all = headers();
  for (const [name, value] of Object.entries(own)) all.set(name, value);
  return all;
}
