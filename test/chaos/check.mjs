// Holds what everyone wrote down against what Natter promises (docs/guarantees.md), and knows nothing of how any of it
// came about: node check.mjs FOLDER
//
// A life of a client is its time as one socket: it begins with a connect that is not recovered. What was said to a room
// after a life had joined it, and is known to be stored, that life must hear: once, in the order of the stream, which is
// one over all rooms. A life that ended may lack what came after the last that it heard in any room, if it was allowed to end.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { entries } from "./journal.mjs";

// kinds are what can be wrong.
export const kinds = {
  loss: "was stored, and a member of its room did not hear it",
  duplicate: "was heard twice by the same client",
  disorder: "was heard after a later one, of whatever room, or stored after a later one of its sender",
  phantom: "was heard or kept, and nobody said it so, there",
  afresh: "had to start afresh, though it was not away for longer than the window",
  "not acked": "was said again and again, and never acked",
  refused: "was refused, or put out",
  stranded: "was not connected and in its rooms at the end",
  unanswered: "was asked of history when all was well again, and not answered",
  "not kept": "was acked as stored, and history does not have it",
};

// sequence is the place in the stream in a message's id, <creation>-<sequence>.
const sequence = (id) => Number(id?.slice(id.lastIndexOf("-") + 1));

// check returns the verdict on a run: what is wrong, and facts. window is how long a client may be away, in milliseconds.
export function check(log, { window }) {
  const wrong = [];
  const accuse = (kind, what) => wrong.push({ kind, what });
  const messages = said(log, accuse);
  const clients = heard(log, messages, accuse);
  for (const [c, lives] of clients) {
    lives.forEach((life, i) => {
      listened(life, messages, accuse);
      if (i > 0) restarted(c, lives.slice(0, i), life, window, accuse);
    });
    const last = lives.at(-1);
    if (!last.connected || [...last.wanted].some((room) => !last.rooms.has(room))) accuse("stranded", c);
  }
  for (const { m, acked } of messages.values()) if (!acked) accuse("not acked", m);
  missed(clients, messages, accuse);
  spoke(messages, accuse);
  for (const { e, why } of log) if (e === "unanswered") accuse("unanswered", why);
  kept(log, messages, accuse);
  return { wrong, facts: facts(log, clients, messages) };
}

// said gathers the messages, by name.
function said(log, accuse) {
  const messages = new Map();
  for (const { e, t, c, m, room, kind, connection, id, seq, why } of log) {
    const message = messages.get(m);
    if (e === "send" && message) Object.assign(message, { times: message.times + 1, connection: m });
    else if (e === "send") messages.set(m, { m, sender: c, room, kind, connection, sent: t, times: 1 });
    else if (e === "ack") acknowledge(message, t, seq ?? sequence(id), accuse);
    else if (e === "kept" && message) message.seq ??= sequence(id);
    else if (e === "refused") accuse("refused", `${c}${m ? `, ${m}` : ""}: ${why}`);
  }
  return messages;
}

// acknowledge notes an ack: all of them name the same place.
function acknowledge(message, t, seq, accuse) {
  if (message.acked && message.seq !== seq) accuse("duplicate", `${message.m} was acked as ${message.seq} and ${seq}`);
  message.acked ??= t;
  message.seq ??= seq;
}

// heard gathers the lives of each client, and judges each thing heard by itself.
function heard(log, messages, accuse) {
  const clients = new Map();
  const places = new Map(); // which message is at a place of the stream
  for (const { e, t, c, life: socket, room, m, id, recovered } of log) {
    if (e === "connect") {
      const lives = clients.get(c) ?? [];
      clients.set(c, lives);
      const last = lives.at(-1);
      if (!recovered || !last || last.socket !== socket) {
        if (recovered) accuse("phantom", `${c} was recovered as ${socket}, which it never was`);
        lives.push({ c, socket, began: t, connected: true, wanted: new Set(), rooms: new Map(), heard: last?.heard ?? new Map(), order: [], recoveries: 0 });
      } else Object.assign(last, { connected: true, recoveries: last.recoveries + 1 });
      continue;
    }
    const life = clients.get(c)?.at(-1);
    if (e === "disconnect") Object.assign(life, { connected: false, left: t });
    else if (e === "joining") life.wanted.add(room);
    else if (e === "joined") life.rooms.set(room, t);
    else if (e === "hear") {
      const message = messages.get(m);
      if (!message || message.room !== room) {
        accuse("phantom", `${m} in ${room} at ${c}`);
        continue;
      }
      const seq = sequence(id);
      message.seq ??= seq;
      if (message.seq !== seq || (places.get(seq) ?? m) !== m) accuse("phantom", `${m} at ${c} has the id ${id}, which is not its own`);
      places.set(seq, m);
      // What a client missed it hears as soon as it is connected: nothing is heard between two connections.
      if (life && !life.connected) accuse("disorder", `${m} at ${c}, before it was connected`);
      const own = life?.socket === socket ? life : undefined;
      if (!own || !own.wanted.has(room)) accuse("phantom", `${m} at ${c}, which is not in ${room}`);
      else own.order.push({ t, message, seq });
    }
  }
  return clients;
}

