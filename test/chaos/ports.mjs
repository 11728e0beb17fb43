// Ports for processes that are started again and again on the same ones: below those that the system gives to outgoing
// connections (32768 and above on Linux), or one of these may have a port just when its process comes back.

import { once } from "node:events";
import { createServer } from "node:net";

const [lowest, highest] = [20_000, 32_000];

// ports finds ports that nobody listens on.
export async function ports(n) {
  const found = new Set();
  for (let tries = 0; found.size < n; tries++) {
    if (tries > 100 * n) throw new Error(`cannot find ${n} free ports between ${lowest} and ${highest}`);
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    const server = createServer();
    const free = await new Promise((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await once(server.close(), "close");
    found.add(port);
  }
  return [...found];
}
