/**
 * The way into the rooms: with each connection they are entered anew, or gone on with, and what was said meanwhile is
 * brought.
 */
import { RequestError } from "../shared/connection.js";
import { jittered, longer } from "./backoff.js";
import { catchUp } from "./history.js";
import { Settling } from "./settling.js";

/**
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("./timeline.js").Item} Item
 */

const retryDelay = 3000; // milliseconds

export class Entrance {
  /** @type {WeakMap<Room, number>} rooms whose history could not be had */
  #again = new WeakMap();

  /** @param {import("./chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    this.connection = chat.connection;
    this.settling = new Settling(this.connection, (room, items) => this.#brought(room, items));
    this.connection.addEventListener("up", (event) => this.#up(/** @type {CustomEvent} */ (event).detail.recovered));
    this.connection.addEventListener("phase", () => this.#phase());
  }

  /** @param {boolean} recovered connection state recovery has kept us in the rooms */
  #up(recovered) {
    for (const room of this.chat.rooms.values()) if (room.state !== "refused") this.enter(room, recovered && room.state === "away");
  }

  #phase() {
    const { phase } = this.connection;
    if (phase === "connected") return;
    for (const room of this.chat.rooms.values()) {
      if (room.state === "in") room.state = "away";
      // The person connects anew, maybe as somebody whom the room lets in.
      else if (room.state === "joining" || (room.state === "refused" && phase === "connecting")) room.state = "out";
      this.chat.presence.forget(room);
      this.chat.tell("room", { room });
    }
  }

  /**
   * @param {Room} room
   * @param {boolean} [stillIn] connection state recovery has kept us in
   */
  async enter(room, stillIn = false) {
    const { id, phase } = this.connection;
    if (phase !== "connected") return;
    if (stillIn && !room.lacks) return this.#goOn(room);
    room.settled = undefined;
    room.firstLive = undefined;
    if (room.loaded) room.gapFrom ??= room.until ?? room.timeline.newest ?? "";
    room.until = undefined;
    if (!stillIn) {
      room.state = "joining";
      room.stale = room.loaded;
      this.chat.tell("room", { room });
      try {
        await this.connection.request("join", room.name);
      } catch (error) {
        if (error instanceof RequestError) this.#notIn(room, error, id);
        return;
      }
      if (this.connection.id !== id || this.chat.rooms.get(room.name) !== room) return;
    }
    room.state = "in";
    room.entered = Date.now();
    room.problem = "";
    this.chat.tell("room", { room });
    this.chat.outbox.flush(room);
    this.chat.presence.ask(room);
    await this.catchUp(room);
    if (room === this.chat.active) this.chat.marks.look();
    else this.chat.marks.ask(room);
  }

  /**
   * Connection state recovery has kept us in, and brings what was missed: nothing is asked but who is there.
   *
   * @param {Room} room
   */
  #goOn(room) {
    room.state = "in";
    this.chat.tell("room", { room });
    this.chat.outbox.flush(room);
    this.chat.presence.ask(room);
    if (room === this.chat.active) this.chat.presence.askAgain(room);
    this.settling.soon(room);
  }

  /** @param {Room} room a service may take anybody out */
  takenOut(room) {
    room.state = "refused";
    room.problem = "You were taken out of it. Open it again to come back, if you may.";
    room.members = undefined;
    this.chat.outbox.hold(room);
    this.chat.tell("room", { room });
    this.chat.tell("rooms");
  }

  /**
   * @param {Room} room
   * @param {Item[]} items that were missing in what history gave first
   */
  #brought(room, items) {
    for (const item of items) this.chat.marks.count(room, item);
    if (items.length > 0 && room !== this.chat.active) this.chat.marks.ask(room); // it may have counted them already
    this.chat.tell("room", { room });
    this.chat.tell("rooms");
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
    if (!passes) this.chat.outbox.hold(room);
    this.chat.tell("room", { room });
    if (passes) setTimeout(() => room.state === "out" && this.chat.rooms.get(room.name) === room && this.enter(room), retryDelay);
  }

  /**
   * Brings what was missed, or its newest messages: asks until it has them, or the connection breaks.
   *
   * @param {Room} room
   * @param {number} [delay] milliseconds that were waited
   */
  async catchUp(room, delay = 0) {
    clearTimeout(this.#again.get(room));
    const loaded = catchUp(this.connection, room);
    this.chat.tell("room", { room });
    for (const item of await loaded) this.chat.marks.count(room, item);
    this.settling.soon(room);
    if (room.state === "in" && room.lacks) this.#catchUpAgain(room, longer(delay));
    this.chat.tell("room", { room });
    this.chat.tell("rooms");
  }

  /**
   * @param {Room} room
   * @param {number} delay milliseconds
   */
  #catchUpAgain(room, delay) {
    clearTimeout(this.#again.get(room));
    const again = () => room.state === "in" && room.lacks && this.catchUp(room, delay);
    this.#again.set(room, Number(setTimeout(again, jittered(delay))));
  }
}
