// An account that is full, as it is after a while when nothing bounds the streams but the account's
// limit: whatever was acknowledged reaches history in the end, and the rest is not acknowledged.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { timeout, until } from "../harness.mjs";
import { ask, dial, running, stopNats } from "./deployment.mjs";

const patience = 90_000;

test("a full account loses no post that was acknowledged", async (t) => {
  const config = (dir, port, limit) => {
    const path = join(dir, "nats.conf");
    writeFileSync(path, `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${join(dir, "nats")}", max_memory_store: 64MB, max_file_store: ${limit} }\n`);
    return path;
  };
  let room; // gives JetStream more of it
  const d = await running(t, {
    natsArgs: (port, dir) => {
      room = () => config(dir, port, "256MB");
      return ["-c", config(dir, port, "6MB")];
    },
    // The stream of all that is said keeps messages for 18 s.
    flags: { gateway: ["--recovery-window", "1s", "--ping-interval", "1s", "--ping-timeout", "1s"] },
  });
  const ann = await d.connected("/", { auth: { name: "Ann" } });
  assert.equal((await ask(ann, "join", "red")).ok, true);
  assert.equal((await ask(ann, "room message", "red", "the first")).ok, true);
  await d.history.stop(); // posts wait for it in their stream

  const connection = await dial(t, { servers: d.natsUrl });
  const info = async (stream) => (await connection.request(`$JS.API.STREAM.INFO.${stream}`, "", { timeout })).json();
  const age = 18_000;
  const before = (await info("NATTER")).config.max_age;
  assert.equal(before, age * 1e6);
  const held = async () => /^natter_gateway_posts_held 1$/m.test(await (await fetch(`${d.gateway.health}/metrics`)).text());
  const padding = "x".repeat(60_000);
  const acked = [];
  const post = async (id) => {
    const ack = (await connection.request("natter.post._.room.red", JSON.stringify(["room message", "red", id, padding]))).json();
    if (!ack.error) acked.push(id);
    return !ack.error;
  };
  let n = 0;
  let refused = 0;
  await until(async () => {
    if (!(await post(`no. ${++n}`))) refused ||= Date.now();
    return refused && Date.now() > refused + age && (await held());
  }, "posts to be refused for longer than they are kept, and those of clients to be held", patience);
  assert.ok(acked.length > 20 && acked.length < n, `${acked.length} of ${n} were acknowledged`);
  await assert.rejects(ann.timeout(1_000).emitWithAck("room message", "red", "held"), /timed out/);
  assert.equal((await ask(ann, "who", "red")).ok, true, "what is not stored goes on");
  await until(() => /what clients post is held.*give JetStream room/.test(d.gateway.output), "the log to say so");
  await connection.close();

  await stopNats(d.nats);
  room();
  d.nats.launch();
  await d.nats.ready();
  d.history.launch();
  await d.history.ready();
  const again = await dial(t, { servers: d.natsUrl });
  await until(() => ann.timeout(3_000).emitWithAck("room message", "red", "the last", "id").catch(() => false), "a post to be acknowledged again", patience);
  const page = async (before) => {
    const request = { namespace: "/", room: "red", limit: 10, ...(before && { before }) };
    const page = (await again.request("natter.history.page", JSON.stringify(request), { timeout })).json();
    assert.ok(page.ok, JSON.stringify(page).slice(0, 200));
    return page;
  };
  await until(async () => (await page()).messages.at(-1).event[2] === "the last", "history to have the last post", patience);
  const kept = new Set();
  for (let before, more = true; more; ) {
    const part = await page(before);
    for (const { event } of part.messages) kept.add(event[2]);
    [before, more] = [part.messages[0].stamp.id, part.more];
  }
  assert.deepEqual(acked.filter((id) => !kept.has(id)), [], "all that was acknowledged is in history");
  for (const id of ["the first", "the last"]) assert.ok(kept.has(id), id);
  const state = async () => (await again.request("$JS.API.STREAM.INFO.NATTER", "", { timeout })).json();
  await until(async () => (await state()).config.max_age === before, "the stream to forget again", patience);
});
