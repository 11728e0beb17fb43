// The programs as those who operate them meet them: help, settings from file,
// environment and flags, mistakes in them, logs, signals.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { client, connected, next, start, until } from "../harness.mjs";
import { freePorts } from "../ports.mjs";
import { Process, answers } from "../process.mjs";
import { admin, ask, bin, folder, password, running, signIn } from "./deployment.mjs";

const programs = {
  natter: { variable: "NATTER_", settings: ["--listen", "--data", "--nats-port", "--admin-password", "NATTER_LISTEN", "namespaces"] },
  gateway: { variable: "NATTER_GATEWAY_", settings: ["--listen", "--nats-url", "--log-level", "NATTER_GATEWAY_NATS_URL", "nats.url", "namespaces"] },
  auth: { variable: "NATTER_AUTH_", settings: ["--token-lifetime", "--nats-url", "NATTER_AUTH_ADMIN_PASSWORD", "nats.inboxPrefix"] },
  history: { variable: "NATTER_HISTORY_", settings: ["--database", "--nats-url", "NATTER_HISTORY_DATABASE", "postsAge"] },
};

// run runs a program to its end.
async function run(t, name, args = [], { env, cwd } = {}) {
  const process = new Process(bin(name), args, { env, cwd: cwd ?? (await folder(t)) });
  process.launch();
  const { code } = await process.ended();
  return { code, stdout: process.stdout, stderr: process.stderr, lines: process.stderr.trimEnd().split("\n") };
}

// fails asserts that a program ends with a status and one line that matches.
async function fails(t, name, status, pattern, args, options) {
  const end = await run(t, name, args, options);
  assert.equal(end.code, status, end.stderr);
  assert.equal(end.stdout, "");
  assert.equal(end.lines.length, 1, `one line:\n${end.stderr}`);
  assert.match(end.lines[0], pattern);
}

for (const [name, { variable, settings }] of Object.entries(programs)) {
  describe(`settings of ${name}`, { concurrency: 2 }, () => {
    test("--help lists them and ends with status 0, --version too", async (t) => {
      const help = await run(t, name, ["--help"]);
      assert.deepEqual([help.code, help.stderr], [0, ""]);
      for (const setting of settings) assert.ok(help.stdout.includes(setting), `${setting} is in the help`);
      const version = await run(t, name, ["--version"]);
      assert.equal(version.code, 0);
      assert.match(version.stdout, /^natter\S* \S+\n$/);
    });

    test("a mistake is one clear line and status 2", async (t) => {
      const dir = await folder(t);
      const file = async (text) => {
        const path = join(dir, "settings.yaml");
        await writeFile(path, text);
        return ["--config", path];
      };
      await fails(t, name, 2, /--colour.*--help/, ["--colour", "red"]);
      await fails(t, name, 2, /settings\.yaml:2: unknown setting log\.levle.*log\.level/, await file("log:\n  levle: debug\n"));
      await fails(t, name, 2, /settings\.yaml:1: .*log/, await file("log: loud\n"));
      await fails(t, name, 2, /settings\.yaml:/, await file("log: {level: [\n"));
      await fails(t, name, 2, new RegExp(`${variable}LOG_LEVLE.*${variable}LOG_LEVEL`), [], { env: { [`${variable}LOG_LEVLE`]: "debug" } });
      await fails(t, name, 2, new RegExp(`${variable}LOG_LEVEL.*loud.*debug`), [], { env: { [`${variable}LOG_LEVEL`]: "loud" } });
      await fails(t, name, 2, /--log-level.*loud|log-level.*loud/, ["--log-level", "loud"]);
      await fails(t, name, 2, /no such file/, ["--config", join(dir, "nowhere.yaml")]);
      await fails(t, name, 2, /nowhere\.txt.*no such file/, name === "natter" || name === "auth" ? ["--admin-password", `file:${join(dir, "nowhere.txt")}`] : ["--nats-password", `file:${join(dir, "nowhere.txt")}`]);
    });
  });
}

