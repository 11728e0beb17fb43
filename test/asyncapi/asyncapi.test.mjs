// docs/asyncapi.yaml is true: it is a valid document, and everything that a running
// Natter, its services and its clients say over NATS is in it, and nothing else.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { start, until } from "../harness.mjs";
import { Process } from "../process.mjs";
import { converse, doorkeeper, password } from "./conversation.mjs";
import { document, references, resolve, violations } from "./document.mjs";
import { Recorder } from "./recorder.mjs";
import { Verifier } from "./verify.mjs";

describe("docs/asyncapi.yaml", () => {
  test("is valid by AsyncAPI's schema", () => assert.deepEqual(violations(), []));

  test("refers to what is there, and uses all of it", () => {
    const used = new Set();
    for (const [path, $ref] of references()) {
      assert.doesNotThrow(() => resolve({ $ref }), path);
      used.add($ref);
    }
    for (const section of ["messages", "schemas", "parameters"]) {
      for (const name of Object.keys(document.components[section])) {
        const path = `#/components/${section}/${name}`;
        assert.ok(used.has(path), `${path} is not used`);
      }
    }
    for (const [name, { address }] of Object.entries(document.channels)) assert.ok(used.has(`#/channels/${name}`), `${name} (${address}) has no operation`);
  });

  test("is of the contract's version and knows all its kinds and headers", () => {
    const source = (path) => readFileSync(fileURLToPath(new URL(`../../pkg/contract/${path}`, import.meta.url)), "utf8");
    assert.equal(document.info.version, source("doc.go").match(/^const Version = "(.+)"$/m)[1]);
    const kinds = [...source("subject.go").matchAll(/^\t\w+ +Kind = "(\w+)"/gm)].map(([, kind]) => kind);
    assert.ok(kinds.length > 5);
    const open = kinds.filter((kind) => kind !== "gateway"); // what gateways say among themselves is private
    for (const kind of open) assert.ok(Object.values(document.channels).some(({ address }) => address?.startsWith(`natter.${kind}.`)), kind);
    const headers = [...source("header.go").matchAll(/^\tHeader\w+ += "(Natter-[\w-]+)"/gm)].map(([, name]) => name);
    assert.ok(headers.length > 5);
    const text = JSON.stringify(document);
    for (const name of headers) assert.ok(text.includes(`"${name}"`), name);
  });

  test("leaves no header open", () => {
    for (const [name, { headers }] of Object.entries(document.components.messages)) {
      const schema = headers.$ref ? resolve(headers) : headers;
      for (const part of schema.allOf?.filter(({ $ref }) => $ref).map(resolve) ?? [schema]) assert.equal(part.additionalProperties, false, name);
    }
  });

  test("says what a running Natter says", async (t) => {
    const natter = await start(t, "--admin-password", password, "--allow-request", doorkeeper);
    const recorder = await Recorder.start(t, natter.natsUrl);
    const dice = new Process(fileURLToPath(new URL("../../bin/dice", import.meta.url)), [], { cwd: natter.place.dir, env: { NATS_URL: natter.natsUrl } });
    await dice.start();
    t.after(() => dice.stop());
    await converse(natter, recorder);
    // What is answered to the last ones may still be on its way.
    const { faults } = await until(() => {
      const verifier = new Verifier().verify(recorder);
      const unseen = verifier.unseen();
      if (unseen.length > 0 && verifier.faults.length === 0) throw new Error(`nobody said: ${unseen.join(", ")}`);
      return verifier;
    }, "everything that the document has");
    await dice.stop();
    assert.equal(faults.length, 0, `${faults.length} of ${recorder.said.length} messages are not as the document says:\n${faults.slice(0, 10).join("\n")}`);
    t.diagnostic(`${recorder.said.length} messages are as the document says`);
  });

  test("and finds what it does not say", () => {
    const none = { answers: () => [] };
    const heard = (subject, payload, headers = {}) => new Verifier().verify({ ...none, said: [{ subject, headers, data: Buffer.from(payload) }] }).faults;
    assert.deepEqual(heard("natter.emit._.all", '["hi"]'), []);
    for (const [subject, payload, headers] of [
      ["natter.emit._.all", '["hi"]', { "Natter-New": "1" }],
      ["natter.emit._.all", "hello"],
      ["natter.emit._.all", '["connect"]'],
      ["natter.emit._.room.a.b", '["hi"]'],
      ["natter.emit._.room.a=2eb", '["hi"]'],
      ["natter.new._.all", '["hi"]'],
      ["natter.do._.all", '["jump"]'],
      ["natter.live._.all", '["hi"]'],
      ["natter.on._.hi.gw1.short", '["hi"]', { "Natter-Socket": "gw1.AAAAAAAAAAAAAAAAAAAA" }],
      ["natter.history.page", '{"namespace":"/","room":null,"limit":0}'],
    ]) {
      assert.equal(heard(subject, payload, headers).length, 1, `${subject} ${payload} ${JSON.stringify(headers)}`);
    }
  });
});
