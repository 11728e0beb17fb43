// WebTransport: the stock client in Chromium, over QUIC, with a certificate that nobody but the page knows.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { browser, collect, start, suite, until } from "../harness.mjs";

// certify makes a certificate such as docs/operations.md says, and returns its files and its hash.
function certify(dir) {
  const goroot = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
  const generate = ["run", `${goroot}/src/crypto/tls/generate_cert.go`, "--host", "127.0.0.1,localhost", "--ecdsa-curve", "P256", "--duration", "240h"];
  execFileSync("go", generate, { cwd: dir, stdio: "pipe" });
  const files = { cert: join(dir, "cert.pem"), key: join(dir, "key.pem") };
  const der = new X509Certificate(readFileSync(files.cert)).raw;
  return { ...files, hash: [...createHash("sha256").update(der).digest()] };
}

describe("WebTransport in Chromium", () => {
  let natter;
  let chromium;
  let certificate;
  const dir = mkdtempSync(join(tmpdir(), "natter-test-"));
  after(() => rmSync(dir, { recursive: true, force: true }));
  const t = suite();
  const pages = [];
  before(async () => {
    certificate = certify(dir);
    natter = await start(
      t,
      ...["--transports", "polling,websocket,webtransport", "--webtransport-cert", certificate.cert, "--webtransport-key", certificate.key],
      ...["--ping-interval", "1s", "--ping-timeout", "5s"],
    );
    chromium = await browser(t);
  });
  afterEach(async () => {
    for (const page of pages.splice(0)) await page.close();
  });

  // visit opens a page with the stock client and, as window.socket, a socket that connects as told. What it hears
  // and how it fares is in window.heard and window.life.
  async function visit(options, namespace = "/", url = natter.url) {
    const page = await chromium.newPage({ bypassCSP: true });
    pages.push(page);
    await page.goto(url);
    await page.addScriptTag({ url: "/socket.io/socket.io.js" });
    await page.evaluate(
      ({ options, namespace, hash }) => {
        const serverCertificateHashes = hash && [{ algorithm: "sha-256", value: new Uint8Array(hash) }];
        const transportOptions = { webtransport: { serverCertificateHashes } };
        const socket = io(namespace, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, transportOptions, ...options });
        Object.assign(window, { socket, heard: [], life: [], transport: () => socket.io.engine.transport.name });
        socket.on("connect", () => life.push("connect"));
        socket.on("disconnect", (reason) => life.push(reason));
        socket.on("connect_error", (error) => life.push(`error: ${error.message}`));
        socket.onAny((...event) => heard.push(event));
      },
      { options, namespace, hash: certificate.hash },
    );
    return page;
  }

  // over waits until the page is connected by a transport.
  async function over(page, transport) {
    await until(
      () => page.evaluate((name) => socket.connected && transport() === name && !socket.io.engine.upgrading, transport),
      `the page to be connected by ${transport}`,
    );
  }

  const only = { transports: ["webtransport"] };

  test("events, acks and binary data go both ways", async () => {
    const back = await natter.nats();
    await back.namespace("/quic", {});
    await back.on("/quic", "turn", (args, { attachments }) => ({ args: [args.length, { _placeholder: true, num: 0 }], attachments: [attachments[0].toReversed()] }));
    await back.on("/quic", "empty", (args, { attachments }) => ({ args: [{ _placeholder: true, num: 0 }, attachments.length], attachments }));
    const page = await visit(only, "/quic");
    await over(page, "webtransport");

    const sizes = [1, 125, 126, 65_535, 65_536, 300_000];
    const turned = await page.evaluate(async (sizes) => {
      const all = [];
      for (const n of sizes) {
        const data = Uint8Array.from({ length: n }, (_, i) => i % 251);
        const [count, answer] = await new Promise((resolve) => socket.emit("turn", "café 🎉", data, (...args) => resolve(args)));
        const bytes = new Uint8Array(answer);
        all.push([count, bytes.length, bytes[0] === data.at(-1) && bytes.at(-1) === data[0]]);
      }
      return all;
    }, sizes);
    assert.deepEqual(turned, sizes.map((n) => [2, n, true]));

    const empty = await page.evaluate(() => new Promise((resolve) => socket.emit("empty", new ArrayBuffer(0), (data, n) => resolve([data.byteLength, n]))));
    assert.deepEqual(empty, [0, 1], "no data at all is data, too");

    const text = "x".repeat(100_000);
    await back.emit("/quic", "all", ["say", text, { _placeholder: true, num: 0 }], { attachments: [Buffer.from([1, 2, 3])] });
    await until(() => page.evaluate(() => heard.length > 0), "the event");
    const heard = await page.evaluate(() => heard.map(([event, text, data]) => [event, text.length, [...new Uint8Array(data)]]));
    assert.deepEqual(heard, [["say", text.length, [1, 2, 3]]]);

    const id = await page.evaluate(() => socket.id);
    assert.deepEqual(await ask(page, back, id), ["you asked?"]);
  });

  // ask has a back end ask the page.
  async function ask(page, back, id) {
    await page.evaluate(() => socket.on("question", (ack) => ack("you asked?")));
    return back.ask("/quic", id, ["question"]);
  }

  test("it is what a client upgrades to that may choose, and nothing is lost meanwhile", async () => {
    const page = await visit({});
    const other = await natter.connected();
    const heard = collect(other, "chat message");
    await page.evaluate(async () => {
      for (let i = 0; i < 100; i++) {
        socket.emit("chat message", i);
        if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
    await over(page, "webtransport");
    await heard.of(100);
    assert.deepEqual(heard.all.map(([i]) => i), Array.from({ length: 100 }, (_, i) => i));
    await until(() => page.evaluate(() => heard.length >= 100), "the page to hear itself");
    assert.deepEqual(await page.evaluate(() => heard.map(([, i]) => i)), heard.all.map(([i]) => i));
    other.disconnect();
  });

  test("whoever cannot use it stays with what there is", async () => {
    const page = await visit({ transportOptions: {} }); // nothing says that the certificate is good
    await over(page, "websocket");
    const outside = await natter.connected(); // in Node there is no WebTransport
    await until(() => outside.io.engine.transport.name === "websocket", "the client in Node to be upgraded");
    outside.disconnect();
  });

  test("a refusal is seen at once, and tried again", async () => {
    const options = ["--transports", "webtransport", "--webtransport-cert", certificate.cert, "--webtransport-key", certificate.key];
    const small = await start(t, ...options, "--max-connections", "1");
    const [first, second] = [await visit(only, "/", small.url), await visit(only, "/", small.url)];
    await over(first, "webtransport");
    await until(() => second.evaluate(() => life.length > 1), "two refusals");
    assert.deepEqual(await second.evaluate(() => [...new Set(life)]), ["error: webtransport error"]);
    await first.evaluate(() => socket.disconnect());
    await over(second, "webtransport");
  });

  test("the heartbeat keeps it, and its end is told to both sides", async () => {
    const back = await natter.nats();
    const ends = [];
    await back.on("/quic", "disconnect", ([reason], { socket }) => void ends.push([socket, reason]));
    const ended = (id, ...reasons) => until(() => ends.some(([socket, why]) => socket === id && reasons.includes(why)), `${id} to end with ${reasons}`, 30_000);
    const enter = async () => {
      const page = await visit(only, "/quic");
      await over(page, "webtransport");
      return [page, await page.evaluate(() => socket.id)];
    };

    const [leaving, a] = await enter();
    let pings = 0;
    await leaving.exposeFunction("pinged", () => pings++);
    await leaving.evaluate(() => socket.io.on("ping", () => pinged()));
    await until(() => pings >= 3, "three pings");
    await leaving.evaluate(() => socket.disconnect());
    await ended(a, "client namespace disconnect");

    const [closing, b] = await enter();
    await closing.evaluate(() => socket.io.engine.close());
    await ended(b, "transport close");

    const [page, c] = await enter();
    await pages.splice(pages.indexOf(page), 1)[0].close();
    await ended(c, "transport close", "ping timeout"); // a tab that is closed does not always have time to say so

    const [expelled, d] = await enter();
    await back.do("/quic", `socket.${d}`, ["disconnect", true]);
    await until(() => expelled.evaluate(() => life.includes("io server disconnect")), "the client to hear that it is put out");
    await ended(d, "server namespace disconnect");
  });

  test("a client comes back after the server has stopped, and after it has died", async () => {
    const page = await visit(only);
    await over(page, "webtransport");
    for (const [end, ...reasons] of [["stop", "transport close"], ["kill", "ping timeout", "transport error"]]) {
      await page.evaluate(() => life.splice(0));
      await natter[end]();
      await until(() => page.evaluate((reasons) => reasons.includes(life[0]), reasons), `the client to see ${reasons}`, 30_000);
      await natter.start();
      await over(page, "webtransport");
      const ack = await page.evaluate(() => socket.timeout(10_000).emitWithAck("chat message", "back again"));
      assert.equal(ack.ok, true);
    }
  });
});
