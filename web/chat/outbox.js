/**
 * Messages on their way. What was written without a connection waits for one. What was sent and not answered is sent
 * again, with the same id, so that the server stores it once; but not for ever, since the server forgets ids.
 */
import { RequestError } from "../shared/connection.js";
import { randomId } from "./identity.js";

/**
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("./timeline.js").Item} Item
 */

// How long after the first time something is sent again, in milliseconds. The server remembers ids for three minutes by
// default, the time of an attempt included.
const sentAgainFor = 120_000;

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
   * @param {string} [key] the message's id, if it was sent before
   */
  send(room, text, key = randomId()) {
    const item = room.timeline.pend(key, text, { time: new Date().toISOString(), name: this.identity.name, user: this.identity.session?.user });
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
    this.send(room, item.text, item.key);
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
    if (room.state !== "in" || this.connection.phase !== "connected") return; // flush comes
    if (item.since && Date.now() - item.since > sentAgainFor) {
      room.timeline.fail(item, "Whether the server has it is not known.");
      return this.changed(room);
    }
    room.timeline.given(item, this.connection.id);
    try {
      const { id } = await this.connection.request("room message", room.name, item.text, item.key);
      room.timeline.confirm(item, { id });
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.code === "lost" && item.state === "sending") {
        item.sent = false;
        return this.#post(room, item); // now, or when we are in the room again
      }
      room.timeline.fail(item, error.message);
      if (error.code === "forbidden") this.enter(room);
    }
    this.changed(room);
  }
}
