/**
 * What the person has not read, over all devices and visits: the server remembers it for those who are signed in.
 * For guests the page counts by itself, for as long as it is open.
 */
import { RequestError } from "../shared/connection.js";
import { compareIds } from "./timeline.js";

/** @typedef {import("./room.js").Room} Room */

const tellAfter = 400; // milliseconds: who scrolls through news tells of it once

export class Marks {
  /** @type {Map<Room, number>} timers of what is to be told */
  #telling = new Map();

  /**
   * @param {import("../shared/connection.js").Connection} connection
   * @param {import("./identity.js").Identity} identity
   * @param {(room: Room) => void} changed
   */
  constructor(connection, identity, changed) {
    this.connection = connection;
    this.identity = identity;
    this.changed = changed;
  }

  /** @param {Room} room that was just entered, and is not being looked at */
  async ask(room) {
    if (!this.identity.session) return;
    const { id } = this.connection;
    try {
      const { rooms } = await this.connection.request("unread", { rooms: [room.name] });
      if (this.connection.id === id) this.#count(room, rooms?.[0]);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // counts are a service, no more: the page's own remain
    }
  }

  /**
   * @param {Room} room
   * @param {{unread?: number, read?: string} | undefined} count
   */
  #count(room, count) {
    if (!count) return;
    room.read = later(room.read, count.read);
    room.unread = Math.max(room.unread, Number(count.unread) || 0);
    const { read } = room;
    if (room.unread > 0) room.mark ??= room.timeline.items.find((item) => item.id && !item.own && (!read || compareIds(item.id, read) > 0))?.key;
    this.changed(room);
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
      const { rooms } = await this.connection.request("unread", { rooms: [room.name] });
      const now = Number(rooms?.[0]?.unread);
      if (room.unread !== unread || !(now < unread)) return; // something was said or read meanwhile
      room.unread = now;
      this.changed(room);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // the count is right with the next visit
    }
  }

  /** @param {Room} room the person has seen all of it */
  seen(room) {
    if (!this.identity.session || this.#telling.has(room)) return;
    const timer = setTimeout(() => {
      this.#telling.delete(room);
      this.#tell(room);
    }, tellAfter);
    this.#telling.set(room, Number(timer));
  }

  /** @param {Room} room */
  async #tell(room) {
    const { newest } = room.timeline;
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
    const { read } = room;
    room.unread = Math.min(room.unread, room.timeline.items.filter((item) => !item.own && !item.deleted && !item.redacted && item.id && read && compareIds(item.id, read) > 0).length);
    this.changed(room);
  }
}

/**
 * @param {string | undefined} a
 * @param {string | undefined} b
 */
function later(a, b) {
  if (!a || !b) return a || b;
  return compareIds(b, a) > 0 ? b : a;
}
