// A PostgreSQL server with an empty database, in a folder of its own. It needs the programs of the Debian package
// postgresql, which refuse to run as root: then they run as nobody.

import { execFile } from "node:child_process";
import { chown, mkdtemp, readFile, readdir, realpath, rm } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { Process } from "../process.mjs";
import { freePorts } from "../ports.mjs";

const run = promisify(execFile);
const owner = "natter";

// programs is the folder of the newest PostgreSQL that is installed.
async function programs() {
  for (const dir of (process.env.PATH ?? "").split(":")) {
    const path = await realpath(join(dir, "initdb")).catch(() => undefined);
    if (path) return dirname(path);
  }
  const versions = await readdir("/usr/lib/postgresql").catch(() => []);
  if (versions.length === 0) throw new Error("this needs PostgreSQL: sudo apt-get install -y postgresql");
  return join("/usr/lib/postgresql", versions.sort((a, b) => a - b).at(-1), "bin");
}

async function nobody() {
  const line = (await readFile("/etc/passwd", "utf8")).split("\n").find((line) => line.startsWith("nobody:"));
  const [, , uid, gid] = line.split(":").map(Number);
  return { uid, gid };
}

export class Postgres extends Process {
  // make makes the files and does not start anything.
  static async make() {
    const bin = await programs();
    const user = process.getuid() === 0 ? await nobody() : undefined;
    const dir = await mkdtemp(join(tmpdir(), "natter-pg-"));
    if (user) await chown(dir, user.uid, user.gid);
    const [port] = await freePorts(1);
    const options = { cwd: dir, ...user, env: { PATH: bin, HOME: dir, LC_ALL: "C" } };
    await run(join(bin, "initdb"), ["-D", join(dir, "data"), "-U", owner, "-E", "UTF8", "--locale=C", "-A", "trust", "--no-sync", "--no-instructions"], options);
    const args = ["-D", join(dir, "data"), "-k", dir, "-h", "127.0.0.1", "-p", String(port)];
    const server = new Postgres(join(bin, "postgres"), args, { name: "db", cwd: dir, env: { LC_ALL: "C" }, user, ready: () => server.accepts() });
    return Object.assign(server, { dir, port, bin });
  }

  // url is its address for those who reach it by a port.
  url(port) {
    return `postgres://${owner}@127.0.0.1:${port}/postgres?sslmode=disable`;
  }

  async accepts() {
    await run(join(this.bin, "pg_isready"), ["-h", "127.0.0.1", "-p", String(this.port)]);
    return true;
  }

  // signal hits its children as well, one for each connection, unless it is a request that the server passes on to them itself.
  signal(name) {
    const family = name === "SIGINT" ? [] : readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "utf8").split(" ").filter(Boolean);
    super.signal(name);
    for (const pid of family) {
      try {
        process.kill(Number(pid), name);
      } catch (error) {
        if (error.code !== "ESRCH") throw error; // it has ended meanwhile
      }
    }
  }

  // remove takes the files away.
  remove() {
    return rm(this.dir, { recursive: true, force: true });
  }
}
