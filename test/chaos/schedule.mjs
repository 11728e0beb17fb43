// Which faults there are, when, and for how long: all of it drawn from a seed.
//
// There are three tracks that run side by side. On each, one fault comes after the other: a calm, the fault, its end,
// and then whoever runs it waits until what was hit is well again. So of three nats-servers two are never away at a
// time, but in the one fault that is for that. In a long run one of the history services is away for longer than JetStream waits
// for what it has in its hands: the other one must store it.

import { random, shuffle } from "./random.mjs";

export const nodes = ["n1", "n2", "n3"];
export const routes = ["n1-n2", "n1-n3", "n2-n3"]; // between two of them, who both go on
export const gateways = ["g1", "g2", "g3"];

const process = ["kill", "stop", "restart"]; // kill -9; SIGSTOP and SIGCONT; stopped and started as by a service manager
const network = ["cut", "hang"]; // connections break; connections are silent

// faults are all faults of a track: what is done to whom.
const faults = (targets, acts) => targets.flatMap((target) => acts.map((act) => ({ act, target })));

const tracks = (has) => ({
  // The routes twice: whole servers are hit in more ways.
  nats: [...faults(nodes, [...process, ...network]), ...faults([...routes, ...routes], network)],
  gateways: faults(gateways, [...process, "cut clients", "hang clients", ...network]),
  services: [
    ...faults(has.services, [...process, ...network]),
    ...faults(has.databases, [...process, ...network]),
    ...faults(has.clients, ["stop"]),
  ],
});

// plan returns, for each track, faults with the calm before them and their length in milliseconds.
// has says which services, databases and processes of clients there are.
export function plan({ seed, minutes, has }) {
  const short = minutes <= 2;
  const [calmest, longest] = short ? [3, 4] : [10, 24]; // seconds, beyond the least ones
  const end = minutes * 60_000;
  const reserved = 70_000; // for the one that is long
  const all = {};
  Object.entries(tracks(has)).forEach(([name, deck], i) => {
    const draw = random(seed * 31 + i);
    const planned = (all[name] = []);
    let cards = [];
    for (let at = name === "services" && !short ? reserved : 0; ; ) {
      if (cards.length === 0) cards = shuffle(draw, deck);
      const fault = cards.pop();
      fault.after = Math.round(3000 + calmest * 1000 * draw());
      fault.lasts = Math.round(1000 + longest * 1000 * draw() ** 2);
      at += fault.after + fault.lasts;
      if (at > end) break;
      planned.push({ ...fault });
    }
  });
  // Once, two of three are killed at a time: nothing can be stored until they are back.
  const draw = random(seed * 31 + 7);
  const away = shuffle(draw, nodes).slice(0, 2).sort().join("+");
  const middle = Math.ceil(all.nats.length * 0.6);
  if (!short) {
    const act = draw() < 0.5 ? "stop long" : "hang long";
    const [target] = shuffle(draw, has.services.filter((name) => name[0] === "h"));
    all.services.splice(Math.ceil(all.services.length / 3), 0, { act, target, after: 3000, lasts: Math.round(40_000 + 20_000 * draw()) });
  }
  all.nats[middle] = { act: "kill", target: away, after: 3000, lasts: Math.round(2000 + longest * 500 * draw()) };
  return all;
}
