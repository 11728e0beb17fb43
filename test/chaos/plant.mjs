// Makes what must not happen happen, on paper: each takes a log in which nothing is wrong and returns one with a single
// flaw. So it is known that the checker would have found it in this very run.

const copy = (log, change) => {
  const changed = [...log];
  change(changed);
  return changed;
};

// Something in the middle of the run, that a client heard.
const inTheMiddle = (log, which) => {
  const all = log.flatMap((entry, i) => (which(entry, i) ? [i] : []));
  if (all.length === 0) throw new Error("the run has nothing to plant this flaw in");
  return all[all.length >> 1];
};
const hears = ({ e }) => e === "hear";

// swapped has something change places with the next that the same client heard, in the same life, and that suits it.
const swapped = (log, suits) =>
  copy(log, (all) => {
    const heard = log.flatMap((entry, i) => (hears(entry) ? [i] : []));
    let i, j;
    for (const at of heard.slice(heard.length >> 1)) {
      i = at;
      j = heard.find((k) => k > i && log[k].c === log[i].c && log[k].life === log[i].life && suits(log[i], log[k]));
      if (j) break;
    }
    if (!j) throw new Error("the run has nothing to plant this flaw in");
    [all[i], all[j]] = [{ ...log[j], t: log[i].t }, { ...log[i], t: log[j].t }];
  });

export const plants = {
  loss: (log) => copy(log, (all) => all.splice(inTheMiddle(log, hears), 1)),
  duplicate: (log) =>
    copy(log, (all) => {
      const i = inTheMiddle(log, hears);
      all.splice(i + 1, 0, { ...log[i] });
    }),
  disorder: (log) => swapped(log, (one, other) => one.room === other.room),
  "disorder over rooms": (log) => swapped(log, (one, other) => one.room !== other.room),
  phantom: (log) =>
    copy(log, (all) => {
      const i = inTheMiddle(log, hears);
      all.splice(i, 0, { ...log[i], m: "nobody:1", id: "0-1" });
    }),
  afresh: (log) =>
    copy(log, (all) => {
      const i = inTheMiddle(log, ({ e, recovered }) => e === "connect" && recovered);
      all[i] = { ...log[i], recovered: false };
    }),
  "not acked": (log) => {
    const { m } = log[inTheMiddle(log, ({ e }) => e === "ack")];
    return log.filter((entry) => entry.e !== "ack" || entry.m !== m);
  },
  refused: (log) => copy(log, (all) => all.splice(inTheMiddle(log, hears), 0, { e: "refused", c: "client 1", why: "planted" })),
  stranded: (log) => copy(log, (all) => all.push({ ...log.findLast(({ e }) => e === "connect"), e: "disconnect", t: Infinity })),
  unanswered: (log) => [...log, { e: "unanswered", why: "planted" }],
  "not kept": (log) =>
    copy(log, (all) => {
      const acked = new Set(log.filter(({ e }) => e === "ack").map(({ m }) => m));
      all.splice(inTheMiddle(log, ({ e, m }) => e === "kept" && acked.has(m)), 1);
    }),
  "duplicate in history": (log) =>
    copy(log, (all) => {
      const i = inTheMiddle(log, ({ e }) => e === "kept");
      all.splice(i, 0, log[i]);
    }),
};
