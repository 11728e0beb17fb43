// A process with some of the clients. It is told by its parent what to do, and may be stopped for a while at any time.

import { Client } from "./client.mjs";
import { journal } from "./journal.mjs";

const { names, url, token, path, every, seed } = JSON.parse(process.argv[2]);
const { write, close } = journal(path);
const clients = names.map((name, i) => new Client({ name, url, token, write, every, seed: seed + i }));

const tasks = {
  quiet: () => clients.forEach((client) => client.quiet()),
  expect: ({ marks }) => clients.forEach((client) => client.expect(marks)),
  settled: () => clients.filter((client) => !client.settled).map((client) => client.name),
  end: async () => {
    for (const client of clients) client.close();
    await close();
  },
};

process.on("message", async ({ id, task, ...args }) => {
  process.send({ id, result: (await tasks[task](args)) ?? null });
  if (task === "end") process.disconnect();
});
// Without its parent it has nothing to do.
process.on("disconnect", () => process.exit(0));
