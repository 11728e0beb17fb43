// A network that breaks: a proxy for TCP connections, which end when they have brought the client a number of bytes.

import { once } from "node:events";
import { connect, createServer } from "node:net";

// breaking starts one in front of a port until the test is over. limits are for how many bytes the next connections that
// bring more than that last; those after them last for ever. While it is cut, there are none.
export async function breaking(t, port) {
  const open = new Set();
  const network = { limits: [], broken: 0, cut: false, url: undefined };
  const server = createServer((client) => {
    if (network.cut) return client.destroy();
    const server = connect(port, "127.0.0.1");
    const pair = [client, server];
    let brought = 0;
    open.add(pair);
    for (const [one, other] of [[client, server], [server, client]]) {
      one.on("error", () => other.destroy());
      one.on("close", () => {
        other.destroy();
        open.delete(pair);
      });
    }
    client.pipe(server);
    server.on("data", (data) => {
      const room = (network.limits[0] ?? Infinity) - brought;
      brought += data.length;
      if (data.length <= room) return void client.write(data);
      network.limits.shift();
      network.broken++;
      server.removeAllListeners("data").removeAllListeners("close").destroy();
      client.end(data.subarray(0, Math.max(room, 0)), () => client.destroySoon()); // the client gets what was under way
    });
    server.on("end", () => client.end());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  network.url = `http://127.0.0.1:${server.address().port}`;
  network.break = () => {
    network.cut = true;
    for (const pair of open) for (const end of pair) end.destroy();
  };
  t.after(() => {
    network.break();
    return once(server.close(), "close");
  });
  return network;
}
