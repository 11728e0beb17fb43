// Starts Natter as its users do, and gives tests what they need around it: stock
// Socket.IO clients, a NATS connection to play a back end, and Chromium.
//
// Nothing here waits for a fixed time: every wait is for an event or a condition,
// with a deadline that fails the test and says what was awaited.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { connect as dialNats, headers } from "@nats-io/transport-node";
import { chromium } from "playwright-core";
import { io } from "socket.io-client";
import { freePorts } from "./ports.mjs";
import { Process, answers } from "./process.mjs";
import { timeout, until, within } from "./wait.mjs";

export { timeout, until, within };

// How the program is called. Everything that depends on its settings is here.
export const program = process.env.TEST_PROGRAM ?? new URL("../bin/natter", import.meta.url).pathname;
const flags = ({ port, natsPort, healthPort, dir }) => [
  "--listen", `127.0.0.1:${port}`,
  "--nats-port", String(natsPort),
  "--health-listen", `127.0.0.1:${healthPort}`,
  "--data", dir,
  "--client-dir", new URL("../web/node_modules/socket.io-client/dist", import.meta.url).pathname,
];
// A heartbeat short enough to wait for, and long enough for a busy machine.
export const fastHeartbeat = ["--ping-interval", "300ms", "--ping-timeout", "2s"];
// The bucket that namespaces are configured in.
const namespaces = "$KV.NATTER_NAMESPACES.";

// suite gives the tests of one describe, in whose body it is called, what each test
// has as t: an end to which start and browser tie what they start.
export function suite() {
  const ends = [];
  after(async () => {
    const failed = [];
    for (const end of ends.reverse()) {
      try {
        await end(); // all of them: what is left over would keep the tests from ending
      } catch (error) {
        failed.push(error);
      }
    }
    if (failed.length === 1) throw failed[0];
    if (failed.length > 1) throw new AggregateError(failed, failed.map(String).join("\n"));
  });
  return { after: (end) => ends.push(end) };
}

