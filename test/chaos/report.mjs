// Says what a run was and how it ended, in what does not depend on the machine.

import { kinds } from "./check.mjs";

const table = (head, rows) => [`| ${head.join(" | ")} |`, `|${head.map(() => "---").join("|")}|`, ...rows.map((row) => `| ${row.join(" | ")} |`)].join("\n");

// Who was hit, by the kind of process.
const whom = (target) => (target.includes("+") ? "two nats-servers at a time" : target.includes("-") ? "route between nats-servers" : { n: "nats-server", g: "gateway", a: "auth", h: "history", d: "database", c: "clients" }[target[0]]);

// report is Markdown. found are the planted flaws that the checker has found.
export function report({ seed, minutes, wrong, facts, found }) {
  const { faults, ...figures } = facts;
  const acts = [...new Set([...faults.keys()].map((key) => key.replace(/ \S+$/, "")))].sort();
  const targets = new Map();
  for (const [key, n] of faults) {
    const act = key.replace(/ \S+$/, "");
    const row = whom(key.slice(act.length + 1));
    targets.set(row, { ...targets.get(row), [act]: (targets.get(row)?.[act] ?? 0) + n });
  }
  const verdict = wrong.length === 0 ? "**Nothing is wrong**: no loss, no duplicate, no disorder, nothing that nobody said." : `**${wrong.length} things are wrong.**`;
  return [
    `Seed ${seed}, ${minutes} ${minutes === 1 ? "minute" : "minutes"}: \`make chaos SEED=${seed} MINUTES=${minutes}\``,
    verdict,
    ...(wrong.length === 0 ? [] : [table(["what", "times", "for example"], Object.keys(kinds).flatMap((kind) => {
      const those = wrong.filter((one) => one.kind === kind);
      return those.length === 0 ? [] : [[`${kind}: ${kinds[kind]}`, those.length, those[0].what]];
    }))]),
    ...(found ? [`Planted in the logs of this run, and found: ${found.join(", ")}.`] : []),
    table(["hit", ...acts], [...targets].sort().map(([row, by]) => [row, ...acts.map((act) => by[act] ?? "")])),
    table(["", ""], Object.entries(figures)),
  ].join("\n\n") + "\n";
}
