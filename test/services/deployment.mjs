// A Natter of separate processes: a stock nats-server, gateways, auth and history, as
// a team would run them. Every one can be started, stopped and killed by itself.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as dialNats } from "@nats-io/transport-node";
import { client, connected, program, timeout, until } from "../harness.mjs";
import { freePorts } from "../ports.mjs";
import { Process, answers } from "../process.mjs";

export const root = new URL("../..", import.meta.url).pathname;
// bin is the path of a program that test/node.sh or make has built.
export const bin = (name) => (name === "natter" ? program : join(root, name.startsWith("nats") ? ".tools" : "bin", name));

// A short lease, so that a gateway that was killed is soon known to be gone; long
// enough for a machine that is busy.
export const lease = 3_000;
// Where nobody is killed and nobody may be disconnected: the last value of a flag counts.
export const calm = ["--lease", "30s"];

// folder makes an empty folder until the test is over.
export async function folder(t) {
  const dir = await mkdtemp(join(tmpdir(), "natter-services-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

// listens says whether a port accepts connections.
const listens = (port) => () =>
  new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });

// deployment makes the processes without starting any; they end with the test,
// cleanly. flags and env add arguments and variables to a service: {gateway: ["--lease",
// "3s"]}; natsArgs(port, dir) replaces those of nats-server. With database: null the
// history service has the one of its settings.
export async function deployment(t, { gateways = 1, flags = {}, env = {}, natsArgs, database } = {}) {
  const dir = await mkdtemp(join(tmpdir(), "natter-services-"));
  const [natsPort, authHealth, historyHealth, ...ports] = await freePorts(3 + 2 * gateways);
  const natsUrl = `nats://127.0.0.1:${natsPort}`;
  const history = database === null ? [] : ["--database", join(dir, "history.db")];
  const service = (program, health, args, name = program) => {
    const all = ["--nats-url", natsUrl, "--health-listen", `127.0.0.1:${health}`, ...args, ...(flags[program] ?? [])];
    const process = new Process(bin(program), all, { name, cwd: dir, env: env[program], ready: answers(`http://127.0.0.1:${health}/readyz`) });
    process.health = `http://127.0.0.1:${health}`;
    return process;
  };
  const d = {
    dir,
    natsUrl,
    nats: new Process(bin("nats-server"), natsArgs?.(natsPort, dir) ?? ["-js", "-a", "127.0.0.1", "-p", natsPort, "-sd", join(dir, "nats")].map(String), {
      cwd: dir,
      env: env.nats,
      ready: listens(natsPort),
    }),
    auth: service("auth", authHealth, []),
    history: service("history", historyHealth, history),
    gateways: Array.from({ length: gateways }, (_, i) => {
      const [port, health] = ports.slice(2 * i);
      const gateway = service("gateway", health, ["--listen", `127.0.0.1:${port}`, "--gateway-id", `g${i + 1}`, "--lease", `${lease}ms`], `gateway g${i + 1}`);
      gateway.url = `http://127.0.0.1:${port}`;
      return gateway;
    }),
  };
  d.gateway = d.gateways[0];
  d.services = [...d.gateways, d.auth, d.history];
  const open = [];
  // A client of one of the gateways; it closes with the test.
  d.client = (namespace, { gateway = d.gateway, ...options } = {}) => {
    const socket = client(gateway.url, namespace, options);
    open.push(socket);
    return socket;
  };
  d.connected = async (namespace, options) => {
    const socket = d.client(namespace, options);
    await connected(socket);
    return socket;
  };
  t.after(async () => {
    for (const socket of open) socket.disconnect();
    // Each is stopped while what it needs is there, and all are, whatever fails.
    const ends = await Promise.allSettled(d.services.map((service) => service.stop()));
    ends.push(...(await Promise.allSettled([stopNats(d.nats)])));
    // Only now: hooks of a test run in the order in which they were made.
    await rm(dir, { recursive: true, force: true });
    const failed = ends.filter((end) => end.status === "rejected").map((end) => end.reason);
    if (failed.length > 0) throw new AggregateError(failed, failed.map(String).join("\n"));
  });
  return d;
}

// running makes a deployment and waits until all of it is ready.
export async function running(t, options) {
  const d = await deployment(t, options);
  d.nats.launch();
  await d.nats.ready();
  for (const service of d.services) service.launch();
  await Promise.all(d.services.map((service) => service.ready()));
  return d;
}

// stopNats stops a nats-server with SIGINT, at which it ends with status 0.
export const stopNats = (nats) => nats.stop("SIGINT");

// dial makes a NATS connection that is closed with the test.
export async function dial(t, options) {
  const connection = await dialNats({ timeout, reconnect: false, ...options });
  t.after(() => connection.close());
  return connection;
}

// ask emits with ack and a deadline.
export const ask = (socket, ...event) => socket.timeout(timeout).emitWithAck(...event);

// password is the first admin's, as the auth service printed it.
export async function password(auth) {
  // It says that it is ready over another way than what it prints.
  return (await until(() => auth.stdout.match(/with the password (\S+)/), "the auth service to print a password"))[1];
}

// signIn posts to /auth/login and returns status and answer.
export async function signIn(gateway, name, password) {
  const response = await fetch(`${gateway.url}/auth/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name, password }),
  });
  return { status: response.status, ...(await response.json()) };
}

// admin is a stock client in /admin.
export async function admin(d, options) {
  const { token, ok } = await signIn(d.gateway, "admin", await password(d.auth));
  assert.ok(ok);
  return d.connected("/admin", { auth: { token }, ...options });
}

// texts are what a page of a room's history says.
export const texts = (page) => page.messages.map((message) => message.event[2]);
