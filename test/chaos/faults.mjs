// Does to the world what the schedule says.

import { setTimeout as sleep } from "node:timers/promises";
import { nodes, routes } from "./schedule.mjs";
import { databases } from "./world.mjs";

// What each fault does, and what ends it.
const acts = {
  kill: { begin: (process) => process.kill(), end: (process) => process.launch() },
  stop: { begin: (process) => process.signal("SIGSTOP"), end: (process) => process.signal("SIGCONT") },
  restart: { begin: (process, name) => process.stop([...nodes, ...databases].includes(name) ? "SIGINT" : "SIGTERM"), end: (process) => process.launch() },
};
const network = { cut: (link) => link.cut(), hang: (link) => link.hang() };

// inflict runs one track of faults. Clients' processes are hit like any other. A long fault is not over before the others have
// caught up, or the run has failed.
export async function inflict({ world, clients, faults, track, write, signal, caughtUp }) {
  for (const fault of faults) {
    await sleep(fault.after, undefined, { signal });
    const names = fault.target.split("+");
    write({ e: "fault", track, ...fault });
    const links = routes.includes(fault.target) ? world.route(...fault.target.split("-")) : names.flatMap((name) => world.between(name, fault.act.endsWith(" clients")));
    const [act] = fault.act.split(" ");
    if (network[act]) links.forEach(network[act]);
    else await Promise.all(names.map((name) => acts[act].begin(world.processes[name] ?? clients[name], name)));
    await sleep(fault.lasts, undefined, { signal });
    if (fault.act.endsWith(" long")) await caughtUp(fault);
    if (network[act]) links.forEach((link) => link.open());
    else for (const name of names) acts[act].end(world.processes[name] ?? clients[name], name);
    write({ e: "over", track, ...fault });
    const whole = track === "nats" ? nodes : names;
    await Promise.all(whole.map((name) => world.well(name)));
    write({ e: "well", track, ...fault });
  }
}
