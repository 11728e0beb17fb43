// A gateway that is killed holds its lease for a while. Who asks all gateways does not wait for it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { headers } from "@nats-io/transport-node";
import { connected, suite, until } from "../harness.mjs";
import { Process } from "../process.mjs";
import { ask, bin, dial, running } from "./deployment.mjs";

// How long the back end waits for gateways, and a gateway for its peers, in milliseconds; and what it takes at least to find
// out that one is gone.
const [patience, theirs, gone] = [18_000, 5_000, 1_500];

// quick has something done in less than so many milliseconds, three times at most: a busy machine may be late once.
async function quick(ms, what, wanted) {
  const times = [];
  do {
    const start = Date.now();
    assert.deepEqual(await what(), wanted);
    times.push(Date.now() - start);
  } while (times.at(-1) >= ms && times.length < 3);
  assert.ok(times.at(-1) < ms, `it took ${times} ms, not under ${ms}`);
}

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
    const target = { namespace: "/static", timeout: patience };
    const fetch = async () => (await ask(control, "fetch", target)).map(({ id }) => id).sort();
    assert.deepEqual(await fetch(), [here.id, there.id].sort());

    await g2.kill();
    here.on("question", (answer) => answer("here"));
    // An order whose handler had an error would not be acked at all.
    await quick(patience * 0.8, fetch, [here.id]);
    // When it is known.
    await quick(gone, () => ask(control, "count", target), 1);
    await quick(gone, () => new Promise((resolve) => control.emit("ask", target, "question", (...all) => resolve(all))), ["all", { [here.id]: ["here"] }]);

    const who = async () => (await ask(member, "who", "red")).members.map(({ id }) => id);
    await quick(theirs * 0.8, who, [member.id]);

    // All the while it counts as alive.
    const nats = await dial(t, { servers: d.natsUrl });
    const h = headers();
    h.set("Natter-Count", "1");
    const answer = await nats.request("natter.list.static.all", "", { headers: h, timeout: patience });
    assert.deepEqual([answer.headers.get("Natter-Gateways"), answer.headers.get("Natter-Peers")], ["2", "g2"]);
  });
});
