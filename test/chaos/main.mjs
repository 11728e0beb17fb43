// Chaos: a whole deployment is hit by faults drawn from a seed, while a hundred stock clients talk to each other, and what
// everyone wrote down is held against what Natter promises. node main.mjs, with the environment SEED and MINUTES;
// make chaos builds what it runs.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { check, read } from "./check.mjs";
import { rooms } from "./client.mjs";
import { Crew, processes as clients } from "./crew.mjs";
import { inflict } from "./faults.mjs";
import { caughtUp, kept } from "./history.mjs";
import { journal } from "./journal.mjs";
import { plants } from "./plant.mjs";
import { report } from "./report.mjs";
import { progress } from "./progress.mjs";
import { plan } from "./schedule.mjs";
import { Speaker } from "./speaker.mjs";
import { until } from "../wait.mjs";
import { World, databases, password, services } from "./world.mjs";

const number = (name, otherwise) => {
  const value = Number(process.env[name] || otherwise);
  if (!(value > 0)) throw new Error(`${name}=${process.env[name]}: not a number above 0`);
  return value;
};
const seed = number("SEED", 1 + (Date.now() % 1_000_000));
const minutes = number("MINUTES", 10);
const count = number("CLIENTS", 100);
const reportPath = process.env.REPORT || new URL("../artifacts/chaos.md", import.meta.url).pathname;
// The recovery window, as it is without a setting. A client is never away for so long.
const window = 120_000;
// Whatever happens, it ends.
const bound = (minutes * 3 + 10) * 60_000;

async function signIn(url) {
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: "admin", password }) };
  const answer = await until(async () => (await fetch(`${url}/auth/login`, request)).json(), "an answer to a sign-in", 60_000);
  if (!answer.ok) throw new Error(`cannot sign in: ${JSON.stringify(answer)}`);
  return answer.token;
}

// run lets everything happen, and leaves the journals in the folder.
async function run(dir, say) {
  const world = new World(dir);
  const { write, close } = journal(join(dir, "world.journal"));
  const watchdog = new AbortController();
  let crew, speaker;
  const late = setTimeout(() => watchdog.abort(new Error(`not over after ${bound / 60_000} minutes`)), bound);
  try {
    await world.start();
    const token = await signIn(world.url);
    speaker = new Speaker({ seed, servers: await world.servers("speaker"), every: 500, write });
    await speaker.start();
    crew = new Crew({ dir, count, seed, url: world.url, token, every: 3_000 });
    const absent = await crew.settled();
    if (absent.length > 0) throw new Error(`before any fault, these clients are not connected and in their rooms: ${absent.join(", ")}`);
    const tracks = plan({ seed, minutes, has: { services, databases, clients } });
    const total = Object.values(tracks).flat().length;
    console.log(`chaos: seed ${seed}, ${total} faults in ${minutes} min and some more until all is well again, ${count} clients; ${dir}`);
    say.doing("hitting the deployment", total);
    const note = (entry) => {
      if (entry.e === "over") say.hit();
      write(entry);
    };
    const ends = Object.entries(tracks).map(([track, faults]) => inflict({ world, clients: crew.all, faults, track, write: note, signal: watchdog.signal, caughtUp: ({ target }) => caughtUp(speaker.connection, target) }));
    await Promise.all(ends.map((end) => end.catch((error) => (watchdog.abort(error), Promise.reject(error)))));
    say.doing("waiting until everybody is back and has heard everything");
    await crew.tell("quiet");
    await speaker.quiet();
    await settle({ crew, speaker, write });
    say.doing("stopping everything");
    await crew.end();
  } finally {
    clearTimeout(late);
    crew?.kill();
    await speaker?.close();
    for (const process of Object.values(world.processes)) await writeFile(join(dir, `${process.name}.log`), process.output);
    await close();
    const complaints = world.complaints();
    try {
      await world.end();
    } finally {
      world.kill();
      if (complaints.length > 0) throw new Error(`these panicked or raced: ${complaints.map(({ name }) => name)}\n${complaints[0].tail()}`);
    }
  }
}

// settle waits until everybody has heard, and history has, what is said last in each room.
async function settle({ crew, speaker, write }) {
  const late = await crew.settled();
  if (late.length > 0) console.log(`chaos: after all faults are over, these clients are not connected or owed an ack: ${late.join(", ")}`);
  const marks = rooms.map((room, i) => ({ room, m: `mark:${i + 1}` }));
  await crew.tell("expect", { marks });
  for (const { room, m } of marks) await speaker.say(room, { m, kind: "say" });
  const deaf = await crew.settled();
  if (deaf.length > 0) console.log(`chaos: these clients did not hear what was said last: ${deaf.join(", ")}`);
  await kept({ connection: speaker.connection, marks, write });
}

// planted says which planted flaws the checker finds in a log without any.
function planted(log) {
  return Object.entries(plants).map(([name, plant]) => {
    const { wrong } = check(plant(log), { window });
    if (!wrong.some(({ kind }) => name.startsWith(kind))) throw new Error(`the checker does not find a planted ${name}: it says ${JSON.stringify(wrong.slice(0, 5))}`);
    return name;
  });
}

const dir = process.env.DIR ?? (await mkdtemp(join(tmpdir(), "natter-chaos-")));
await mkdir(dir, { recursive: true });
const say = progress();
try {
  await run(dir, say);
} catch (error) {
  console.error(error);
  console.error(`chaos: seed ${seed} failed; what was written down is in ${dir}`);
  process.exit(1);
}
say.doing("checking what everybody wrote down");
const log = await read(dir);
const { wrong, facts } = check(log, { window });
const found = wrong.length === 0 ? planted(log) : undefined;
say.end();
const text = report({ seed, minutes, wrong, facts, found });
await mkdir(dirname(reportPath), { recursive: true });
await writeFile(reportPath, text);
console.log(text);
for (const { kind, what } of wrong.slice(0, 50)) console.log(`${kind}: ${what}`);
if (wrong.length > 0) console.error(`chaos: what was written down is in ${dir}`);
else if (!process.env.DIR) await rm(dir, { recursive: true, force: true });
process.exitCode = wrong.length === 0 ? 0 : 1;
