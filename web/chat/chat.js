/**
 * The rooms, what happens in them, and what the person does with them. It knows the connection and nothing
 * of the page: the views listen to its events.
 *
 *   rooms              the list, the active room or an unread count changed
 *   room {room}        messages or the state of a room changed
 *   people {room}      who is there, or who is typing
 *   said {room, item}  a message came live
 *   editing            a message is to be edited, or no longer
 */
import { RequestError } from "../shared/connection.js";
import { catchUp, loadOlder, settle, textOf } from "./history.js";
import { Marks } from "./marks.js";
import { Outbox } from "./outbox.js";
import { Past } from "./past.js";
import { isStamp, Presence } from "./presence.js";
import { Room } from "./room.js";

/**
 * @typedef {import("./timeline.js").Item} Item
 * @typedef {import("../shared/connection.js").Connection} Connection
 * @typedef {import("./identity.js").Identity} Identity
 * @typedef {import("../shared/types.js").Stamp} Stamp
 */

const retryDelay = 3000; // milliseconds
const settleDelay = 1500; // milliseconds

export class Chat extends EventTarget {
  /** @type {Map<string, Room>} */
  rooms = new Map();
  /** @type {Room | undefined} */
  active = undefined;
  /** @type {{room: Room, item: Item} | undefined} what the person is editing */
  editing = undefined;

