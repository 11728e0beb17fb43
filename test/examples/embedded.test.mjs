// examples/embedded: everything in one program of one's own, beside its own pages.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { client, connected, next } from "../harness.mjs";
import { freePorts } from "../ports.mjs";
import { Process, answers } from "../process.mjs";

const program = new URL("../../bin/embedded", import.meta.url).pathname;

describe("examples/embedded", () => {
  test("it has under 40 lines, besides empty ones", async () => {
    const source = await readFile(new URL("../../examples/embedded/main.go", import.meta.url), "utf8");
    const lines = source.split("\n").filter((line) => line.trim() !== "").length;
    assert.ok(lines < 40, `${lines} lines`);
  });

  test("clients, handlers, pages and NATS live in one program", async (t) => {
    const dir = await mkdtemp(join(tmpdir(), "natter-embedded-"));
    t.after(() => rm(dir, { recursive: true, force: true }));
    await mkdir(join(dir, "public"));
    await writeFile(join(dir, "public", "index.html"), "a page of its own");
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const embedded = new Process(program, [], { cwd: dir, env: { LISTEN: `127.0.0.1:${port}` }, ready: answers(url) });
    t.after(() => embedded.stop());
    await embedded.start();
    assert.equal(await (await fetch(url)).text(), "a page of its own");

    // They may come before the gateway is ready: they try again by themselves.
    const enter = async (name, transport, auth) => {
      const socket = client(url, "/", { auth: { name, ...auth }, transports: [transport] });
      t.after(() => socket.disconnect());
      await connected(socket);
      return socket;
    };
    const [ann, bob] = await Promise.all([enter("Ann", "websocket"), enter("Bob", "polling")]);
    const heard = next(bob, "shouted");
    assert.equal(await ann.timeout(10_000).emitWithAck("shout", "hello"), "heard");
    assert.deepEqual((await heard).slice(0, 2), ["Ann", "hello"]);

    // The namespace is the program's: a token is nobody's business, and no event is taken for the chat's.
    const cid = await enter("Cid", "websocket", { token: "of the program's own" });
    const strange = next(cid, "shouted");
    await ann.timeout(10_000).emitWithAck("shout", "again");
    assert.equal((await strange)[1], "again");
    await assert.rejects(cid.timeout(500).emitWithAck("join", "red"), /timed out/, "nobody handles join");

    const gone = Promise.all([next(ann, "disconnect"), next(bob, "disconnect")]);
    await embedded.stop();
    for (const [reason] of await gone) assert.match(reason, /^transport (close|error)$/);
    const warnings = embedded.output.split("\n").filter((line) => / (WARN|ERROR) /.test(line) && !line.includes("the client bundles are not served"));
    assert.deepEqual(warnings, []);
    assert.match(embedded.output, /connected to NATS .*nats="in this process"/);
  });
});
