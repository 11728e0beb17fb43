// All that the clients rely on, as processes of their own: three nats-servers in a cluster, three gateways, auth and
// history, and PostgreSQL, with a link that can be cut between any two that talk to each other.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Process } from "../process.mjs";
import { until } from "../wait.mjs";
import { Door, Link } from "./link.mjs";
import { freePorts } from "../ports.mjs";
import { Postgres } from "./postgres.mjs";
import { gateways, nodes } from "./schedule.mjs";

const root = new URL("../..", import.meta.url).pathname;

export const password = "chaos-admin";
const patience = 120_000; // for somebody to be well again

// Who may be hit, besides nats-servers and gateways.
export const services = ["a1", "a2", "h1", "h2"];
export const databases = ["db"];

const config = `
namespaces:
  /:
    use: [auth]
    guests: true
    events:
      say: {action: post, to: room, args: 2, members: true, id: "args[2]"}
      tell: {action: emit, to: room, args: 2, members: true, id: "args[2]"}
      join: {action: join, args: 1}
`;

const nodeConfig = ({ name, port, monitor, cluster, routes, dir }) => `
server_name: ${name}
listen: "127.0.0.1:${port}"
http: "127.0.0.1:${monitor}"
jetstream { store_dir: "${dir}", max_memory_store: 256MB, max_file_store: 8GB }
cluster {
  name: chaos
  listen: "127.0.0.1:${cluster}"
  # Servers and clients know of each other by their links alone: what a server says of itself leads nowhere.
  advertise: "127.0.0.1:1"
  no_advertise: true
  routes: [${routes.map((route) => `"nats://127.0.0.1:${route}"`).join(", ")}]
}
`;

export class World {
  processes = {}; // by name
  links = []; // {from, to, link}
  #health = {}; // by name: a page that answers when it is well

  constructor(dir) {
    this.dir = dir;
  }

  async start() {
    await this.#nats();
    await mkdir(join(this.dir, "run"));
    await writeFile(join(this.dir, "gateway.yaml"), config);
    this.database = await Postgres.make();
    this.processes.db = this.database;
    await this.database.start();
    await this.#services();
    this.door = await new Door(this.links.filter(({ from }) => from === "clients").map(({ link }) => link)).listen();
    this.url = `http://127.0.0.1:${this.door.port}`;
    const all = Object.values(this.processes);
    for (const process of all) if (!process.pid) process.launch();
    await Promise.all(Object.keys(this.processes).map((name) => this.well(name)));
  }

  async #link(from, to, port) {
    const link = await new Link(port).listen();
    this.links.push({ from, to, link });
    return link.port;
  }

  async #nats() {
    const free = await freePorts(3 * nodes.length);
    this.nats = {};
    const places = nodes.map((name, i) => ({ name, port: free[3 * i], monitor: free[3 * i + 1], cluster: free[3 * i + 2], dir: join(this.dir, name), routes: [] }));
    for (const place of places) {
      for (const other of places) if (other !== place) place.routes.push(await this.#link(place.name, other.name, other.cluster));
      const file = join(this.dir, `${place.name}.conf`);
      await writeFile(file, nodeConfig(place));
      this.nats[place.name] = place.port;
      this.#health[place.name] = `http://127.0.0.1:${place.monitor}/healthz`;
      this.processes[place.name] = new Process(join(root, ".tools/nats-server"), ["-c", file], { name: place.name });
    }
  }

  // servers are the addresses under which somebody reaches NATS.
  async servers(name) {
    const urls = [];
    for (const node of nodes) urls.push(`nats://127.0.0.1:${await this.#link(name, node, this.nats[node])}`);
    return urls;
  }

  async #services() {
    const names = [...gateways, ...services];
    const free = await freePorts(names.length + gateways.length);
    for (const name of names) {
      const health = free.shift();
      const args = ["--nats-url", (await this.servers(name)).join(","), "--health-listen", `127.0.0.1:${health}`, "--replicas", "3"];
      const program = { g: "gateway", a: "auth", h: "history" }[name[0]];
      if (program === "gateway") {
        const port = free.shift();
        await this.#link("clients", name, port);
        args.push("--listen", `127.0.0.1:${port}`, "--gateway-id", name, "--config", join(this.dir, "gateway.yaml"));
        // Who does not answer is soon missed, even where everything is slow.
        args.push("--ping-interval", "3s", "--ping-timeout", "5s", "--lease", "6s");
      } else if (program === "auth") args.push("--admin-password", password);
      else args.push("--database", this.database.url(await this.#link(name, "db", this.database.port)));
      this.#health[name] = `http://127.0.0.1:${health}/readyz`;
      this.processes[name] = new Process(join(root, "bin", program), args, { name, cwd: join(this.dir, "run") });
    }
  }

  // well waits until somebody is well: a nats-server until it has all that the others have.
  well(name) {
    const page = this.#health[name];
    // A database is well when those who need it are.
    if (name === "db") return Promise.all(services.filter((name) => name[0] === "h").map((name) => this.well(name)));
    const answers = async () => !page || (await fetch(page, { signal: AbortSignal.timeout(5_000) })).ok;
    return until(answers, `${name} to be well`, patience, 200).catch((error) => {
      throw new Error(`${error.message}\n${this.processes[name]?.tail()}`);
    });
  }

  // between are the links of somebody with all others, or with the clients alone.
  between(name, clients) {
    return this.links.filter(({ from, to }) => (clients ? from === "clients" && to === name : from !== "clients" && (from === name || to === name))).map(({ link }) => link);
  }

  // route are the links of two nats-servers with each other.
  route(one, other) {
    return this.links.filter(({ from, to }) => (from === one && to === other) || (from === other && to === one)).map(({ link }) => link);
  }

  // complaints are what nobody may say: that it panicked, or that its memory was used by two at a time.
  complaints() {
    return Object.values(this.processes).filter(({ output }) => /WARNING: DATA RACE|^panic: |^fatal error: /m.test(output));
  }

  // end stops everything, those first that need the others.
  async end() {
    const names = Object.keys(this.processes);
    const last = [...nodes, ...databases];
    const ends = await Promise.allSettled(names.filter((name) => !last.includes(name)).map((name) => this.processes[name].stop()));
    ends.push(...(await Promise.allSettled(last.map((name) => this.processes[name]?.stop("SIGINT")))));
    this.door?.close();
    for (const { link } of this.links) link.close();
    const failed = ends.filter(({ status }) => status === "rejected").map(({ reason }) => reason);
    await this.database?.remove();
    if (failed.length > 0) throw new AggregateError(failed, failed.map(String).join("\n"));
  }

  // kill ends everything at once.
  kill() {
    for (const process of Object.values(this.processes)) process.destroy();
    this.door?.close();
    for (const { link } of this.links) link.close();
  }
}