// listened judges the order in which a life heard: the stream's, whatever the rooms.
function listened(life, messages, accuse) {
  life.top = 0;
  for (const { t, message, seq } of life.order) {
    if (life.heard.has(message.m)) {
      accuse("duplicate", `${message.m} at ${life.c}`);
      continue;
    }
    life.heard.set(message.m, t);
    if (seq < life.top) accuse("disorder", `${message.m} (${seq}) of ${message.room} at ${life.c} after ${life.top}`);
    else life.top = seq;
  }
}

// restarted judges that a client has begun another life.
function restarted(c, before, life, window, accuse) {
  const { left, socket } = before.at(-1);
  if (life.began - left > window) return;
  accuse("afresh", `${c} as ${life.socket} after ${socket}, away for ${Math.round(life.began - left)} ms`);
}

// missed finds what a life did not hear. Whatever anybody knows to be stored is.
function missed(clients, messages, accuse) {
  const byRoom = group([...messages.values()].filter(({ seq }) => seq), ({ room }) => room);
  for (const [c, lives] of clients) {
    for (const life of lives) {
      const heard = new Set(life.order.map(({ message }) => message.m));
      for (const [room, joined] of life.rooms) {
        const end = life === lives.at(-1) ? Infinity : life.top;
        for (const { m, sent, seq } of byRoom.get(room) ?? []) {
          if (sent > joined && seq < end && !heard.has(m)) accuse("loss", `${m} (${seq}) in ${room} at ${c} as ${life.socket}`);
        }
      }
    }
  }
}

// spoke judges the order of what each sender said: of what it sent over one connection and did not say again, and of what it
// sent when something else was acked already.
function spoke(messages, accuse) {
  const stored = [...messages.values()].filter(({ seq }) => seq).sort((a, b) => a.sent - b.sent);
  for (const [sender, all] of group(stored, ({ sender }) => sender)) {
    const acks = all.filter(({ acked }) => acked).sort((a, b) => a.acked - b.acked);
    const last = new Map(); // by connection
    let acked = 0;
    let i = 0;
    for (const { m, sent, seq, connection } of all) {
      for (; i < acks.length && acks[i].acked < sent; i++) acked = Math.max(acked, acks[i].seq);
      if (seq < (last.get(connection) ?? 0) || seq < acked) accuse("disorder", `${m} (${seq}) is stored before an earlier one of ${sender}`);
      last.set(connection, Math.max(seq, last.get(connection) ?? 0));
    }
  }
}

// kept holds history against what was posted.
function kept(log, messages, accuse) {
  const times = new Map();
  for (const { e, m, room, id } of log) {
    if (e !== "kept") continue;
    times.set(m, (times.get(m) ?? 0) + 1);
    const message = messages.get(m);
    if (!message || message.kind !== "say" || message.room !== room || (message.seq ?? sequence(id)) !== sequence(id)) accuse("phantom", `${m} (${id}) of ${room} in history`);
  }
  for (const { m, kind, acked } of messages.values()) {
    if (kind === "say" && acked && !times.has(m)) accuse("not kept", m);
    if (times.get(m) > 1) accuse("duplicate", `${m} in history`);
  }
}

// group is Map.groupBy, which Node has from 21 on.
function group(list, key) {
  const groups = new Map();
  for (const one of list) {
    const k = key(one);
    if (groups.has(k)) groups.get(k).push(one);
    else groups.set(k, [one]);
  }
  return groups;
}

const count = (list, which) => list.reduce((n, one) => n + (which(one) ? 1 : 0), 0);

function facts(log, clients, messages) {
  const lives = [...clients.values()].flat();
  const all = [...messages.values()];
  let longest = 0;
  let deliveries = 0;
  for (const life of lives) {
    for (const { t, message } of life.order) {
      deliveries++;
      if (message.acked) longest = Math.max(longest, t - message.acked);
    }
  }
  const faults = new Map();
  for (const { e, act, target } of log) if (e === "fault") faults.set(`${act} ${target}`, (faults.get(`${act} ${target}`) ?? 0) + 1);
  return {
    clients: clients.size,
    faults,
    messages: all.length,
    acked: count(all, ({ acked }) => acked),
    "not acked in time, and said again by the client": count(log, ({ e }) => e === "unacked"),
    deliveries,
    kept: count(log, ({ e }) => e === "kept"),
    disconnections: count(log, ({ e }) => e === "disconnect"),
    recoveries: lives.reduce((n, { recoveries }) => n + recoveries, 0),
    "fresh starts": lives.length - clients.size,
    "longest time from ack to delivery, seconds": Math.round(longest / 100) / 10,
  };
}

// read gathers the journals of a folder. Each is in the order in which its writer wrote; among each other they are put in
// the order of time.
export async function read(folder) {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".journal"));
  const all = (await Promise.all(files.map((name) => entries(join(folder, name))))).flat();
  return all.sort((a, b) => a.t - b.t); // stable
}

if (process.argv[1] === import.meta.filename) {
  const { wrong, facts } = check(await read(process.argv[2]), { window: Number(process.argv[3] ?? 120_000) });
  console.log(facts);
  for (const { kind, what } of wrong.slice(0, 100)) console.log(`${kind}: ${what}`);
  console.log(wrong.length === 0 ? "nothing is wrong" : `${wrong.length} things are wrong`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
}
