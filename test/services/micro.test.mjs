// The services show up in the nats command, with the version of the contract.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { before, describe, test } from "node:test";
import { promisify } from "node:util";
import { suite, until } from "../harness.mjs";
import { bin, root, running } from "./deployment.mjs";

describe("the nats command", () => {
  let d;
  const t = suite();
  before(async () => void (d = await running(t)));
  const nats = async (...args) => (await promisify(execFile)(bin("nats"), ["-s", d.natsUrl, ...args], { env: { ...process.env, HOME: d.dir } })).stdout;

  test("lists the services", async () => {
    // The command waits a moment for more answers, a busy machine takes longer.
    const services = await until(async () => {
      const services = JSON.parse(await nats("micro", "ls", "--json"));
      return services.length >= 3 && services;
    }, "the services to answer");
    const source = await readFile(`${root}pkg/contract/doc.go`, "utf8");
    const [, version] = source.match(/\bVersion = "(\d+\.\d+\.\d+)"/);
    assert.deepEqual(services.map((service) => service.name).sort(), ["natter-auth", "natter-gateway", "natter-history"]);
    for (const service of services) {
      assert.equal(service.version, version);
      const info = JSON.parse(await nats("micro", "info", service.name, service.id, "--json"));
      const { metadata } = info.info ?? info;
      assert.ok(Object.entries(metadata).some(([name, value]) => name.includes("contract") && value === version), `${service.name}: ${JSON.stringify(metadata)}`);
      assert.equal(metadata.gateway, service.name === "natter-gateway" ? "g1" : undefined);
    }
  });
});
