/**
 * What is said in the rooms and of their messages, as it is heard live.
 */
import { textOf } from "./history.js";
import { isStamp } from "./presence.js";

/**
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("./timeline.js").Item} Item
 * @typedef {import("../shared/types.js").Stamp} Stamp
 */

export class Hearing {
  /** @param {import("./chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    const { connection } = chat;
    connection.on("room message", (...args) => this.#roomMessage(args));
    connection.on("chat message", (...args) => this.#chatMessage(args));
    connection.on("redacted", (fact) => this.#redacted(fact));
    for (const event of ["message edited", "message deleted"]) connection.on(event, (changed) => this.#changed(changed));
    connection.on("read", (fact) => this.#readElsewhere(fact));
  }

  /** @param {unknown[]} args room, text, stamp; then the offset of connection state recovery */
  #roomMessage(args) {
    const room = this.chat.rooms.get(String(args[0]));
    if (!room) return;
    const at = args.findIndex(isStamp);
    const stamp = at < 0 ? { time: new Date().toISOString() } : /** @type {Stamp} */ (args[at]);
    const item = room.hear({ text: textOf(["", ...args.slice(0, at < 0 ? 2 : at)]), stamp });
    if (!room.firstLive && stamp.id) {
      room.firstLive = stamp.id;
      this.chat.entrance.settling.soon(room);
    }
    this.chat.presence.heard(room, stamp);
    this.#heard(room, item);
  }

  /**
   * What is said to everyone stands in every room, among what was said there, and is new where the person is.
   *
   * @param {unknown[]} args text, stamp
   */
  #chatMessage(args) {
    const stamp = /** @type {Stamp} */ (args.find(isStamp) ?? { time: new Date().toISOString() });
    for (const room of this.chat.rooms.values()) {
      if (room.state !== "in" && room.state !== "joining") continue; // history brings it, when what else is missing comes
      const item = room.hear({ text: textOf(["", args[0]]), stamp, toAll: true });
      if (room === this.chat.active) this.#heard(room, item);
      else room.trim();
    }
  }

  /**
   * @param {Room} room
   * @param {Item | undefined} item
   */
  #heard(room, item) {
    if (item) {
      if (room !== this.chat.active) room.trim();
      this.chat.marks.count(room, item);
      this.chat.tell("said", { room, item });
      this.chat.tell("rooms");
      if (room === this.chat.active) this.chat.marks.look();
    }
    this.chat.tell("room", { room });
  }

  /** @param {import("../shared/types.js").Changed} changed */
  #changed({ id, room: name, time, event }) {
    for (const room of this.chat.rooms.values()) {
      if (name !== null && name !== room.name) continue;
      const here = this.chat.marks.less(room, () => room.timeline.change(String(id), String(time), event && textOf(event)));
      if (!here && !event) this.chat.marks.recount(room, String(id));
      if (!here) continue;
      if (this.chat.editing?.item.id === id && !event) this.chat.edit(undefined);
      this.chat.tell("room", { room });
    }
  }

  /** @param {{room?: string, id?: string}} fact */
  #readElsewhere(fact) {
    const room = this.chat.rooms.get(String(fact?.room));
    if (room && typeof fact.id === "string") this.chat.marks.heard(room, fact.id);
  }

  /** @param {{user?: string, until?: string}} fact */
  #redacted(fact) {
    const user = fact?.user;
    if (!user) return;
    for (const room of this.chat.rooms.values()) if (this.chat.marks.less(room, () => room.timeline.redact(user, fact.until))) this.chat.tell("room", { room });
  }
}