describe("settings", { concurrency: 2 }, () => {
  test("a wrong type says what is wanted, wherever it stands", async (t) => {
    const dir = await folder(t);
    const path = join(dir, "settings.yaml");
    await writeFile(path, "pingInterval: soon\n");
    await fails(t, "gateway", 2, /settings\.yaml:1: pingInterval.*soon.*25s|settings\.yaml:1: pingInterval.*soon.*duration/, ["--config", path]);
    await fails(t, "gateway", 2, /NATTER_GATEWAY_PING_INTERVAL.*soon/, [], { env: { NATTER_GATEWAY_PING_INTERVAL: "soon" } });
    await fails(t, "gateway", 2, /--ping-interval.*soon/, ["--ping-interval", "soon"]);
    await fails(t, "history", 2, /batch.*many/, ["--batch", "many"]);
    await fails(t, "gateway", 2, /replicas: 7 is not from 1 to 5/, ["--replicas", "7"]);
    await fails(t, "gateway", 2, /url/, ["--nats-url", "nats://:4222"]);
    await fails(t, "natter", 2, /natsPort: 0 is not from 1 to 65535/, ["--nats-port", "0"]);
    await fails(t, "natter", 2, /natsSync: "never" is neither always nor a time from 1ms to 1h/, ["--nats-sync", "never"]);
    await writeFile(path, "namespaces:\n  /x:\n    events:\n      go: {action: fly}\n");
    await fails(t, "gateway", 2, /namespaces.*\/x.*go.*fly/, ["--config", path]);
    await writeFile(path, "namespaces:\n  /x:\n    rolle: admin\n");
    await fails(t, "gateway", 2, /settings\.yaml:3: .*rolle/, ["--config", path]);
  });

  test("a flag wins over the environment, which wins over the file", async (t) => {
    const dir = await folder(t);
    const path = join(dir, "settings.yaml");
    const [inFile, inEnv, inFlag, health] = await freePorts(4);
    const yaml = (port) => `listen: 127.0.0.1:${port}\nhealth: {listen: "127.0.0.1:${health}"}\nnats:\n  url: nats://127.0.0.1:1\nlog: {format: json}\n`;
    await writeFile(path, yaml(inFile));
    const natter = async (env, args) => {
      const gateway = new Process(bin("gateway"), args, { env, cwd: dir, ready: answers(`http://127.0.0.1:${health}/healthz`) });
      t.after(() => gateway.stop());
      await gateway.start();
      return gateway;
    };
    for (const [port, env, args] of [
      [inFile, { NATTER_GATEWAY_CONFIG: path }, []],
      [inEnv, { NATTER_GATEWAY_LISTEN: `127.0.0.1:${inEnv}` }, ["--config", path]],
      [inFlag, { NATTER_GATEWAY_LISTEN: `127.0.0.1:${inEnv}` }, ["--config", path, "--listen", `127.0.0.1:${inFlag}`]],
    ]) {
      const gateway = await natter(env, args);
      await until(() => taken(port), `the gateway to take the port ${port}`);
      await gateway.stop();
    }
  });
});

// taken says whether somebody listens on a port.
async function taken(port) {
  const server = createServer().listen(port, "127.0.0.1");
  const [error] = await Promise.race([once(server, "listening").then(() => []), once(server, "error")]).catch((error) => [error]);
  server.close();
  return error?.code === "EADDRINUSE";
}

// occupied is a port that is taken until the test is over.
async function occupied(t) {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return server.address().port;
}

// oneLine asserts that a program has failed with one line in its log that is an error.
function oneLine({ code, stderr, lines }, ...patterns) {
  assert.equal(code, 1, stderr);
  const errors = lines.filter((line) => line.includes("level=ERROR"));
  assert.equal(errors.length, 1, stderr);
  for (const pattern of patterns) assert.match(errors[0], pattern);
  assert.ok(!/goroutine \d|panic|\.go:\d/.test(stderr), stderr);
}

describe("what is taken already", { concurrency: 2 }, () => {
  test("ports of the services", async (t) => {
    const port = await occupied(t);
    const [free] = await freePorts(1);
    oneLine(await run(t, "gateway", ["--listen", `127.0.0.1:${port}`, "--health-listen", ""]), new RegExp(`127\\.0\\.0\\.1:${port} is already in use`), /--listen/);
    for (const name of ["gateway", "auth", "history"]) {
      const args = name === "gateway" ? ["--listen", `127.0.0.1:${free}`] : [];
      oneLine(await run(t, name, ["--health-listen", `127.0.0.1:${port}`, ...args]), new RegExp(`127\\.0\\.0\\.1:${port}`), /in use/, /--health-listen/);
    }
  });

  test("ports and data of the all-in-one", async (t) => {
    const port = await occupied(t);
    const [listen, nats] = await freePorts(2);
    const args = (listen, nats) => ["--listen", `127.0.0.1:${listen}`, "--nats-port", String(nats), "--health-listen", ""];
    const inUse = new RegExp(`127\\.0\\.0\\.1:${port} is already in use`);
    oneLine(await run(t, "natter", args(port, nats)), inUse, /--listen/);
    oneLine(await run(t, "natter", args(listen, port)), inUse, /--nats-port/);
    const natter = await start(t);
    oneLine(await run(t, "natter", [...args(listen, nats), "--data", natter.place.dir]), /is already in use by another running Natter/, /--data/);
    assert.equal((await ask(await natter.connected(), "chat message", "undisturbed")).ok, true);
  });

  test("credentials that NATS refuses", async (t) => {
    const d = await running(t, { natsArgs: (port, dir) => ["-js", "-a", "127.0.0.1", "-p", String(port), "-sd", join(dir, "nats"), "--user", "u", "--pass", "p"], ...signedIn });
    for (const name of ["gateway", "auth", "history"]) {
      const [listen] = await freePorts(1);
      const args = ["--nats-url", d.natsUrl, "--nats-user", "u", "--nats-password", "wrong", "--health-listen", "", ...(name === "gateway" ? ["--listen", `127.0.0.1:${listen}`] : [])];
      const end = await run(t, name, args);
      oneLine(end, /refused the credentials/);
      assert.ok(!end.stderr.includes("wrong"));
    }
  });
});

