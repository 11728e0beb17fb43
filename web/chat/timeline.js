/**
 * What was said in one room, in the order in which it was stored, each message once: live delivery,
 * history and our own pending messages all end up here.
 *
 * @typedef {import("../shared/types.js").Stamp} Stamp
 *
 * @typedef {object} Item
 * @property {string} key stays the same for as long as the item is shown
 * @property {string} [id] the message's id; none while it is pending or if it is not stored
 * @property {string} text
 * @property {Stamp} stamp
 * @property {'sending' | 'stored' | 'failed'} state
 * @property {boolean} own
 * @property {boolean} redacted
 * @property {boolean} omitted too large for history to give it: there is no text
 * @property {string} edited when last, RFC 3339; "" if never
 * @property {boolean} deleted
 * @property {boolean} toAll said to everyone, not only to this room
 * @property {boolean} sent given to the connection, and not answered yet
 * @property {string[]} sockets ids of the connections that it was given to
 * @property {number} [since] when it was given to the first one, in milliseconds since 1970
 * @property {boolean} [refused] the server said once that we are not in the room
 * @property {{text?: string}} [wanted] what the person wants it to be, or that it be deleted, and nobody has said that it is
 * @property {string} [problem] why it failed, or its change did
 */
import { compareIds } from "./ids.js";

let liveCount = 0;

const maxEarly = 100; // changes that are kept for messages that are not here

export class Timeline {
  /** @type {Item[]} stored ones by id, then pending ones as they were written */
  items = [];
  /** @type {Map<string, Item>} */
  #byId = new Map();

  /** @type {Map<string, {time: string, text?: string}>} changes of what is not here, or not yet: a page that is on its way has it as it was */
  #early = new Map();

  /** @param {(stamp: Stamp) => boolean} isOwn */
  constructor(isOwn) {
    this.isOwn = isOwn;
  }

  /** @returns {string | undefined} */
  get oldest() {
    return this.items.find((item) => item.id)?.id;
  }

  /** @returns {string | undefined} */
  get newest() {
    return this.items.findLast((item) => item.id)?.id;
  }

  /**
   * @param {{text: string, stamp: Stamp, redacted?: boolean, omitted?: boolean, edited?: string, deleted?: string, toAll?: boolean}} message
   * @returns {Item | undefined} the item if the message is new here; undefined if it was known, or was a
   *   pending one of our own that is stored now
   */
  add({ text, stamp, redacted = false, omitted = false, edited = "", deleted = "", toAll = false }) {
    const known = stamp.id ? this.#byId.get(stamp.id) : undefined;
    if (known) {
      known.stamp = stamp;
      if (redacted) this.#redact(known);
      else if (deleted) this.#delete(known);
      else if (edited && !omitted) this.#edit(known, text, edited);
      return undefined;
    }
    const pending = toAll ? undefined : this.items.find((item) => isEcho(item, text, stamp));
    if (pending) {
      this.confirm(pending, stamp);
      return undefined;
    }
    /** @type {Item} */
    const item = {
      key: stamp.id ?? `live:${++liveCount}`,
      id: stamp.id,
      text,
      stamp,
      state: "stored",
      own: this.isOwn(stamp),
      redacted,
      omitted,
      edited,
      deleted: deleted !== "",
      toAll,
      sent: true,
      sockets: [],
    };
    if (redacted || deleted) item.text = "";
    this.#place(item);
    const early = item.id && this.#early.get(item.id);
    if (item.id && early) {
      this.#early.delete(item.id);
      this.change(item.id, early.time, early.text);
    }
    return item;
  }

  /**
   * @param {string} key an id that nobody else's message has: the gateway knows by it what is sent again
   * @param {string} text
   * @param {Stamp} stamp what the gateway will say, as far as we know
   * @returns {Item}
   */
  pend(key, text, stamp) {
    /** @type {Item} */
    const item = {
      key,
      text,
      stamp,
      state: "sending",
      own: true,
      redacted: false,
      omitted: false,
      edited: "",
      deleted: false,
      toAll: false,
      sent: false,
      sockets: [],
    };
    this.items.push(item);
    return item;
  }

