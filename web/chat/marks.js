/**
 * What the person has not read, over all devices and visits: the server remembers it for those who are signed in.
 * For guests the page counts by itself, for as long as it is open.
 */
import { RequestError } from "../shared/connection.js";
import { compareIds, later } from "./ids.js";

/**
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("./timeline.js").Item} Item
 */

const tellAfter = 400; // milliseconds: who scrolls through news tells of it once

export class Marks {
  /** @type {Map<Room, string | undefined>} the newest message that was seen, which is to be told */
  #telling = new Map();

  /** @type {Promise<unknown>} never rejected */
  #asking = Promise.resolve();

  /**
   * @param {import("../shared/connection.js").Connection} connection
   * @param {import("./identity.js").Identity} identity
   * @param {() => Room | undefined} active the room that is open
   * @param {() => void} changed
   */
  constructor(connection, identity, active, changed) {
    this.connection = connection;
    this.identity = identity;
    this.active = active;
    this.changed = changed;
    document.addEventListener("visibilitychange", () => this.look());
  }

  /**
   * Something new was said: it is unread unless the person is looking.
   *
   * @param {Room} room
   * @param {Item} item
   */
  count(room, item) {
    if (item.toAll && room !== this.active()) return;
    if (item.own || (room === this.active() && document.visibilityState === "visible")) return;
    room.unread++;
    room.mark ??= item.key;
  }

  /** The person looks at the open room. */
  look() {
    const room = this.active();
    if (!room || document.visibilityState !== "visible") return;
    this.seen(room);
    if (room.unread === 0) return;
    room.unread = 0;
    this.changed();
  }

  /**
   * Makes a change that may take unread messages away, which count no more then.
   *
   * @param {Room} room
   * @param {() => boolean} change says whether it concerns the room
   */
  less(room, change) {
    const news = () => room.news(room === this.active()).length;
    const before = news();
    if (!change()) return false;
    const unread = Math.max(0, room.unread - (before - news()));
    if (unread !== room.unread) {
      room.unread = unread;
      if (unread === 0) room.mark = undefined;
      this.changed();
    }
    return true;
  }

  /** @param {Room} room that was just entered, and is not being looked at */
  async ask(room) {
    if (!this.identity.session) return;
    const { id } = this.connection;
    try {
      const count = await this.#count(room);
      if (this.connection.id === id) this.#counted(room, count);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // counts are a service, no more: the page's own remain
    }
  }

  /**
   * @param {Room} room
   * @param {{unread?: number, read?: string} | undefined} count
   */
  #counted(room, count) {
    if (!count) return;
    room.read = later(room.read, count.read);
    if (room === this.active()) return; // opened meanwhile
    // What was counted here before may have been read on another device while there was no connection.
    this.#set(room, Math.max(Number(count.unread) || 0, unreadOf(room).length));
  }

  /**
   * A message that is not here was deleted: the server knows whether it had been read.
   *
   * @param {Room} room
   * @param {string} id
   */
  async recount(room, id) {
    const { unread, read } = room;
    if (!this.identity.session || unread === 0 || (read && compareIds(id, read) <= 0)) return;
    try {
      const now = Number((await this.#count(room))?.unread);
      if (room.unread !== unread || !(now < unread)) return; // something was said or read meanwhile
      room.unread = now;
      this.changed();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // the count is right with the next visit
    }
  }

  /**
   * Asks for one room after the other: the server refuses who asks for many at once.
   *
   * @param {Room} room
   * @returns {Promise<{unread?: number, read?: string} | undefined>}
   */
  #count(room) {
    const count = this.#asking.then(async () => (await this.connection.request("unread", { rooms: [room.name] })).rooms?.[0]);
    this.#asking = count.catch(() => {});
    return count;
  }

  /** @param {Room} room the person has seen all of it */
  seen(room) {
    if (!this.identity.session) return;
    const waits = this.#telling.has(room);
    this.#telling.set(room, room.timeline.newest); // what comes after it may come when the person looks elsewhere
    if (!waits) setTimeout(() => this.#tell(room), tellAfter);
  }

  /** @param {Room} room */
  async #tell(room) {
    const newest = this.#telling.get(room);
    this.#telling.delete(room);
    if (!newest || room.state !== "in" || later(room.read, newest) === room.read) return;
    try {
      await this.connection.request("read", { room: room.name, id: newest });
      room.read = later(room.read, newest);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // the next message that is seen tells of it
    }
  }

  /**
   * Another device of the person has read a room.
   *
   * @param {Room} room
   * @param {string} id
   */
  heard(room, id) {
    room.read = later(room.read, id);
    this.#set(room, Math.min(room.unread, unreadOf(room).length));
  }

  /**
   * @param {Room} room
   * @param {number} unread
   */
  #set(room, unread) {
    room.unread = unread;
    const items = unread > 0 ? unreadOf(room) : [];
    // In the open room the line stays where the news began.
    if (room !== this.active() && !items.some(({ key }) => key === room.mark)) room.mark = items[0]?.key;
    this.changed();
  }
}

/**
 * What others said in the room since it was read on any device, as far as it is here.
 *
 * @param {Room} room
 */
function unreadOf({ read, timeline }) {
  return timeline.items.filter(({ id, own, deleted, redacted, toAll }) => id && !own && !deleted && !redacted && !toAll && (!read || compareIds(id, read) > 0));
}
