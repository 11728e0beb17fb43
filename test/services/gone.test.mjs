// A gateway that is killed holds its lease for a while. Who asks all gateways does not wait for it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { headers } from "@nats-io/transport-node";
import { connected, suite, until } from "../harness.mjs";
import { Process } from "../process.mjs";
import { ask, bin, dial, running } from "./deployment.mjs";

// How long the back end waits for gateways (AckTimeout), in milliseconds.
const patience = 5_000;

describe("a gateway that is killed", () => {
  const t = suite();

  test("is not waited for while its lease lasts", async () => {
    // The last value of a flag counts: the lease outlasts the test.
    const d = await running(t, { gateways: 2, flags: { gateway: ["--lease", "5m"] } });
    const [g1, g2] = d.gateways;
    const backend = new Process(bin("serverapi"), ["--nats-url", d.natsUrl], { name: "back end", cwd: d.dir });
    backend.isReady = () => backend.stdout.includes("ready");
    t.after(() => backend.stop());
    await backend.start();
    const enter = (namespace, gateway) =>
      until(async () => {
        const socket = d.client(namespace, { gateway, reconnection: false });
        try {
          await connected(socket);
          return socket;
        } catch (error) {
          socket.disconnect();
          if (error.message !== "Invalid namespace") throw error;
        }
      }, `to be in ${namespace}`);
    const control = await enter("/control", g1);
    const here = await enter("/static", g1);
    const there = await enter("/static", g2);
    const member = await enter("/", g1);
    assert.equal((await ask(member, "join", "red")).ok, true);
    const target = { namespace: "/static" };
    const fetch = async () => (await ask(control, "fetch", target)).map(({ id }) => id).sort();
    assert.deepEqual(await fetch(), [here.id, there.id].sort());

    await g2.kill();
    here.on("question", (answer) => answer("here"));
    // An order whose handler had an error would not be acked at all.
    const times = [];
    for (const [what, wanted] of [
      [fetch, [here.id]],
      [() => ask(control, "count", target), 1],
      [() => new Promise((resolve) => control.emit("ask", target, "question", (...all) => resolve(all))), ["all", { [here.id]: ["here"] }]],
    ]) {
      const start = Date.now();
      assert.deepEqual(await what(), wanted);
      times.push(Date.now() - start);
    }
    assert.ok(times[0] < patience * 0.8, `the first answer took ${times[0]} ms`);
    assert.ok(Math.max(...times.slice(1)) < 1_500, `when it was known they took ${times.slice(1)} ms`);

    const start = Date.now();
    const { members } = await ask(member, "who", "red");
    assert.deepEqual(members.map(({ id }) => id), [member.id]);
    assert.ok(Date.now() - start < patience * 0.8, "a client's question who is here waits as little");

    // All the while it counts as alive.
    const nats = await dial(t, { servers: d.natsUrl });
    const h = headers();
    h.set("Natter-Count", "1");
    const answer = await nats.request("natter.list.static.all", "", { headers: h, timeout: patience });
    assert.deepEqual([answer.headers.get("Natter-Gateways"), answer.headers.get("Natter-Peers")], ["2", "g2"]);
  });
});
