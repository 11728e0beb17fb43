// deploy/nats/cluster.conf: three nats-servers, of which any one may be missing.

import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { Process } from "../process.mjs";
import { ask, bin, deployment, dial, folder, root, stopNats } from "./deployment.mjs";

const users = ["NATTER_GATEWAY", "NATTER_AUTH", "NATTER_HISTORY", "DICE", "MONITOR", "OPERATOR"];
const patience = 60_000;
const secret = "pa55word";
const passwords = Object.fromEntries([...users.map((user) => `${user}_NATS_PASSWORD`), "NATS_ROUTE_PASSWORD"].map((name) => [name, secret]));

// cluster starts the three as the file says, at addresses of their own: ports are in the file.
async function cluster(t) {
  const dir = await folder(t);
  const net = `127.${randomInt(16, 255)}.${randomInt(256)}`;
  const hosts = [1, 2, 3].map((n) => `${net}.${n}`);
  const routes = `[${hosts.map((host) => `nats://route:${secret}@${host}:6222`).join(", ")}]`;
  const servers = hosts.map((host, i) => {
    const name = "abc"[i];
    const env = { ...passwords, NATS_NAME: name, NATS_HOST: host, NATS_STORE: join(dir, name), NATS_ROUTES: routes };
    const ready = () =>
      new Promise((resolve) => {
        const socket = createConnection({ host, port: 4222 }, () => resolve(socket.destroy() && true));
        socket.on("error", () => resolve(false));
      });
    return new Process(bin("nats-server"), ["-c", `${root}deploy/nats/cluster.conf`], { name: `nats-server ${name}`, cwd: join(dir, name), env, ready });
  });
  for (const server of servers) await mkdir(server.cwd);
  t.after(() => Promise.all(servers.map((server) => stopNats(server))));
  for (const server of servers) server.launch();
  await Promise.all(servers.map((server) => server.ready()));
  return { servers, urls: hosts.map((host) => `nats://${host}:4222`) };
}

describe("three nats-servers of the sample", () => {
  const t = suite();

  test("keep three copies, and go on with two", async () => {
    const { servers, urls } = await cluster(t);
    const flags = (name) => ["--config", `${root}deploy/${name}.yaml`, "--nats-url", urls.join(), "--replicas", "3"];
    const d = await deployment(t, {
      env: { gateway: passwords, auth: passwords, history: passwords },
      flags: { gateway: flags("gateway"), auth: flags("auth"), history: flags("history") },
      database: null,
    });
    for (const service of d.services) service.launch();
    await Promise.all(d.services.map((service) => service.ready()));

    const operator = await dial(t, { servers: urls, user: "operator", pass: secret, reconnect: true });
    const api = async (request) => (await operator.request(`$JS.API.STREAM.${request}`, "", { timeout: 10_000 })).json();
    const { streams } = await api("LIST");
    assert.ok(streams.length >= 8, `${streams.length} streams`);
    for (const { config } of streams) assert.equal(config.num_replicas, 3, config.name);

    const ann = await d.connected("/", { auth: { name: "Ann" } });
    assert.equal((await ask(ann, "join", "red")).ok, true);
    assert.equal((await ask(ann, "room message", "red", "before", "id-before")).ok, true);
    const { cluster: now } = await api("INFO.NATTER");
    await servers["abc".indexOf(now.leader)].kill();
    // Nothing is acknowledged until there is a leader again; the sender tries again, under one id.
    const again = (...event) => ann.timeout(8_000).emitWithAck(...event).catch(() => ({}));
    await until(async () => (await again("room message", "red", "after", "id-after")).ok, "a message to be stored by the other two", patience);
    const page = await until(async () => {
      const { messages } = await again("history", { room: "red" });
      return messages?.length === 2 && messages;
    }, "both messages to be in history", patience);
    assert.deepEqual(page.map(({ event }) => event[2]), ["before", "after"]);
  });
});