const credentials = ["--nats-user", "u", "--nats-password", "p"];
const signedIn = { flags: { gateway: credentials, auth: credentials, history: credentials } };

describe("the end", { concurrency: 2 }, () => {
  test("SIGTERM ends every service with status 0 while clients are connected", async (t) => {
    const d = await running(t);
    const sockets = await Promise.all(["websocket", "polling"].map((transport) => d.connected("/", { transports: [transport], reconnection: false })));
    const gone = sockets.map((socket) => next(socket, "disconnect"));
    const begin = Date.now();
    await d.gateway.stop();
    for (const [reason] of await Promise.all(gone)) assert.ok(["transport close", "transport error"].includes(reason), `${reason} lets a client reconnect`);
    await Promise.all([d.auth.stop(), d.history.stop("SIGINT")]);
    assert.ok(Date.now() - begin < 10_000, `it took ${Date.now() - begin} ms`);
  });

  test("a service that waits for NATS ends as cleanly", async (t) => {
    const ports = await freePorts(4);
    await Promise.all(
      ["gateway", "auth", "history"].map(async (name, i) => {
        const args = ["--nats-url", "nats://127.0.0.1:1", "--health-listen", `127.0.0.1:${ports[i]}`, ...(name === "gateway" ? ["--listen", `127.0.0.1:${ports[3]}`] : [])];
        const service = new Process(bin(name), args, { cwd: await folder(t), ready: () => service.output.includes("waiting for NATS") });
        t.after(() => service.stop());
        await service.start();
        await service.stop();
      }),
    );
  });

  test("nothing waits for a NATS that has gone away", async (t) => {
    const d = await running(t);
    await Promise.all([d.connected(), d.connected("/", { transports: ["polling"] })]);
    await d.nats.kill();
    const begin = Date.now();
    await Promise.all(d.services.map((service) => service.stop()));
    assert.ok(Date.now() - begin < 10_000, `it took ${Date.now() - begin} ms`);
  });

  test("a second signal ends a program at once", async (t) => {
    const [listen, health] = await freePorts(2);
    const d = await running(t);
    // A client that reads nothing holds the gateway up: what is queued for it cannot be sent.
    const slow = new Process(bin("gateway"), ["--nats-url", d.natsUrl, "--listen", `127.0.0.1:${listen}`, "--health-listen", `127.0.0.1:${health}`], {
      cwd: d.dir,
      ready: answers(`http://127.0.0.1:${health}/readyz`),
    });
    await slow.start();
    const socket = client(`http://127.0.0.1:${listen}`, "/", { transports: ["websocket"], reconnection: false });
    t.after(() => socket.disconnect());
    await connected(socket);
    const raw = socket.io.engine.transport.ws._socket;
    raw.pause();
    const speaker = await d.connected();
    const text = "x".repeat(500_000);
    for (let i = 0; i < 12; i++) assert.equal((await ask(speaker, "chat message", text)).ok, true);
    slow.signal("SIGTERM");
    await until(() => slow.output.includes("a second signal"), "the first signal to be heard");
    slow.signal("SIGTERM");
    const end = await slow.ended(3_000);
    assert.equal(end.code, 130, slow.tail());
    raw.destroy();
  });
});