// start runs Natter on free ports with an empty data folder, until the test (or
// suite) is over; then it must end cleanly. More flags may be given.
export async function start(t, ...extra) {
  const dir = await mkdtemp(join(tmpdir(), "natter-test-"));
  const [port, natsPort, healthPort] = await freePorts(3);
  const natter = new Natter({ port, natsPort, healthPort, dir }, extra);
  t.after(async () => {
    try {
      await natter.close();
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
  await natter.start();
  return natter;
}

// Natter is the program as a process, and those who talk to it. After a stop or
// kill it starts again on the same ports, with the same data.
export class Natter extends Process {
  #clients = new Set();
  #connections = new Set();

  constructor(place, extra = []) {
    super(program, [...flags(place), ...extra], { name: "Natter", cwd: place.dir, ready: answers(`http://127.0.0.1:${place.healthPort}/readyz`) });
    this.place = place;
    this.url = `http://127.0.0.1:${place.port}`;
    this.natsUrl = `nats://127.0.0.1:${place.natsPort}`;
  }

  // close ends the clients and connections that tests left open, then the process.
  async close() {
    for (const socket of this.#clients) socket.disconnect();
    for (const connection of this.#connections) await connection.close();
    await this.stop();
  }

  // client makes a stock client for a namespace. It has a connection of its own,
  // or shares that of the client given as beside. It closes with the process.
  client(namespace = "/", { beside, ...options } = {}) {
    const socket = beside ? beside.io.socket(namespace, options) : client(this.url, namespace, options);
    this.#clients.add(socket);
    return socket;
  }

  // connected makes a stock client and waits until it is in the namespace.
  async connected(namespace, options) {
    const socket = this.client(namespace, options);
    await connected(socket);
    return socket;
  }

  // nats connects a back end.
  async nats() {
    const connection = await dialNats({ servers: this.natsUrl, timeout, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    this.#connections.add(connection);
    return new Backend(connection);
  }
}

// client makes a stock client with a connection of its own, which loses no time when
// it connects again.
export function client(url, namespace = "/", options = {}) {
  return io(url + namespace, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
}

// Backend is what a service in any language does with a NATS client: nothing here
// is more than a publish, a request or a subscription.
export class Backend {
  constructor(connection) {
    this.connection = connection;
  }

  // on hears an event from clients. The handler gets the client's arguments, and
  // who and how. What it returns is the ack: an array of arguments, or
  // { args, attachments }. The promise is kept when the server knows the subscription.
  async on(namespace, event, handler) {
    this.connection.subscribe(`natter.on.${namespaceToken(namespace)}.${token(event)}.>`, {
      callback: async (error, message) => {
        if (error) throw error;
        const { array, attachments } = decode(message);
        const socket = message.subject.split(".").slice(4, 6).join(".");
        const ack = await handler(array.slice(1), { socket, attachments, message, wantsAck: Boolean(message.reply) });
        if (ack === undefined || !message.reply) return;
        const { args, attachments: binary } = Array.isArray(ack) ? { args: ack, attachments: [] } : ack;
        message.respond(...encode(args, binary));
      },
    });
    await this.connection.flush();
  }

  // emit says something to the clients of a target ("all", "room.red",
  // "socket.<id>"), and waits until it is stored.
  emit(namespace, target, array, { attachments = [], except, rooms, verb = "emit" } = {}) {
    const [payload, options] = encode(array, attachments);
    if (except) options.headers.set("Natter-Except", except);
    if (rooms) options.headers.set("Natter-Rooms", rooms.join(","));
    return this.#stored(`natter.${verb}.${namespaceToken(namespace)}.${target}`, payload, options);
  }

  // do acts on the sockets of a target: ["join","red"], ["leave","red"], ["disconnect"].
  do(namespace, target, command) {
    return this.emit(namespace, target, command, { verb: "do" });
  }

  // namespace configures a namespace, as gateways read it.
  namespace(name, config = {}) {
    return this.#stored(namespaces + namespaceToken(name), JSON.stringify(config));
  }

  // ask sends an event to one client and returns its ack, an array of arguments.
  async ask(namespace, socket, array) {
    const reply = await this.connection.request(`natter.ask.${namespaceToken(namespace)}.socket.${socket}`, JSON.stringify(array), { timeout });
    const answers = reply.json();
    assert.equal(answers.length, 1, `one socket was asked, the answers are ${JSON.stringify(answers)}`);
    assert.equal(answers[0].id, socket);
    return answers[0].ack;
  }

  async #stored(subject, payload, options) {
    const ack = (await this.connection.request(subject, payload, { timeout, ...options })).json();
    assert.ok(ack.seq > 0 && !ack.error, `${subject} was not stored: ${JSON.stringify(ack)}`);
    return ack;
  }
}

// encode makes a payload and its headers of an event array and attachments.
function encode(array, attachments) {
  const h = headers();
  if (attachments.length > 0) h.set("Natter-Attachments", attachments.map((a) => a.length).join(","));
  return [Buffer.concat([Buffer.from(JSON.stringify(array)), ...attachments]), { headers: h }];
}

// decode parts a payload into the event array and the attachments behind it.
function decode(message) {
  const lengths = message.headers?.last("Natter-Attachments")?.split(",").filter(Boolean).map(Number) ?? [];
  const data = Buffer.from(message.data);
  let end = data.length - lengths.reduce((sum, n) => sum + n, 0);
  const array = JSON.parse(data.subarray(0, end).toString());
  const attachments = lengths.map((n) => data.subarray(end, (end += n)));
  return { array, attachments };
}

// token spells a name as one token of a subject.
export function token(name) {
  if (name === "") return "=";
  const escape = (byte) => (/[A-Za-z0-9_-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`);
  return [...Buffer.from(name)].map(escape).join("");
}

// namespaceToken spells a namespace, which has a leading slash, as a token.
export function namespaceToken(namespace) {
  const name = namespace.replace(/^\//, "");
  if (name === "") return "_";
  return name === "_" ? "=5F" : token(name);
}

// next waits for an event of an emitter and returns its arguments, as said returns them.
export function next(emitter, event, ms = timeout) {
  let listener;
  const arrived = new Promise((resolve, reject) => {
    listener = (...args) => {
      try {
        resolve(said(emitter, event, args));
      } catch (error) {
        reject(error);
      }
    };
    emitter.on(event, listener);
  });
  return within(arrived, `the event ${event}`, ms).finally(() => emitter.off(event, listener));
}

// connected waits until a client is in its namespace; a refusal fails at once.
export async function connected(socket) {
  if (socket.connected) return;
  let refuse;
  const refused = new Promise((_, reject) => {
    // An active socket tries again by itself: the transport failed, nobody refused.
    refuse = (error) => socket.active || reject(error);
    socket.on("connect_error", refuse);
  });
  try {
    await Promise.race([next(socket, "connect"), refused]);
  } finally {
    socket.off("connect_error", refuse);
  }
}

// collect gathers the arguments of every event of a name, as said returns them; of waits until
// there are at least n.
export function collect(emitter, event) {
  const all = [];
  emitter.on(event, (...args) => all.push(said(emitter, event, args)));
  return { all, of: (n) => until(() => all.length >= n && all, `${n} times the event ${event}`) };
}

// Events that clients emit by themselves: those of today, and of Socket.IO 2.
const own = ["connect", "connect_error", "disconnect"];
const own2 = [...own, "connect_timeout", "connecting", "error", "ping", "pong", "reconnect", "reconnect_attempt", "reconnect_error", "reconnect_failed", "reconnecting"];

// said returns what was said to a client with an event. With connection state recovery, which is on by default, there is one
// argument more, the last: the offset, which the client says when it comes back. So it is with the stock server
// (socket.io-adapter, SessionAwareAdapter.broadcast), and the stock client leaves it there for listeners to ignore
// (socket.io-client, Socket.emitEvent); that it comes with each event, and not with questions, is looked at here.
export function said(emitter, event, args) {
  const socket = emitter.nsp !== undefined && emitter.io !== undefined;
  const old = socket && !("recovered" in emitter);
  if (!socket || (old ? own2 : own).includes(event) || (!old && !emitter._pid) || typeof args.at(-1) === "function") return args;
  assert.match(String(args.at(-1)), /^[a-z0-9]+-[0-9]+$/, `the offset behind ${event} ${JSON.stringify(args)}`);
  return args.slice(0, -1);
}

// browser starts Chromium until the test is over.
export async function browser(t) {
  const launched = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  t.after(() => launched.close());
  return launched;
}
