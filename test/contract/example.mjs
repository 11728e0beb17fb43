// Runs an example of the document: its commands with the real nats CLI, its client code with the stock
// client, and watches what Ann, Bob and Cid receive meanwhile.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { connect as dial, createServer } from "node:net";
import { delimiter } from "node:path";
import { formatWithOptions, promisify } from "node:util";
import { headers } from "@nats-io/transport-node";
import { namespaceToken, next, until } from "../harness.mjs";
import { commands } from "./document.mjs";
import { difference, pattern } from "./match.mjs";

const run = promisify(execFile);
const AsyncFunction = (async () => {}).constructor;
const patience = 20_000;

// Commands that go on until they are stopped, and questions about what history stores a moment later.
const waits = /^nats (sub|reply) /;
const follows = /^nats req (--raw )?natter\.history\./;

export class Example {
  #natter;
  #env;
  #backend;
  #heard = { ann: [], bob: [], cid: [] };
  #running = [];
  #printed = [];
  #opened = [];
  #configured = [];
  #marks = 0;
  clients = {};
  vars;

  constructor(natter, backend, { home, tools }) {
    this.#natter = natter;
    this.#backend = backend;
    this.#env = { PATH: tools + delimiter + process.env.PATH, HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home, NATS_URL: natter.natsUrl, LANG: "C.UTF-8" };
  }

