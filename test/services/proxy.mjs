// A proxy that never sends two requests of a session to the same gateway in a row, nor the
// first one to the gateway that opened it.

import { once } from "node:events";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { client } from "../harness.mjs";

// proxy starts one until the test is over. make makes its clients.
export async function proxy(t, gateways, make = client) {
  const last = new Map();
  const choose = (url) => {
    const sid = new URL(url, "http://localhost").searchParams.get("sid") ?? "";
    const before = last.get(sid) ?? gateways.findIndex((gateway, i) => sid.startsWith(`g${i + 1}.`));
    let i = before;
    do i = (i + 1) % gateways.length;
    while (down.has(gateways[i]));
    last.set(sid, i);
    return new URL(gateways[i].url);
  };
  const down = new Set();
  const server = createServer((req, res) => {
    const { hostname, port } = choose(req.url);
    const onward = request({ hostname, port, method: req.method, path: req.url, headers: req.headers, agent: false }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
      answer.on("error", () => res.destroy());
    });
    onward.on("error", () => res.destroy());
    res.on("close", () => onward.destroy());
    req.pipe(onward);
  });
  server.on("upgrade", (req, socket, head) => {
    const { hostname, port } = choose(req.url);
    const onward = connect(Number(port), hostname, () => {
      const headers = req.rawHeaders.reduce((text, value, i) => text + (i % 2 ? `${value}\r\n` : `${value}: `), "");
      onward.write(`GET ${req.url} HTTP/1.1\r\n${headers}\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    for (const [one, other] of [[socket, onward], [onward, socket]]) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const clients = [];
  t.after(async () => {
    for (const socket of clients) socket.disconnect();
    server.closeAllConnections();
    await once(server.close(), "close");
  });
  return {
    down,
    client: ({ namespace = "/", ...options } = {}) => {
      const socket = make(`http://127.0.0.1:${server.address().port}`, namespace, options);
      clients.push(socket);
      return socket;
    },
  };
}
