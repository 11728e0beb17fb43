/**
 * Sees to it that nothing is missing in what was loaded. History is written behind live delivery: a page lacks what was
 * said just before it was asked for, and what an instance of history had in its hands when it was killed, or hangs with,
 * though newer messages are stored. So one reads on until one comes to what was heard live. Where nothing is said, that
 * is looked at again when whatever was under way must be stored.
 */
import { RequestError } from "../shared/connection.js";
import { jittered, longer } from "./backoff.js";
import { settle } from "./history.js";

/**
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("./timeline.js").Item} Item
 */

const firstDelay = 1500; // milliseconds
const storedAfter = 40_000; // milliseconds: what an instance was killed with is given to another one after 30 seconds

export class Settling {
  /** @type {Map<Room, number>} */
  #timers = new Map();

  /**
   * @param {import("../shared/connection.js").Connection} connection
   * @param {(room: Room, items: Item[]) => void} brought
   */
  constructor(connection, brought) {
    this.connection = connection;
    this.brought = brought;
  }

  /**
   * @param {Room} room its page was loaded, its first message heard, or the connection is back
   * @param {number} [delay] milliseconds
   */
  soon(room, delay = firstDelay) {
    if (room.settled === undefined) return;
    clearTimeout(this.#timers.get(room));
    this.#timers.set(room, Number(setTimeout(() => this.#settle(room, delay), jittered(delay))));
  }

  /**
   * @param {Room} room
   * @param {number} delay milliseconds that were waited
   */
  async #settle(room, delay) {
    this.#timers.delete(room);
    if (room.settled === undefined || room.state !== "in") return; // it is begun anew when we are in it again
    try {
      const { items, newer, held } = await settle(this.connection, room);
      this.brought(room, items);
      if (held) this.soon(room, longer(delay));
      else if (newer) this.soon(room, 0);
      else this.#nothingNewer(room, delay);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.soon(room, longer(delay));
    }
  }

  /**
   * @param {Room} room history has nothing newer, nor what was heard live: that may be no post
   * @param {number} delay milliseconds that were waited
   */
  #nothingNewer(room, delay) {
    const left = room.entered + storedAfter - Date.now();
    if (left <= 0) room.settled = undefined;
    else this.soon(room, room.firstLive ? longer(delay) : left * 1.5);
  }
}
