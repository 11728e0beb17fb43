// Exactly once: stock clients with retries say numbered messages while processes are killed. Each message is in the
// database and heard by everybody once, in order, and acknowledged with the id under which it is there.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { collect, connected, timeout, until } from "../harness.mjs";
import { freePorts } from "../ports.mjs";
import { Process } from "../process.mjs";
import { proxy } from "./proxy.mjs";
import { ask, bin, dial, running, stopNats } from "./deployment.mjs";
import { join } from "node:path";

const patience = 30_000;
// What the history service had been given when it, or the leader of its stream, was killed comes again after 30 s.
const databasePatience = 80_000;
const count = 60;
const numbers = Array.from({ length: count }, (_, i) => i);
// The stock client sends one message after the other, each again with a new ack id until it gets an ack, whatever it says.
const stubborn = { transports: ["websocket"], retries: 100, ackTimeout: 1_000 };

// talk has a client say its messages and calls disturb when some are acked; it returns the acks when all are.
async function talk(socket, disturb) {
  const acks = [];
  let disturbed;
  for (const n of numbers) {
    socket.emit("chat message", n, `message-${n}`, (error, ack) => {
      assert.equal(error, null, `message ${n}: ${error}`);
      assert.equal(ack.ok, true, `message ${n}: ${JSON.stringify(ack)}`);
      acks.push(ack.id);
      if (acks.length === count / 4) disturbed = disturb();
    });
  }
  await until(() => acks.length === count, "all messages to be acked", patience);
  await disturbed;
  return acks;
}

// everywhere checks what was heard and what is in the database.
async function everywhere(heard, acks, asker) {
  for (const h of heard) {
    await until(() => h.all.length >= count, "all messages to be heard", patience);
    assert.deepEqual(h.all.map(([n]) => n), numbers, "each once, in order");
    assert.deepEqual(h.all.map(([, stamp]) => stamp.id), acks, "under the ids that were acked");
  }
  const page = await until(async () => {
    const page = await ask(asker, "history", { limit: 100 });
    return page.ok && page.messages.length >= count && page;
  }, "all messages to be in the database", databasePatience);
  assert.deepEqual(page.messages.map(({ event }) => event), numbers.map((n) => ["chat message", n]), "each once, in order");
  assert.deepEqual(page.messages.map(({ stamp }) => stamp.id), acks);
}

// company is a talker and a listener, each at any gateway, and what both hear.
async function company(t, d) {
  const p = await proxy(t, d.gateways);
  const [ann, bob] = [p.client(stubborn), p.client({ transports: ["websocket"] })];
  await Promise.all([ann, bob].map(connected));
  const heard = [ann, bob].map((socket) => collect(socket, "chat message"));
  const holder = d.gateways.find((gateway) => ann.id.startsWith(`${gateway.name.split(" ")[1]}.`));
  return { p, ann, bob, heard, holder };
}

describe("each message once, though a process is killed", { concurrency: 2 }, () => {
  test("the leader of a stream with three copies", async (t) => {
    const [c1, c2, c3, p2, p3] = await freePorts(5);
    const flags = { gateway: [], auth: [], history: [] };
    const routes = [c1, c2, c3].map((port) => `nats://127.0.0.1:${port}`).join();
    const args = (n, port, cluster, dir) =>
      ["-js", "-a", "127.0.0.1", "-p", port, "-sd", join(dir, `nats-${n}`), "-n", `n${n}`, "--cluster_name", "c", "--cluster", `nats://127.0.0.1:${cluster}`, "--routes", routes].map(String);
    const nodes = [];
    let urls;
    const d = await running(t, {
      gateways: 2,
      flags,
      natsArgs: (port, dir) => {
        urls = [port, p2, p3].map((port) => `nats://127.0.0.1:${port}`);
        for (const f of Object.values(flags)) f.push("--nats-url", urls.join(), "--replicas", "3");
        for (const [n, port, cluster] of [[2, p2, c2], [3, p3, c3]]) {
          const node = new Process(bin("nats-server"), args(n, port, cluster, dir), { name: `nats-server n${n}`, cwd: dir });
          nodes.push(node);
          node.launch();
          t.after(() => stopNats(node));
        }
        return args(1, port, c1, dir);
      },
    });
    nodes.unshift(d.nats);
    const operator = await dial(t, { servers: urls, reconnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    const c = await company(t, d);
    const acks = await talk(c.ann, async () => {
      const { cluster } = (await operator.request("$JS.API.STREAM.INFO.NATTER", "", { timeout })).json();
      const leader = nodes[Number(cluster.leader.slice(1)) - 1];
      await leader.kill();
      await until(async () => {
        const { cluster: now } = (await operator.request("$JS.API.STREAM.INFO.NATTER", "", { timeout: 2_000 })).json();
        return now?.leader && now.leader !== cluster.leader;
      }, "another leader", patience);
      leader.launch();
    });
    await until(() => c.ann.connected && c.bob.connected, "both to be connected", patience);
    await everywhere(c.heard, acks, c.bob);
  });

  for (const [what, kill] of [
    ["the sender's gateway", async (d, { p, holder }) => {
      p.down.add(holder);
      await holder.kill();
    }],
    ["NATS", async (d) => {
      await d.nats.kill();
      d.nats.launch();
      await d.nats.ready();
    }],
    ["the history service", async (d) => {
      await d.history.kill();
      d.history.launch();
    }],
    ["all three", async (d, { p, holder }) => {
      p.down.add(holder);
      await Promise.all([holder.kill(), d.history.kill(), d.nats.kill()]);
      d.nats.launch();
      d.history.launch();
      await d.nats.ready();
    }],
  ]) {
    test(what, async (t) => {
      const d = await running(t, { gateways: 2 });
      const c = await company(t, d);
      const acks = await talk(c.ann, () => kill(d, c));
      await until(() => c.ann.connected && c.bob.connected, "both to be connected", patience);
      await everywhere(c.heard, acks, c.bob);
    });
  }

  test("a gateway, of a guest that never heard anything", async (t) => {
    const d = await running(t, { gateways: 2 });
    const services = await dial(t, { servers: d.natsUrl });
    await services.request("$KV.NATTER_NAMESPACES.box", JSON.stringify({
      events: { drop: { action: "post", to: "all", args: 1, id: "args[1]", except: "sender" } },
    }), { timeout });
    const p = await proxy(t, d.gateways);
    const ann = p.client({ ...stubborn, namespace: "/box" });
    await until(() => ann.connected, "the namespace", patience);
    const id = ann.id;
    const holder = d.gateways.find((gateway) => id.startsWith(`${gateway.name.split(" ")[1]}.`));
    // The ack is lost with the gateway: it is killed as soon as the message is stored.
    const stored = services.subscribe("natter.live.box.all", { max: 1, callback: () => {} });
    await services.flush();
    const acks = [];
    ann.emit("drop", "once", "the id", (error, ack) => acks.push(error ?? ack));
    await stored.closed;
    p.down.add(holder);
    await holder.kill();
    await until(() => acks.length > 0, "an ack", patience);
    assert.equal(acks[0].ok, true);
    await until(() => ann.connected, "the client to be back", patience);
    const again = await ask(ann, "drop", "once", "the id");
    assert.equal(again.id, acks[0].id, "it is the same message, whatever socket says it");
    assert.equal(ann.id, id, "it went on as it was");
    const info = (await services.request("$JS.API.STREAM.INFO.NATTER", JSON.stringify({ subjects_filter: "natter.post.box.>" }), { timeout })).json();
    assert.deepEqual(info.state.subjects, { "natter.post.box.all": 1 });
  });
});
