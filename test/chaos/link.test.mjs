import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { until } from "../wait.mjs";
import { Door, Link } from "./link.mjs";

// echo is a server that says what it hears, after its name.
async function echo(t, name) {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => socket.write(name + data));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  return server.address().port;
}

// dial connects and gathers what is heard.
function dial(t, port) {
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  const peer = { socket, heard: "", closed: false };
  socket.on("error", () => {});
  socket.on("close", () => (peer.closed = true));
  socket.on("data", (data) => (peer.heard += data));
  return peer;
}

async function link(t, target) {
  const link = await new Link(target).listen();
  t.after(() => link.close());
  return link;
}

test("a link carries, and what hung goes on", async (t) => {
  const l = await link(t, await echo(t, "a"));
  const peer = dial(t, l.port);
  peer.socket.write("1");
  await until(() => peer.heard === "a1", "an answer");
  l.hang();
  peer.socket.write("2");
  const late = dial(t, l.port);
  late.socket.write("3");
  await once(late.socket, "connect");
  l.open();
  await until(() => peer.heard === "a1a2" && late.heard === "a3", "what waited");
});

test("a link that is cut breaks its connections and takes no new ones", async (t) => {
  const l = await link(t, await echo(t, "a"));
  const peer = dial(t, l.port);
  peer.socket.write("1");
  await until(() => peer.heard === "a1", "an answer");
  l.cut();
  await until(() => peer.closed, "the connection to break");
  const late = dial(t, l.port);
  await until(() => late.closed, "a new one to be refused");
  l.open();
  const again = dial(t, l.port);
  again.socket.write("2");
  await until(() => again.heard === "a2", "an answer");
});

test("the end of a connection comes through, after all that was said", async (t) => {
  const said = "x".repeat(1 << 20);
  const server = createServer((socket) => socket.end(said));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  const l = await link(t, server.address().port);
  const peer = dial(t, l.port);
  await until(() => peer.closed, "the end");
  assert.equal(peer.heard.length, said.length);
});

test("one who goes while a link hangs is missed when it is open again", async (t) => {
  let gone = false;
  const server = createServer((socket) => socket.on("error", () => {}).on("close", () => (gone = true)).resume());
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  const l = await link(t, server.address().port);
  const peer = dial(t, l.port);
  peer.socket.write("1");
  await once(peer.socket, "connect");
  l.hang();
  peer.socket.resetAndDestroy();
  l.open();
  await until(() => gone, "the other end to know");
});

test("a door tries the next link", async (t) => {
  const [a, b] = [await link(t, await echo(t, "a")), await link(t, await echo(t, "b"))];
  const dead = await link(t, 1);
  const door = await new Door([a, dead, b]).listen();
  t.after(() => door.close());
  const answers = async () => {
    const peer = dial(t, door.port);
    peer.socket.write("1");
    await until(() => peer.heard.length === 2, "an answer");
    return peer.heard;
  };
  assert.deepEqual([await answers(), await answers(), await answers()], ["a1", "b1", "a1"]);
  a.cut();
  assert.equal(await answers(), "b1");
});