  /**
   * @param {Connection} connection
   * @param {Identity} identity
   */
  constructor(connection, identity) {
    super();
    this.connection = connection;
    this.identity = identity;
    this.presence = new Presence(
      connection,
      this.rooms,
      (room) => this.#tell("people", { room }),
      (room) => this.#takenOut(room),
    );
    this.outbox = new Outbox(
      connection,
      identity,
      (room) => this.#tell("room", { room }),
      (room) => this.#enter(room),
    );
    this.past = new Past(
      connection,
      (room) => this.#tell("room", { room }),
      (room) => this.#enter(room, true),
    );
    this.marks = new Marks(connection, identity, () => this.#tell("rooms"));
    connection.addEventListener("up", (event) => this.#up(/** @type {CustomEvent} */ (event).detail.recovered));
    connection.addEventListener("phase", () => this.#phase());
    connection.on("room message", (...args) => this.#roomMessage(args));
    connection.on("chat message", (...args) => this.#chatMessage(args));
    connection.on("redacted", (fact) => this.#redacted(fact));
    for (const event of ["message edited", "message deleted"]) connection.on(event, (changed) => this.#changed(changed));
    connection.on("read", (fact) => this.#readElsewhere(fact));
    document.addEventListener("visibilitychange", () => this.#seen());
  }

  /**
   * Opens a room, entering it if we are not in it.
   *
   * @param {string} name
   */
  open(name) {
    const room = this.add(name);
    if (this.active !== room) {
      if (this.active) {
        this.active.mark = undefined;
        this.past.leave(this.active);
      }
      this.active = room;
      this.edit(undefined);
    }
    this.#seen();
    this.#tell("rooms");
    this.#tell("room", { room });
    this.#tell("people", { room });
  }

  /**
   * @param {string} name
   * @returns {Room}
   */
  add(name) {
    let room = this.rooms.get(name);
    if (!room) {
      room = new Room(name, (stamp) => this.identity.isOwn(stamp, this.connection.ids));
      this.rooms.set(name, room);
      this.#tell("rooms");
    }
    if (room.state === "out" || room.state === "refused") this.#enter(room);
    return room;
  }

  /** @param {Room} room */
  leave(room) {
    this.rooms.delete(room.name);
    if (room.state === "in") this.connection.request("leave", room.name).catch(() => {}); // the connection's end leaves too
    room.state = "out";
    if (this.active === room) {
      this.active = undefined;
      const [next] = this.rooms.values();
      if (next) return this.open(next.name);
    }
    this.#tell("rooms");
  }

  /** @param {Room} room */
  older(room) {
    const work = loadOlder(this.connection, room).then(() => this.#tell("room", { room }));
    this.#tell("room", { room });
    return work;
  }

  /**
   * Asks again for the history that could not be had.
   *
   * @param {Room} room
   */
  async retryHistory(room) {
    if (room.loaded && !room.gapFrom) await this.older(room);
    else await this.#catchUp(room);
  }

  /**
   * Whether the person may change a message: one's own, and anybody's as an administrator.
   *
   * @param {Item} item
   */
  mayChange(item) {
    const admin = this.identity.session?.roles.includes("admin") ?? false;
    // Who said it as a guest is known by the connection.
    const mine = item.stamp.user ? item.own : item.own && item.stamp.socket === this.connection.id;
    return !!item.id && !item.toAll && item.state === "stored" && !item.redacted && !item.deleted && (mine || admin);
  }

  /** @param {Item | undefined} item to edit in the open room; undefined: no longer */
  edit(item) {
    this.editing = item && this.active ? { room: this.active, item } : undefined;
    this.#tell("editing");
  }

  /**
   * @param {Room} room
   * @param {Item} item
   * @param {string | undefined} text what it shall be; undefined deletes it
   */
  async change(room, item, text) {
    try {
      if (text === undefined) await this.connection.request("delete message", { room: room.name, id: item.id });
      else await this.connection.request("edit message", { room: room.name, id: item.id, value: text });
      item.problem = undefined; // that it was done everybody hears, we too
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      item.problem = error.message;
    }
    this.#tell("room", { room });
  }

  /** @param {boolean} recovered connection state recovery has kept us in the rooms */
  #up(recovered) {
    for (const room of this.rooms.values()) this.#enter(room, recovered && room.state === "away");
  }

  #phase() {
    if (this.connection.phase === "connected") return;
    for (const room of this.rooms.values()) {
      if (room.state === "in") room.state = "away";
      else if (room.state === "joining") room.state = "out";
      this.presence.forget(room);
      this.#tell("room", { room });
    }
  }

  /**
   * @param {Room} room
   * @param {boolean} [stillIn] connection state recovery has kept us in
   */
  async #enter(room, stillIn = false) {
    const { id, phase } = this.connection;
    if (phase !== "connected") return;
    if (stillIn && room.loaded && room.gapFrom === undefined) return this.#goOn(room);
    room.settled = undefined;
    room.firstLive = undefined;
    if (room.loaded) room.gapFrom ??= room.until ?? room.timeline.newest ?? "";
    room.until = undefined;
    if (!stillIn) {
      room.state = "joining";
      this.#tell("room", { room });
      try {
        await this.connection.request("join", room.name);
      } catch (error) {
        if (error instanceof RequestError) this.#notIn(room, error, id);
        return;
      }
      if (this.connection.id !== id || this.rooms.get(room.name) !== room) return;
    }
    room.state = "in";
    room.problem = "";
    this.#tell("room", { room });
    this.outbox.flush(room);
    this.presence.ask(room);
    await this.#catchUp(room);
    if (room === this.active) this.#seen();
    else this.marks.ask(room);
    this.#settleSoon(room);
  }

  /**
   * Connection state recovery has kept us in, and brings what was missed: nothing is asked but who is there.
   *
   * @param {Room} room
   */
  #goOn(room) {
    room.state = "in";
    this.#tell("room", { room });
    this.outbox.flush(room);
    this.presence.ask(room);
    if (room === this.active) this.presence.askAgain(room);
    if (room.settled !== undefined) this.#settleSoon(room);
  }

  /** @param {Room} room a service may take anybody out */
  #takenOut(room) {
    room.state = "refused";
    room.problem = "You were taken out of it. Open it again to come back, if you may.";
    room.members = undefined;
    this.#tell("room", { room });
    this.#tell("rooms");
  }

  /** @param {Room} room */
  #settleSoon(room) {
    const { id } = this.connection;
    setTimeout(() => this.connection.id === id && room.state === "in" && this.#settle(room), settleDelay);
  }

  /** @param {Room} room */
  async #settle(room) {
    try {
      for (const item of await settle(this.connection, room)) this.#count(room, item);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return; // that history is away was said when it was asked first
    }
    this.#tell("room", { room });
    this.#tell("rooms");
  }

  /**
   * @param {Room} room
   * @param {RequestError} error
   * @param {string | undefined} id of the connection on which we asked
   */
  #notIn(room, error, id) {
    if (this.connection.id !== id) return; // the next connection enters it anew
    const passes = ["lost", "offline", "unavailable", "rate_limited"].includes(error.code);
    room.state = passes ? "out" : "refused";
    room.problem = error.message;
    this.#tell("room", { room });
    if (passes) setTimeout(() => room.state === "out" && this.rooms.get(room.name) === room && this.#enter(room), retryDelay);
  }

  /** @param {Room} room */
  async #catchUp(room) {
    const loaded = catchUp(this.connection, room);
    this.#tell("room", { room });
    for (const item of await loaded) this.#count(room, item);
    this.#tell("room", { room });
    this.#tell("rooms");
  }

  /** @param {unknown[]} args room, text, stamp; then the offset of connection state recovery */
  #roomMessage(args) {
    const room = this.rooms.get(String(args[0]));
    if (!room) return;
    const at = args.findIndex(isStamp);
    const stamp = at < 0 ? { time: new Date().toISOString() } : /** @type {Stamp} */ (args[at]);
    const item = room.hear({ text: textOf(["", ...args.slice(0, at < 0 ? 2 : at)]), stamp });
    room.firstLive ??= stamp.id;
    this.presence.heard(room, stamp);
    this.#heard(room, item);
  }

  /**
   * What is said to everyone stands in every room, among what was said there, and is new where the person is.
   *
   * @param {unknown[]} args text, stamp
   */
  #chatMessage(args) {
    const stamp = /** @type {Stamp} */ (args.find(isStamp) ?? { time: new Date().toISOString() });
    for (const room of this.rooms.values()) {
      if (room.state !== "in" && room.state !== "joining") continue; // history brings it, when what else is missing comes
      const item = room.hear({ text: textOf(["", args[0]]), stamp, toAll: true });
      if (room === this.active) this.#heard(room, item);
      else room.trim();
    }
  }

  /**
   * @param {Room} room
   * @param {Item | undefined} item
   */
  #heard(room, item) {
    if (item) {
      if (room !== this.active) room.trim();
      this.#count(room, item);
      this.#tell("said", { room, item });
      this.#tell("rooms");
      if (room === this.active) this.#seen();
    }
    this.#tell("room", { room });
  }

