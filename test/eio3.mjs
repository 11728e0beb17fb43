// Stock clients of Socket.IO 2, which speak Engine.IO 3 and know no promises.

import io from "socket.io-client-2";
import { next, timeout, within } from "./harness.mjs";

// client makes one with a connection of its own, which loses no time when it connects again.
export function client(url, namespace = "/", options = {}) {
  return io(url + namespace, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
}

// connected waits until a client is in its namespace; a refusal fails at once.
export async function connected(socket) {
  if (socket.connected) return socket;
  let refuse;
  const refused = new Promise((_, reject) => {
    refuse = (reason) => reject(new Error(`refused: ${JSON.stringify(reason)}`));
    socket.on("error", refuse);
  });
  try {
    await Promise.race([next(socket, "connect"), refused]);
  } finally {
    socket.off("error", refuse);
  }
  return socket;
}

// ask emits with ack and a deadline.
export const ask = (socket, event, ...args) => within(new Promise((resolve) => socket.emit(event, ...args, resolve)), `the ack of ${event}`, timeout);

// clients makes clients of a Natter that are disconnected after the tests.
export function clients(t, natter) {
  const all = [];
  t.after(() => all.forEach((socket) => socket.disconnect()));
  const make = (namespace, { beside, ...options } = {}) => {
    const socket = beside ? beside.io.socket(namespace, options) : client(natter().url, namespace, options);
    all.push(socket);
    return socket;
  };
  return { client: make, connected: (namespace, options) => connected(make(namespace, options)) };
}
