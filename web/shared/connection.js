/**
 * One Socket.IO connection to a namespace: what state it is in, said in words, and requests that are
 * answered. It uses the stock client, which the page loads as a script.
 */
import { sentence } from "./session.js";

/**
 * @typedef {'idle' | 'connecting' | 'connected' | 'reconnecting' | 'refused' | 'ended'} Phase
 *   idle: not wanted · reconnecting: the client tries again by itself · refused: the server did not let us in ·
 *   ended: the server closed it. After the last two nothing happens until connect() is called.
 */

/** A request that was refused or got no answer. */
export class RequestError extends Error {
  /**
   * @param {string} code of the refusal; "lost" if nobody knows whether it was done
   * @param {string} message for the person who reads it
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const answerTimeout = 10_000; // milliseconds

/**
 * Dispatches "phase" when the phase or the reason changes, and "up" with every connection.
 */
export class Connection extends EventTarget {
  /** @type {Phase} */
  phase = "idle";
  /** Why we are not connected, for people. */
  reason = "";
  /** Since when we are connected, in milliseconds since 1970. */
  since = 0;
  /** Ids that this page had, so that what it said before a reconnect is still its own. */
  ids = new Set();

  /**
   * @param {string} namespace
   * @param {() => Record<string, unknown>} auth asked at every connect
   */
  constructor(namespace, auth) {
    super();
    const { io } = /** @type {any} */ (globalThis);
    this.socket = io(namespace, {
      autoConnect: false,
      reconnectionDelayMax: 4000,
      auth: (/** @type {(data: object) => void} */ give) => give(auth()),
    });
    this.socket.on("connect", () => this.#connected());
    this.socket.on("disconnect", (/** @type {string} */ reason) => this.#disconnected(reason));
    this.socket.on("connect_error", (/** @type {Error} */ error) => this.#failed(error));
  }

  /** @returns {string | undefined} */
  get id() {
    return this.socket.id;
  }

  /** Connects, or connects anew so that what auth() says now counts. */
  connect() {
    this.socket.disconnect();
    this.#enter("connecting", "");
    this.socket.connect();
  }

  close() {
    this.socket.disconnect();
    this.#enter("idle", "");
  }

  /**
   * @param {string} event
   * @param {(...args: any[]) => void} listener
   */
  on(event, listener) {
    this.socket.on(event, listener);
  }

  /**
   * Says something that need not arrive.
   *
   * @param {string} event
   * @param {...unknown} args
   */
  whisper(event, ...args) {
    if (this.phase === "connected") this.socket.volatile.emit(event, ...args);
  }

  /**
   * Asks and waits for the answer. Nothing is kept back while there is no connection: the caller knows best
   * what is still wanted later.
   *
   * @param {string} event
   * @param {...unknown} args
   * @returns {Promise<any>} the answer, whose ok is true
   * @throws {RequestError}
   */
  async request(event, ...args) {
    if (this.phase !== "connected") throw new RequestError("offline", "There is no connection now.");
    let reply;
    try {
      reply = await this.socket.timeout(answerTimeout).emitWithAck(event, ...args);
    } catch {
      const why = this.socket.connected ? "The server did not answer in time." : "The connection broke before the server answered.";
      throw new RequestError("lost", why);
    }
    if (reply?.ok === true) return reply;
    const message = typeof reply?.message === "string" ? reply.message : "the server refused without a reason";
    throw new RequestError(String(reply?.code ?? "unknown"), sentence(message));
  }

  #connected() {
    this.ids.add(this.socket.id);
    this.since = Date.now();
    this.#enter("connected", "");
    this.dispatchEvent(new CustomEvent("up", { detail: { recovered: this.socket.recovered === true } }));
  }

  /** @param {string} reason */
  #disconnected(reason) {
    if (reason === "io client disconnect") return;
    if (reason === "io server disconnect") this.#enter("ended", "The server ended this connection.");
    else this.#enter("reconnecting", lossReason(reason));
  }

  /** @param {Error} error */
  #failed(error) {
    if (this.socket.active) this.#enter("reconnecting", unreachable());
    else this.#enter("refused", sentence(error.message));
  }

  /**
   * @param {Phase} phase
   * @param {string} reason
   */
  #enter(phase, reason) {
    this.phase = phase;
    this.reason = reason;
    this.dispatchEvent(new Event("phase"));
  }
}

/** @param {string} reason as the stock client gives it: https://socket.io/docs/v4/client-socket-instance/#disconnect */
function lossReason(reason) {
  if (!navigator.onLine) return "This device is offline.";
  switch (reason) {
    case "ping timeout":
      return "The server stopped answering.";
    case "parse error":
      return "The server sent something that cannot be read.";
    default:
      return "The connection was lost.";
  }
}

function unreachable() {
  return navigator.onLine ? "The server cannot be reached." : "This device is offline.";
}

/**
 * Whether the stock client was loaded; if not, what the server said instead of it.
 *
 * @returns {Promise<string | undefined>}
 */
export async function missingClient() {
  if ("io" in globalThis) return undefined;
  try {
    const answer = await fetch("/socket.io/socket.io.js");
    if (!answer.ok) return sentence(await answer.text());
  } catch {
    // The server is gone: the sentence below says so.
  }
  return "The Socket.IO client could not be loaded. Reload the page when the server can be reached.";
}
