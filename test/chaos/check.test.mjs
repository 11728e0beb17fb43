// Whether the checker sees what must not happen, and says nothing about what may.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { check, kinds } from "./check.mjs";
import { plants } from "./plant.mjs";

const window = 120_000;

// story makes a log, entry by entry, one millisecond after the other. Ann and Bob are in red; Ann speaks.
function story(tell) {
  const log = [];
  let t = 0;
  const s = {
    log,
    wait: (ms) => (t += ms),
    note: (entry) => log.push({ t: ++t, ...entry }),
    connect: (c, life, recovered = false) => s.note({ e: "connect", c, life, recovered }),
    join(c, life, room = "red") {
      s.note({ e: "joining", c, life, room });
      s.note({ e: "joined", c, life, room });
    },
    leave: (c) => s.note({ e: "disconnect", c, why: "transport close" }),
    send: (m, { room = "red", kind = "say", connection = "ann/1", c = "ann", ...more } = {}) => s.note({ e: "send", c, m, room, kind, connection, ...more }),
    ack: (m, seq, c = "ann") => s.note({ e: "ack", c, m, id: `e-${seq}` }),
    hear: (c, life, m, seq, room = "red") => s.note({ e: "hear", c, life, room, m, id: `e-${seq}` }),
    keep: (m, seq, room = "red") => s.note({ e: "kept", room, m, id: `e-${seq}` }),
    // said is a message that was sent, acked, heard by both and kept.
    said(m, seq, room = "red") {
      s.send(m, { room });
      s.ack(m, seq);
      for (const c of ["ann", "bob"]) s.hear(c, `${c}1`, m, seq, room);
      s.keep(m, seq, room);
    },
  };
  for (const c of ["ann", "bob"]) {
    s.connect(c, `${c}1`);
    s.join(c, `${c}1`);
  }
  tell(s);
  return log;
}

const verdict = (tell) => check(story(tell), { window }).wrong.map(({ kind }) => kind);
const away = (s) => s.leave("bob");
const back = (s) => s.connect("bob", "bob1", true);

describe("nothing is wrong", () => {
  const stories = {
    "when all is heard": (s) => (s.said("a:1", 1), s.said("a:2", 5)),
    "when a client hears what it missed, as it comes back": (s) => {
      s.said("a:1", 1);
      away(s);
      s.send("a:2");
      s.ack("a:2", 2);
      s.hear("ann", "ann1", "a:2", 2);
      back(s);
      s.hear("bob", "bob1", "a:2", 2);
      s.keep("a:2", 2);
    },
    "when a message is said again until it is acked, and stored late": (s) => {
      s.send("a:1");
      s.note({ e: "unacked", c: "ann", m: "a:1" });
      s.said("a:2", 2);
      s.said("a:1", 3);
    },
    "when a message is said again that was stored at once": (s) => {
      s.send("a:1");
      s.note({ e: "unacked", c: "ann", m: "a:1" });
      for (const c of ["ann", "bob"]) s.hear(c, `${c}1`, "a:1", 1);
      s.said("a:2", 2);
      s.send("a:1", { connection: "ann/2" });
      s.ack("a:1", 1);
      s.keep("a:1", 1);
    },
    "when two acks name the same place": (s) => (s.said("a:1", 1), s.ack("a:1", 1)),
    "when a client misses what was sent before it had joined": (s) => {
      s.connect("cid", "cid1");
      s.note({ e: "joining", c: "cid", life: "cid1", room: "red" });
      s.send("a:1");
      s.note({ e: "joined", c: "cid", life: "cid1", room: "red" });
      s.ack("a:1", 1);
      for (const c of ["ann", "bob"]) s.hear(c, `${c}1`, "a:1", 1);
      s.keep("a:1", 1);
    },
    "when a client starts afresh that was away for longer than the window": (s) => {
      s.said("a:1", 1);
      away(s);
      s.send("a:2", { kind: "tell" });
      s.ack("a:2", 2);
      s.hear("ann", "ann1", "a:2", 2);
      s.wait(window + 1);
      s.connect("bob", "bob2");
      s.join("bob", "bob2");
    },
  };
  for (const [name, tell] of Object.entries(stories)) test(name, () => assert.deepEqual(verdict(tell), []));
});

