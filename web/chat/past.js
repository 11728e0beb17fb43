/**
 * Back to a message that lies further back than what is shown of its room, and forth again. Meanwhile the room shows
 * the past: what is said live is left out until the reader has come so far, so that there is never a hole.
 *
 *   found {room, id}  a message that was asked for is here
 */
import { RequestError } from "../shared/connection.js";
import { jittered } from "./backoff.js";
import { loadAround, loadNewer } from "./history.js";

/** @typedef {import("./room.js").Room} Room */

const heldDelay = 2000; // milliseconds

export class Past extends EventTarget {
  /** @type {Set<Room>} where history has what comes next and cannot give it yet */
  #held = new Set();

  /**
   * @param {import("../shared/connection.js").Connection} connection
   * @param {(room: Room) => void} changed
   * @param {(room: Room) => void} catchUp brings what was said since room.gapFrom
   */
  constructor(connection, changed, catchUp) {
    super();
    this.connection = connection;
    this.changed = changed;
    this.catchUp = catchUp;
  }

  /**
   * @param {Room} room
   * @param {string} id
   * @throws {RequestError}
   */
  async show(room, id) {
    if (!room.timeline.has(id)) {
      if (!(await loadAround(this.connection, room, id))) throw new RequestError("not_found", "The message is not there any more.");
      this.changed(room);
    }
    this.dispatchEvent(new CustomEvent("found", { detail: { room, id } }));
  }

  /** @param {Room} room the reader comes to the end of what is here */
  async newer(room) {
    if (!room.until || room.loading || room.state !== "in" || room.historyProblem || this.#held.has(room)) return;
    const came = await loadNewer(this.connection, room);
    if (came === "held") this.#wait(room);
    else if (came === "end" && room.until && room.state === "in") {
      room.gapFrom = room.until;
      this.catchUp(room);
    }
    this.changed(room);
  }

  /** @param {Room} room */
  #wait(room) {
    this.#held.add(room);
    setTimeout(() => {
      this.#held.delete(room);
      this.changed(room); // if the reader is still at the end, the next try follows
    }, jittered(heldDelay));
  }

  /** @param {Room} room back to the newest at once */
  leave(room) {
    if (!room.until) return;
    room.timeline.clear();
    room.until = room.gapFrom = undefined;
    room.loaded = false;
    if (room.state === "in") this.catchUp(room);
  }
}
