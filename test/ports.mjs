// Ports for processes: below those that the system gives to outgoing connections (32768 and above on Linux), or one of these may
// have a port just when its process starts, or comes back. Test files run side by side: each has a share of the ports by its pid.

import { once } from "node:events";
import { createServer } from "node:net";

const [lowest, highest, share] = [20_000, 32_000, 200];
const first = lowest + (process.pid % ((highest - lowest) / share)) * share;
let next = Math.floor(Math.random() * share);

// freePorts finds ports that nobody listens on, each time others.
export async function freePorts(n) {
  const found = [];
  for (let tries = 0; found.length < n; tries++) {
    if (tries > share) throw new Error(`cannot find ${n} free ports from ${first} to ${first + share - 1}`);
    const port = first + (next++ % share);
    const server = createServer();
    const free = await new Promise((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await once(server.close(), "close");
    found.push(port);
  }
  return found;
}