describe("it finds", () => {
  const stories = {
    "a message that a member did not hear": [["loss"], (s) => {
      s.send("a:1", { kind: "tell" });
      s.ack("a:1", 1);
      s.hear("ann", "ann1", "a:1", 1);
    }],
    "one that nobody heard": [["loss", "loss"], (s) => (s.send("a:1", { kind: "tell" }), s.ack("a:1", 1))],
    "one that was not acked, and that one of two heard": [["loss", "not acked"], (s) => (s.send("a:1", { kind: "tell" }), s.hear("ann", "ann1", "a:1", 1))],
    "one that was not acked, and that only history has": [["loss", "loss", "not acked"], (s) => (s.send("a:1"), s.keep("a:1", 1))],
    "one that was missed around a recovery": [["loss"], (s) => {
      s.said("a:1", 1);
      away(s);
      s.send("a:2", { kind: "tell" });
      s.ack("a:2", 2);
      s.hear("ann", "ann1", "a:2", 2);
      back(s);
    }],
    "one in the midst of a life that ended": [["loss"], (s) => {
      s.send("a:1", { kind: "tell" });
      s.ack("a:1", 1);
      s.hear("ann", "ann1", "a:1", 1);
      s.said("a:2", 2);
      away(s);
      s.wait(window + 1);
      s.connect("bob", "bob2");
      s.join("bob", "bob2");
    }],
    "a message heard twice": [["duplicate"], (s) => (s.said("a:1", 1), s.hear("bob", "bob1", "a:1", 1))],
    "one heard again in the next life": [["phantom"], (s) => {
      s.said("a:1", 1);
      away(s);
      s.wait(window + 1);
      s.connect("bob", "bob2");
      s.hear("bob", "bob2", "a:1", 1); // it is not in the room yet
      s.join("bob", "bob2");
    }],
    "one heard again in the next life, in the room": [["duplicate"], (s) => {
      s.said("a:1", 1);
      away(s);
      s.wait(window + 1);
      s.connect("bob", "bob2");
      s.join("bob", "bob2");
      s.hear("bob", "bob2", "a:1", 1);
    }],
    "one kept twice": [["duplicate"], (s) => (s.said("a:1", 1), s.keep("a:1", 1))],
    "two that changed places at one client": [["disorder"], (s) => {
      for (const [m, seq] of [["a:1", 1], ["a:2", 2]]) {
        s.send(m, { kind: "tell" });
        s.ack(m, seq);
        s.hear("ann", "ann1", m, seq);
      }
      s.hear("bob", "bob1", "a:2", 2);
      s.hear("bob", "bob1", "a:1", 1);
    }],
    "two of different rooms that changed places at one client": [["disorder"], (s) => {
      for (const c of ["ann", "bob"]) s.join(c, `${c}1`, "blue");
      for (const [m, seq, room] of [["a:1", 1, "red"], ["a:2", 2, "blue"]]) {
        s.send(m, { kind: "tell", room });
        s.ack(m, seq);
        s.hear("ann", "ann1", m, seq, room);
      }
      s.hear("bob", "bob1", "a:2", 2, "blue");
      s.hear("bob", "bob1", "a:1", 1, "red");
    }],
    "one that a life which ended missed before another of another room": [["loss"], (s) => {
      for (const c of ["ann", "bob"]) s.join(c, `${c}1`, "blue");
      s.send("a:1", { kind: "tell" });
      s.ack("a:1", 1);
      s.hear("ann", "ann1", "a:1", 1);
      s.said("a:2", 2, "blue");
      away(s);
      s.wait(window + 1);
      s.connect("bob", "bob2");
      s.join("bob", "bob2");
      s.join("bob", "bob2", "blue");
    }],
    "two of one connection that were stored in another order": [["disorder", "not acked", "not acked"], (s) => {
      s.send("a:1", { kind: "tell" });
      s.send("a:2", { kind: "tell" });
      for (const c of ["ann", "bob"]) (s.hear(c, `${c}1`, "a:2", 1), s.hear(c, `${c}1`, "a:1", 2));
    }],
    "one that was stored before another that had been acked when it was sent": [["disorder", "not acked"], (s) => {
      s.send("a:1", { kind: "tell" });
      s.ack("a:1", 2);
      s.send("a:2", { kind: "tell", connection: "ann/2" });
      for (const c of ["ann", "bob"]) (s.hear(c, `${c}1`, "a:2", 1), s.hear(c, `${c}1`, "a:1", 2));
    }],
    "one that nobody sent": [["phantom"], (s) => s.hear("bob", "bob1", "z:1", 1)],
    "one of another room": [["phantom"], (s) => (s.said("a:1", 1), s.hear("bob", "bob1", "a:1", 1, "blue"))],
    "one of a room that the client is not in": [["phantom", "not acked"], (s) => (s.send("a:1", { room: "blue", kind: "tell" }), s.hear("bob", "bob1", "a:1", 1, "blue"))],
    "one under two ids": [["phantom", "duplicate"], (s) => (s.said("a:1", 1), s.hear("bob", "bob1", "a:1", 2))],
    "two under one id": [["phantom"], (s) => {
      s.said("a:1", 1);
      s.send("a:2", { kind: "tell" });
      s.hear("bob", "bob1", "a:2", 1);
    }, ["loss", "not acked"]],
    "one kept that nobody posted": [["phantom"], (s) => s.keep("z:1", 1)],
    "an emit that was kept": [["phantom"], (s) => {
      s.send("a:1", { kind: "tell" });
      s.ack("a:1", 1);
      for (const c of ["ann", "bob"]) s.hear(c, `${c}1`, "a:1", 1);
      s.keep("a:1", 1);
    }],
    "a client that had to start afresh": [["afresh"], (s) => {
      s.said("a:1", 1);
      away(s);
      s.connect("bob", "bob2");
      s.join("bob", "bob2");
    }],
    "one that had heard nothing": [["afresh"], (s) => {
      away(s);
      s.connect("bob", "bob2");
      s.join("bob", "bob2");
    }],
    "a client that heard something before it was connected again": [["disorder"], (s) => {
      s.said("a:1", 1);
      away(s);
      s.send("a:2", { kind: "tell" });
      s.ack("a:2", 2);
      s.hear("ann", "ann1", "a:2", 2);
      s.hear("bob", "bob1", "a:2", 2);
      back(s);
    }],
    "a client that came back as somebody else": [["afresh", "phantom"], (s) => {
      away(s);
      s.connect("bob", "cid1", true);
      s.join("bob", "cid1");
    }],
    "one that is never acked": [["not acked"], (s) => s.send("a:1")],
    "one that was stored twice": [["duplicate"], (s) => (s.said("a:1", 1), s.send("a:1"), s.ack("a:1", 2))],
    "a refusal": [["refused"], (s) => s.note({ e: "refused", c: "bob", why: "forbidden" })],
    "a client that is away in the end": [["stranded"], away],
    "a client that is not in its room in the end": [["stranded"], (s) => s.note({ e: "joining", c: "bob", life: "bob1", room: "blue" })],
    "a history that does not answer": [["unanswered"], (s) => s.note({ e: "unanswered", why: "waited in vain" })],
    "a post that history does not have": [["not kept"], (s) => {
      s.send("a:1");
      s.ack("a:1", 1);
      for (const c of ["ann", "bob"]) s.hear(c, `${c}1`, "a:1", 1);
    }],
  };
  for (const [name, [kinds, tell, more = []]] of Object.entries(stories)) test(name, () => assert.deepEqual(verdict(tell).sort(), [...kinds, ...more].sort()));
});

test("what is planted in a log without flaws is found, and nothing else", () => {
  const log = story((s) => {
    for (const c of ["ann", "bob"]) s.join(c, `${c}1`, "blue");
    s.said("a:1", 1);
    away(s);
    back(s);
    for (let n = 2; n < 10; n++) s.said(`a:${n}`, n, n % 2 ? "red" : "blue");
  });
  for (const [name, plant] of Object.entries(plants)) {
    const found = new Set(check(plant(log), { window }).wrong.map(({ kind }) => kind));
    assert.ok([...found].some((kind) => name.startsWith(kind)), `${name}: found ${[...found]}`);
  }
  assert.deepEqual(check(log, { window }).wrong, [], "the log itself is as it was");
  for (const kind of Object.keys(kinds)) assert.ok(Object.keys(plants).some((name) => name.startsWith(kind)), `nobody plants ${kind}`);
});