  // prepare connects the clients that the document introduces: Ann in the room red, Bob in red and
  // blue, Cid in none. By WebSocket, since a client between two polls misses what is volatile.
  async prepare() {
    for (const [name, rooms] of [["Ann", ["red"]], ["Bob", ["red", "blue"]], ["Cid", []]]) {
      const socket = await this.#natter.connected("/", { auth: { name }, transports: ["websocket"] });
      for (const room of rooms) await this.#backend.do("/", `socket.${socket.id}`, ["join", room]);
      this.clients[name.toLowerCase()] = socket;
    }
    await this.#fence();
    for (const [name, socket] of Object.entries(this.clients)) {
      const heard = this.#heard[name];
      socket.onAny((...event) => event[0] !== "fence" && heard.push(show(withoutOffset(event))));
      socket.on("disconnect", (reason) => heard.push(`disconnect ${JSON.stringify(reason)}`));
    }
    const { ann, bob, cid } = this.clients;
    this.vars = { ANN: ann.id, BOB: bob.id, CID: cid.id, GATEWAY: ann.id.split(".")[0] };
    Object.assign(this.#env, this.vars);
  }

  // run executes the blocks in their order, then compares everything that was seen with what they show.
  async run(blocks) {
    const shown = { ann: [], bob: [], cid: [] };
    for (const block of blocks) {
      if (block.kind === "console") for (const c of commands(block)) await this.#command(c);
      else if (block.kind === "js") await this.#script(block);
      else this.#hears(block, shown);
    }
    for (const r of this.#running) await this.#settled(() => difference(r.output, r.lines(), this.vars), r.command);
    const heard = () =>
      Object.keys(shown)
        .map((name) => difference(shown[name], this.#heard[name], this.vars) && `${name}: ${difference(shown[name], this.#heard[name], this.vars)}`)
        .filter(Boolean)
        .join("\n");
    for (const p of this.#printed) await this.#settled(p.problem, `what the code in line ${p.line} prints`);
    await this.#settled(heard, "what the clients hear");
    await this.#fence();
    assert.equal(heard(), "", "nothing else is heard");
    for (const p of this.#printed) assert.equal(p.problem(), "", "nothing else is printed");
  }

  async #settled(problem, what) {
    await until(() => problem() === "", what, patience).catch(() => assert.fail(`${what}: ${problem()}`));
  }

  // fence waits until all that was stored before has reached the clients that are still connected.
  async #fence() {
    for (const socket of Object.values(this.clients).filter((s) => s.connected)) {
      const heard = next(socket, "fence");
      await this.#backend.emit("/", `socket.${socket.id}`, ["fence"]);
      await heard;
    }
  }

  async #command({ command, output }) {
    if (waits.test(command)) return this.#start(command, output);
    const assignment = /^([A-Z]+)=(.+)$/.exec(command);
    if (assignment) return this.#assign(...assignment.slice(1));
    let problem;
    const deadline = Date.now() + (follows.test(command) ? patience : 0);
    do {
      const { stdout } = await run("bash", ["-c", `( ${command} ) 2>&1 </dev/null`], { env: this.#env, timeout: 20_000 }).catch((error) => error);
      problem = difference(output, stdout.split("\n"), this.vars);
    } while (problem && Date.now() < deadline);
    assert.equal(problem, "", `$ ${command}\n${problem}`);
    const configured = /^nats kv put NATTER_NAMESPACES ([a-z]+) /.exec(command);
    if (configured) {
      this.#configured.push(`/${configured[1]}`);
      await this.#applied();
    }
  }

  // assign sets a variable of the shell, for the commands that follow and in what they print.
  async #assign(name, value) {
    const { stdout } = await run("bash", ["-c", `printf %s ${value}`], { env: this.#env, timeout: 20_000 });
    assert.ok(stdout, `${name} is empty`);
    this.#env[name] = this.vars[name] = stdout;
  }

  // applied waits until the gateway has read the bucket of namespaces up to now: a namespace that was
  // written after all others can be entered.
  async #applied() {
    const name = `/mark-${++this.#marks}`;
    await this.#backend.namespace(name);
    await until(async () => {
      const socket = this.#natter.client(name);
      this.#opened.push(socket);
      try {
        return await new Promise((resolve) => {
          socket.once("connect", () => resolve(true));
          socket.once("connect_error", () => resolve(false));
        });
      } finally {
        socket.disconnect();
      }
    }, "the gateway to read the bucket of namespaces");
    await forget(this.#backend, name);
  }

  // start starts a command that waits, and returns once NATS knows its subscription: the CLI talks
  // through a proxy that sees the SUB and the PONG behind it.
  async #start(command, output) {
    const proxy = createServer();
    const subscribed = new Promise((resolve) =>
      proxy.on("connection", (client) => {
        const server = dial(Number(new URL(this.#natter.natsUrl).port), "127.0.0.1");
        let sub = false;
        client.on("data", (data) => (sub ||= /(^|\n)SUB /.test(data.toString("latin1"))));
        server.on("data", (data) => sub && data.includes("PONG") && resolve());
        client.pipe(server).pipe(client);
        for (const end of [client, server]) end.on("error", () => {}).on("close", () => client.destroy() && server.destroy());
      }),
    );
    await once(proxy.listen(0, "127.0.0.1"), "listening");
    const child = spawn("bash", ["-c", `exec ${command} 2>&1 </dev/null`], {
      env: { ...this.#env, NATS_URL: `nats://127.0.0.1:${proxy.address().port}` },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (data) => (text += data));
    const ended = once(child, "close");
    this.#running.push({ command, output, child, proxy, ended, lines: () => text.split("\n") });
    await Promise.race([subscribed, ended.then(() => assert.fail(`$ ${command}\nended at once:\n${text}`))]);
  }

  async #script(block) {
    const printed = [];
    const console = { log: (...args) => printed.push(...formatWithOptions({ breakLength: Infinity, compact: 100, depth: 9 }, ...args).split("\n")) };
    const io = (url, options = {}) => {
      const socket = this.#natter.client(new URL(url, "http://localhost:3000").pathname, { transports: ["websocket"], ...options });
      this.#opened.push(socket);
      return socket;
    };
    await new AsyncFunction("io", "console", ...Object.keys(this.clients), block.lines.join("\n"))(io, console, ...Object.values(this.clients));
    const shown = block.lines.filter((line) => line.startsWith("// ")).map((line) => line.slice(3));
    this.#printed.push({ line: block.line, problem: () => difference(shown, printed, this.vars) });
  }

  #hears(block, shown) {
    for (const line of block.lines) {
      const [, name, what] = /^(ann|bob|cid) +(.+)$/.exec(line) ?? assert.fail(`line ${block.line}: not "<client> <event>": ${line}`);
      pattern(what, this.vars);
      shown[name].push(what);
    }
  }

  // close ends what the example started and takes back what it configured.
  async close() {
    for (const r of this.#running) {
      r.child.kill("SIGTERM");
      await r.ended;
      r.proxy.close();
    }
    for (const socket of [...Object.values(this.clients), ...this.#opened]) socket.disconnect();
    for (const name of this.#configured) await forget(this.#backend, name);
  }
}

// forget removes a namespace, as "nats kv del" does.
export async function forget(backend, namespace) {
  const h = headers();
  h.set("KV-Operation", "DEL");
  await backend.connection.request(`$KV.NATTER_NAMESPACES.${namespaceToken(namespace)}`, "", { headers: h, timeout: patience });
}

// withoutOffset leaves out what the gateway adds to each event that wants no ack, for clients that come back.
function withoutOffset(event) {
  if (typeof event.at(-1) === "function") return event;
  assert.match(event.at(-1), /^[0-9a-z]+-[0-9]+$/, "an event has an offset");
  return event.slice(0, -1);
}

// show writes an event as a line of the document: JSON, binary data as "bytes:<hex>".
function show(event) {
  const plain = (value) => {
    if (typeof value === "function") return undefined;
    if (Buffer.isBuffer(value)) return `bytes:${value.toString("hex")}`;
    if (Array.isArray(value)) return value.map(plain);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
    return value;
  };
  return JSON.stringify(event.filter((value) => typeof value !== "function").map(plain));
}