  /**
   * Our message was stored: as its ack, its echo or history says, whichever comes first.
   *
   * @param {Item} item
   * @param {Partial<Stamp> & {id?: string}} stamp
   */
  confirm(item, stamp) {
    if (item.id) {
      if (item.id === stamp.id) item.stamp = { ...item.stamp, ...stamp };
      return;
    }
    this.remove(item);
    if (stamp.id && this.#byId.has(stamp.id)) return; // its echo stands here already
    item.id = stamp.id;
    item.stamp = { ...item.stamp, ...stamp };
    item.state = "stored";
    item.problem = undefined;
    this.#place(item);
  }

  /**
   * @param {Item} item
   * @param {string} problem
   */
  fail(item, problem) {
    if (item.state !== "sending") return;
    item.state = "failed";
    item.problem = problem;
  }

  /**
   * It was given to a connection.
   *
   * @param {Item} item
   * @param {string | undefined} socket
   */
  given(item, socket) {
    item.sent = true;
    item.since ??= Date.now();
    item.stamp.socket = socket;
    if (socket) item.sockets.push(socket);
  }

  /** @param {Item} item */
  remove(item) {
    this.items = this.items.filter((other) => other !== item);
    if (item.id) this.#byId.delete(item.id);
  }

  /** @param {string} id */
  has(id) {
    return this.#byId.has(id);
  }

  /** Forgets what is stored; what is on its way stays. */
  clear() {
    this.items = this.items.filter((item) => item.state !== "stored");
    this.#byId.clear();
  }

  /**
   * Forgets some of what is stored: there is a gap then, before or after what is left.
   *
   * @param {(id: string) => boolean} which
   */
  drop(which) {
    this.items = this.items.filter(({ id }) => {
      const gone = id !== undefined && which(id);
      if (gone) this.#byId.delete(id);
      return !gone;
    });
  }

  /**
   * @param {string} user
   * @param {string} [until] what was said later stays, RFC 3339; without it, nothing does
   * @returns {boolean} whether something was said by that user
   */
  redact(user, until) {
    const last = until ? Date.parse(until) : Infinity;
    const theirs = this.items.filter(({ stamp, state }) => stamp.user === user && state === "stored" && Date.parse(stamp.time) <= last);
    theirs.forEach((item) => this.#redact(item));
    return theirs.length > 0;
  }

  /**
   * A message was edited, or deleted if there is no text.
   *
   * @param {string} id
   * @param {string} time
   * @param {string | undefined} text
   * @returns {boolean} whether it is here
   */
  change(id, time, text) {
    const item = this.#byId.get(id);
    if (!item) {
      this.#keepEarly(id, time, text);
      return false;
    }
    if (text === undefined) this.#delete(item);
    else this.#edit(item, text, time);
    return true;
  }

  /**
   * @param {string} id
   * @param {string} time
   * @param {string | undefined} text
   */
  #keepEarly(id, time, text) {
    const known = this.#early.get(id);
    if (known && (known.text === undefined || Date.parse(time) < Date.parse(known.time))) return;
    this.#early.delete(id); // to be the newest
    this.#early.set(id, { time, text });
    for (const oldest of this.#early.keys()) {
      if (this.#early.size <= maxEarly) break;
      this.#early.delete(oldest);
    }
  }

  /**
   * @param {Item} item
   * @param {string} text
   * @param {string} time of two edits the later one counts, whichever is heard first
   */
  #edit(item, text, time) {
    if (item.wanted?.text === text) item.wanted = item.problem = undefined;
    if (item.redacted || item.deleted || (item.edited && Date.parse(time) < Date.parse(item.edited))) return;
    item.text = text;
    item.omitted = false;
    item.edited = time;
  }

  /** @param {Item} item */
  #delete(item) {
    item.deleted = true;
    item.text = "";
    item.wanted = item.problem = undefined;
  }

  /** @param {Item} item */
  #redact(item) {
    item.redacted = true;
    item.text = "";
    item.wanted = item.problem = undefined;
  }

  /** @param {Item} item */
  #place(item) {
    const { id } = item;
    if (id) this.#byId.set(id, item);
    const later = this.items.findIndex((other) => (other.id && id ? compareIds(other.id, id) > 0 : other.state !== "stored"));
    if (later < 0) this.items.push(item);
    else this.items.splice(later, 0, item);
  }
}

/**
 * Whether a message is a pending item of ours, told by the sender's socket and the text: the protocol of the
 * room has no other mark that both have.
 *
 * @param {Item} item
 * @param {string} text
 * @param {Stamp} stamp
 */
function isEcho(item, text, stamp) {
  return item.state !== "stored" && item.text === text && !!stamp.socket && item.sockets.includes(stamp.socket);
}
