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
import { Entrance } from "./entering.js";
import { Hearing } from "./hearing.js";
import { loadOlder } from "./history.js";
import { Marks } from "./marks.js";
import { Outbox } from "./outbox.js";
import { Past } from "./past.js";
import { Presence } from "./presence.js";
import { Room } from "./room.js";

/**
 * @typedef {import("./timeline.js").Item} Item
 * @typedef {import("../shared/connection.js").Connection} Connection
 * @typedef {import("./identity.js").Identity} Identity
 */

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
      (room) => this.tell("people", { room }),
      (room) => this.entrance.takenOut(room),
    );
    this.outbox = new Outbox(
      connection,
      identity,
      (room) => this.tell("room", { room }),
      (room) => this.entrance.enter(room),
    );
    this.past = new Past(
      connection,
      (room) => this.tell("room", { room }),
      (room) => this.entrance.enter(room, true),
    );
    this.marks = new Marks(
      connection,
      identity,
      () => this.active,
      () => this.tell("rooms"),
    );
    this.entrance = new Entrance(this);
    new Hearing(this);
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
        this.active.mark = this.active.reading = undefined;
        this.past.leave(this.active);
      }
      this.active = room;
      this.edit(undefined);
    }
    this.marks.look();
    this.tell("rooms");
    this.tell("room", { room });
    this.tell("people", { room });
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
      this.tell("rooms");
    }
    if (room.state === "out" || room.state === "refused") this.entrance.enter(room);
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
    this.tell("rooms");
  }

  /** @param {Room} room */
  older(room) {
    const work = loadOlder(this.connection, room).then(() => this.tell("room", { room }));
    this.tell("room", { room });
    return work;
  }

  /**
   * Asks again for the history that could not be had.
   *
   * @param {Room} room
   */
  async retryHistory(room) {
    room.historyProblem = ""; // at the end of the past, what comes next is asked for then
    if (room.lacks) await this.entrance.catchUp(room);
    else await this.older(room);
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
    this.tell("editing");
  }

  /**
   * @param {Room} room
   * @param {Item} item
   * @param {string | undefined} text what it shall be; undefined deletes it
   */
  async change(room, item, text) {
    const wanted = (item.wanted = { text });
    item.problem = undefined;
    this.tell("room", { room });
    try {
      if (text === undefined) await this.connection.request("delete message", { room: room.name, id: item.id });
      else await this.connection.request("edit message", { room: room.name, id: item.id, value: text });
      item.wanted = undefined; // that it was done everybody hears, we too
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      const unknown = ["lost", "unavailable"].includes(error.code);
      if (item.wanted === wanted) item.problem = `${unknown ? "Whether it was changed is not known." : "Not changed."} ${error.message}`;
    }
    this.tell("room", { room });
  }

  /**
   * @param {string} type
   * @param {{room?: Room, item?: Item}} [detail]
   */
  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
