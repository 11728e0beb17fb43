// Whatever starts first: everything becomes ready by itself, and works.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { next, until } from "../harness.mjs";
import { answers } from "../process.mjs";
import { admin, ask, deployment, password, signIn, texts } from "./deployment.mjs";

// With NATS there, each of the services before and after each other; with NATS late
// and last, those that wait for it.
const orders = [
  "nats gateway auth history",
  "nats history auth gateway",
  "nats history gateway auth",
  "nats auth history gateway",
  "history nats gateway auth",
  "gateway nats auth history",
  "auth history nats gateway",
  "gateway auth history nats",
  "history auth gateway nats",
];

// works goes once through everything that the services do together.
async function works(d) {
  const { ok, roles } = await signIn(d.gateway, "admin", await password(d.auth));
  assert.deepEqual([ok, roles], [true, ["admin"]]);
  const boss = await admin(d);
  assert.deepEqual((await ask(boss, "list users")).users.map((user) => user.name), ["admin"]);

  const ann = await d.connected("/", { auth: { name: "Ann" } });
  const bob = await d.connected("/", { auth: { name: "Bob" }, transports: ["polling"] });
  for (const socket of [ann, bob]) assert.equal((await ask(socket, "join", "lobby")).ok, true);
  const heard = next(bob, "room message");
  const said = await ask(ann, "room message", "lobby", "hello");
  assert.equal(said.ok, true);
  const [, text, stamp] = await heard;
  assert.deepEqual([text, stamp.id, stamp.name], ["hello", said.id, "Ann"]);

  const page = await until(async () => {
    const page = await ask(bob, "history", { room: "lobby" });
    return page.ok && page.messages.length > 0 && page;
  }, "the message in history", 30_000);
  assert.deepEqual(texts(page), ["hello"]);
  assert.equal(page.messages[0].stamp.id, said.id);
}

describe("any order of start", { concurrency: 2 }, () => {
  for (const order of orders) {
    test(order, async (t) => {
      const d = await deployment(t);
      for (const name of order.split(" ")) {
        const process = d[name];
        process.launch();
        // The next one starts when this one runs, ready or not.
        if (process.health) await until(answers(`${process.health}/healthz`), `${name} to run`, 30_000);
        else await process.ready();
      }
      await Promise.all(d.services.map((service) => service.ready()));
      await works(d);
    });
  }
});
