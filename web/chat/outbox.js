/**
 * Messages on their way. What was written without a connection waits and is sent once; what was sent and
 * not answered is never sent again by itself, because it may have been stored.
 */
import { RequestError } from "../shared/connection.js";

/**
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("./timeline.js").Item} Item
 */

export class Outbox {
  /**
   * @param {import("../shared/connection.js").Connection} connection
   * @param {import("./identity.js").Identity} identity
   * @param {(room: Room) => void} changed
   * @param {(room: Room) => void} enter asked when the server says that we are not in the room
   */
  constructor(connection, identity, changed, enter) {
    this.connection = connection;
    this.identity = identity;
    this.changed = changed;
    this.enter = enter;
  }

  /**
   * @param {Room} room
   * @param {string} text
   */
  send(room, text) {
    const item = room.timeline.pend(text, { time: new Date().toISOString(), name: this.identity.name, user: this.identity.session?.user });
    room.mark = undefined;
    this.#post(room, item);
    this.changed(room);
  }

  /**
   * @param {Room} room
   * @param {Item} item one that failed
   */
  retry(room, item) {
    room.timeline.remove(item);
    this.send(room, item.text);
  }

  /**
   * @param {Room} room
   * @param {Item} item
   */
  discard(room, item) {
    room.timeline.remove(item);
    this.changed(room);
  }

  /** @param {Room} room we are in it now: what waited goes out, in order */
  flush(room) {
    for (const item of room.timeline.items) if (item.state === "sending" && !item.sent) this.#post(room, item);
  }

  /**
   * @param {Room} room
   * @param {Item} item
   */
  async #post(room, item) {
    if (room.state !== "in") return; // flush comes
    item.sent = true;
    item.stamp.socket = this.connection.id;
    try {
      const { id } = await this.connection.request("room message", room.name, item.text);
      room.timeline.confirm(item, { id });
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      room.timeline.fail(item, error.message);
      if (error.code === "forbidden") this.enter(room);
    }
    this.changed(room);
  }
}
