// Connections that can be cut: everything that talks to something else goes through one.

import { once } from "node:events";
import { connect, createServer } from "node:net";

// Link carries connections to one port. It is open; cut: those that there are break, new ones are refused; or hung:
// nothing goes through in either direction, and nobody is told.
export class Link {
  #pairs = new Set();
  #server;
  state = "open";

  constructor(target) {
    this.target = target;
  }

  // listen takes connections on a port of its own.
  async listen() {
    this.#server = createServer({ pauseOnConnect: true }, async (socket) => {
      socket.on("error", () => {}); // close follows
      if (!(await this.carry(socket))) socket.resetAndDestroy();
    });
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
    this.port = this.#server.address().port;
    return this;
  }

  // carry connects a socket, of which nothing was read yet, with the target; false if that cannot be.
  async carry(socket) {
    if (this.state === "cut") return false;
    const onward = connect({ host: "127.0.0.1", port: this.target, noDelay: true });
    onward.on("error", () => {}); // close follows
    const reached = await new Promise((resolve) => {
      onward.once("connect", () => resolve(true));
      onward.once("close", () => resolve(false));
    });
    if (!reached || socket.destroyed || this.state === "cut") {
      onward.destroy();
      return false;
    }
    socket.setNoDelay(true);
    const pair = { ends: [socket, onward], broken: false };
    this.#pairs.add(pair);
    this.#join(pair, socket, onward);
    this.#join(pair, onward, socket);
    if (this.state === "open") for (const end of pair.ends) end.resume();
    return true;
  }

  #join(pair, from, to) {
    from.pause();
    from.on("data", (data) => to.write(data) || from.pause());
    to.on("drain", () => this.state === "open" && from.resume());
    from.on("close", () => {
      this.#pairs.delete(pair);
      if (this.state === "hung" && !to.destroyed) {
        pair.broken = true;
        this.#pairs.add(pair);
        return;
      }
      to.destroySoon();
    });
  }

  // cut breaks all connections and refuses new ones.
  cut() {
    this.state = "cut";
    for (const { ends } of this.#pairs) for (const end of ends) end.resetAndDestroy();
  }

  // hang lets nothing through.
  hang() {
    this.state = "hung";
    for (const { ends } of this.#pairs) for (const end of ends) end.pause();
  }

  // open lets everything through again, what waited too.
  open() {
    this.state = "open";
    for (const { ends, broken } of this.#pairs) for (const end of ends) broken ? end.destroy() : end.resume();
  }

  close() {
    this.cut();
    this.#server?.close();
  }
}

// Door spreads connections over links as a load balancer does: each to the next one that takes it.
export class Door {
  #next = 0;
  #server;

  constructor(links) {
    this.links = links;
  }

  async listen() {
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#carry(socket));
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
    this.port = this.#server.address().port;
    return this;
  }

  async #carry(socket) {
    socket.on("error", () => {}); // close follows
    for (const _ of this.links) {
      if (await this.links[this.#next++ % this.links.length].carry(socket)) return;
    }
    socket.resetAndDestroy();
  }

  close() {
    for (const link of this.links) link.close();
    this.#server?.close();
  }
}