  /**
   * @param {Room} room
   * @param {Item} item
   */
  #count(room, item) {
    if (item.toAll && room !== this.active) return;
    if (item.own || (room === this.active && document.visibilityState === "visible")) return;
    room.unread++;
    room.mark ??= item.key;
  }

  #seen() {
    if (!this.active || document.visibilityState !== "visible") return;
    this.marks.seen(this.active);
    if (this.active.unread === 0) return;
    this.active.unread = 0;
    this.#tell("rooms");
  }

  /** @param {import("../shared/types.js").Changed} changed */
  #changed({ id, room: name, time, event }) {
    for (const room of this.rooms.values()) {
      if (name !== null && name !== room.name) continue;
      const here = this.#less(room, () => room.timeline.change(String(id), String(time), event && textOf(event)));
      if (!here && !event) this.marks.recount(room, String(id));
      if (!here) continue;
      if (this.editing?.item.id === id && !event) this.edit(undefined);
      this.#tell("room", { room });
    }
  }

  /**
   * Makes a change that may take unread messages away, which count no more then.
   *
   * @param {Room} room
   * @param {() => boolean} change says whether it concerns the room
   */
  #less(room, change) {
    const news = () => room.news(room === this.active).length;
    const before = news();
    if (!change()) return false;
    const unread = Math.max(0, room.unread - (before - news()));
    if (unread !== room.unread) {
      room.unread = unread;
      if (unread === 0) room.mark = undefined;
      this.#tell("rooms");
    }
    return true;
  }

  /** @param {{room?: string, id?: string}} fact */
  #readElsewhere(fact) {
    const room = this.rooms.get(String(fact?.room));
    if (room && typeof fact.id === "string") this.marks.heard(room, fact.id);
  }

  /** @param {{user?: string}} fact */
  #redacted(fact) {
    const user = fact?.user;
    if (!user) return;
    for (const room of this.rooms.values()) if (this.#less(room, () => room.timeline.redact(user))) this.#tell("room", { room });
  }

  /**
   * @param {string} type
   * @param {{room?: Room, item?: Item}} [detail]
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