describe("the all-in-one", { concurrency: 2 }, () => {
  test("starts again with its data, and Ctrl-C ends it cleanly", async (t) => {
    const natter = await start(t);
    const [, first] = await until(() => natter.stdout.match(/Sign in as +admin, password (\S+)/), "the hint");
    const signed = await signIn(natter, "admin", first);
    assert.equal(signed.ok, true);
    const boss = await natter.connected("/admin", { auth: { token: signed.token } });
    assert.equal((await ask(boss, "create user", { name: "eve", password: "eve has a password", roles: [] })).ok, true);
    const ann = await natter.connected();
    assert.equal((await ask(ann, "join", "red")).ok, true);
    assert.equal((await ask(ann, "room message", "red", "remember me")).ok, true);
    const remembered = () =>
      until(async () => {
        const page = await ask(ann, "history", { room: "red" });
        return page.ok && page.messages.length === 1 && page;
      }, "the message in history");
    const before = await remembered();

    for (const end of ["SIGINT", "SIGKILL"]) {
      natter.stdout = "";
      const back = next(ann, "connect", 40_000);
      const begin = Date.now();
      if (end === "SIGKILL") await natter.kill();
      else await natter.stop(end);
      assert.ok(Date.now() - begin < 10_000, `it took ${Date.now() - begin} ms`);
      await natter.start();
      await back;
      await until(() => natter.stdout.includes("Natter is running"), "the hint");
      assert.match(natter.stdout, /with the password that the first start printed/);
      assert.ok(!/password \S+ +\(shown this once\)/.test(natter.stdout));
      for (const [name, word] of [["admin", first], ["eve", "eve has a password"]]) assert.equal((await signIn(natter, name, word)).ok, true, `${name} can sign in`);
      assert.equal((await natter.connected("/admin", { auth: { token: signed.token } })).connected, true, "the token is still good");
      assert.equal((await ask(ann, "join", "red")).ok, true);
      assert.deepEqual(await remembered(), before);
    }
  });
});

describe("logs", { concurrency: 2 }, () => {
  // talk goes through what could leak: sign-in, right and wrong, tokens, a new user.
  async function talk(url, { client, connected }, first) {
    const created = "eve has a password";
    const wrong = "a password that is wrong";
    const at = { url };
    const { token } = await signIn(at, "admin", first);
    assert.ok(token);
    assert.equal((await signIn(at, "admin", wrong)).status, 401);
    const boss = await connected("/admin", { auth: { token } });
    assert.equal((await ask(boss, "create user", { name: "eve", password: created, roles: [] })).ok, true);
    const eve = await signIn(at, "eve", created);
    await connected("/", { auth: { token: eve.token } });
    const stranger = client("/admin", { auth: { token: eve.token } });
    assert.ok((await next(stranger, "connect_error"))[0].message);
    const forged = client("/", { auth: { token: `${token.slice(0, -4)}AAAA` } });
    assert.ok((await next(forged, "connect_error"))[0].message);
    return [created, wrong, token, eve.token, token.slice(0, -4)];
  }
  const json = (text) => {
    for (const line of text.split("\n").filter(Boolean)) {
      const entry = JSON.parse(line);
      assert.ok(entry.time && entry.level && entry.msg, line);
    }
  };

  test("of the services: JSON lines, and no secret in them at level debug", async (t) => {
    const logs = ["--log-format", "json", "--log-level", "debug"];
    const natsPassword = "the password of NATS";
    const flags = [...logs, "--nats-user", "u", "--nats-password", natsPassword];
    const d = await running(t, {
      flags: { gateway: flags, auth: flags, history: flags },
      natsArgs: (port, dir) => ["-js", "-a", "127.0.0.1", "-p", String(port), "-sd", join(dir, "nats"), "--user", "u", "--pass", natsPassword],
    });
    const first = await password(d.auth);
    const secrets = await talk(d.gateway.url, d, first);
    for (const service of d.services) await service.stop();
    for (const service of d.services) {
      json(service.stderr);
      assert.ok(service.stderr.includes('"level":"DEBUG"'), "there are debug lines");
      for (const secret of [first, natsPassword, ...secrets]) assert.ok(!service.stderr.includes(secret), `${service.name} has logged a secret`);
      assert.equal(service.stdout.split(first).length - 1, service === d.auth ? 1 : 0, "it was printed once");
    }
  });

  test("of the all-in-one, the same", async (t) => {
    const natter = await start(t, "--log-format", "json", "--log-level", "debug");
    const [, first] = await until(() => natter.stdout.match(/Sign in as +admin, password (\S+)/), "the hint");
    const secrets = await talk(natter.url, { client: (...args) => natter.client(...args), connected: (...args) => natter.connected(...args) }, first);
    await natter.stop();
    json(natter.stderr);
    for (const secret of [first, ...secrets]) assert.ok(!natter.stderr.includes(secret), "a secret was logged");
    assert.equal(natter.stdout.split(first).length - 1, 1, "it was printed once");
  });

  test("a password that is set is neither printed nor logged", async (t) => {
    const dir = await folder(t);
    const given = "a password of our own";
    await writeFile(join(dir, "password"), `${given}\n`);
    const d = await running(t, { flags: { auth: ["--admin-password", `file:${join(dir, "password")}`, "--log-level", "debug"] } });
    assert.equal((await signIn(d.gateway, "admin", given)).ok, true);
    assert.ok(!d.auth.output.includes(given));
    assert.equal(d.auth.stdout, "");
  });
});
