/**
 * Messages on their way: of each room one at a time, so that they are stored as they were written. What was written
 * without a connection waits for one. What was sent and not answered is sent again, with the same id, so that the server
 * stores it once; but not for ever, since the server forgets ids.
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
    room.timeline.pend(key, text, { time: new Date().toISOString(), name: this.identity.name, user: this.identity.session?.user });
    room.mark = undefined;
    this.flush(room);
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

  /** @param {Room} room where the next message may go out, if one waits */
  async flush(room) {
    const item = room.timeline.items.find(({ state }) => state === "sending");
    if (!item || item.sent || room.state !== "in" || this.connection.phase !== "connected") return; // called again then
    if (item.since && Date.now() - item.since > sentAgainFor) room.timeline.fail(item, "Whether the server has it is not known.");
    else await this.#post(room, item);
    this.changed(room);
    return this.flush(room);
  }

  /** @param {Room} room that does not let us in: what waits there is the person's to decide on */
  hold(room) {
    for (const item of room.timeline.items) if (!item.sent) room.timeline.fail(item, room.problem);
  }

  /**
   * @param {Room} room
   * @param {Item} item
   */
  async #post(room, item) {
    room.timeline.given(item, this.connection.id);
    try {
      const { id } = await this.connection.request("room message", room.name, item.text, item.key);
      room.timeline.confirm(item, { id });
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      item.sent = false;
      if (error.code === "lost") return; // said again now, or when we are in the room again
      // What was said when nobody had noticed that the connection was gone goes out on the next one, before we are in the room.
      if (error.code !== "forbidden" || item.refused || room.state === "refused") room.timeline.fail(item, error.message);
      else if (room.state === "in") this.enter(room);
      item.refused = true;
    }
  }
}
