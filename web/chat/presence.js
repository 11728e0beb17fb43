/**
 * Who is in the rooms, and who is typing: as those who come and go are announced, and as the server says
 * when it is asked. Announcements may be lost: each is a reason to ask, and so are half a minute without one
 * and words of somebody unknown.
 *
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("../shared/types.js").Stamp} Stamp
 * @typedef {import("../shared/types.js").Member} Member
 */

const askDelay = 300; // milliseconds: many come and go at once after a restart
const askSpread = 20; // milliseconds for each who is there: all pages have the same reason to ask
const askEvery = 30_000; // milliseconds
const askAgain = 4000; // milliseconds

export class Presence {
  /** @type {Map<Room, number>} */
  #timers = new Map();

  /**
   * @param {import("../shared/connection.js").Connection} connection
   * @param {Map<string, Room>} rooms by name
   * @param {(room: Room) => void} changed
   * @param {(room: Room) => void} out we are not in the room any more
   */
  constructor(connection, rooms, changed, out) {
    this.connection = connection;
    this.rooms = rooms;
    this.changed = changed;
    this.out = out;
    setInterval(() => this.#askAll(), askEvery);
    document.addEventListener("visibilitychange", () => this.#askAll());
    connection.on("joined", (room, stamp) => this.#came(room, stamp, true));
    connection.on("left", (room, stamp) => this.#came(room, stamp, false));
    connection.on("typing", (room, stamp) => this.#typing(room, stamp));
  }

  /**
   * @param {Room} room
   * @param {number} [delay] milliseconds
   */
  ask(room, delay = 0) {
    clearTimeout(this.#timers.get(room));
    this.#timers.set(room, Number(setTimeout(() => this.#ask(room), delay)));
  }

  /**
   * Asks once more when others who were cut off, too, have come back: of that nobody is told.
   *
   * @param {Room} room
   */
  askAgain(room) {
    setTimeout(() => this.ask(room), askAgain * (1 + Math.random()));
  }

  /**
   * Somebody said something: they are in the room, whether or not their coming was heard.
   *
   * @param {Room} room
   * @param {Stamp} stamp
   */
  heard(room, stamp) {
    const stopped = room.stopsTyping(stamp.socket);
    const unknown = stamp.socket && room.members && !room.members.some((member) => member.id === stamp.socket);
    if (stopped) this.changed(room);
    if (unknown) this.#askSoon(room);
  }

  /** @param {Room} room what everybody there was told is a reason to ask */
  #askSoon(room) {
    const spread = Math.min((room.members?.length ?? 0) * askSpread, askEvery);
    this.ask(room, askDelay + Math.random() * spread);
  }

  #askAll() {
    if (document.visibilityState !== "visible" || this.connection.phase !== "connected") return;
    for (const room of this.rooms.values()) if (room.members) this.ask(room);
  }

  /** @param {Room} room there is no connection: nothing is known */
  forget(room) {
    clearTimeout(this.#timers.get(room));
    room.members = undefined;
    for (const socket of [...room.typing.keys()]) room.stopsTyping(socket);
    this.changed(room);
  }

  /** @param {Room} room */
  async #ask(room) {
    this.#timers.delete(room);
    if (room.state !== "in") return;
    const { id } = this.connection;
    try {
      const { members, complete } = await this.connection.request("who", room.name);
      if (!Array.isArray(members) || room.state !== "in" || this.connection.id !== id) return;
      // Of those whose gateway did not answer nothing is known, nor of us.
      room.members = complete === false ? [...members, ...without(room.members, members)] : members;
      this.changed(room);
      if (complete !== false && !members.some((member) => member.id === id)) this.out(room);
    } catch {
      // Who is there is shown as far as it is known; the next one who comes or goes is a reason to ask again.
    }
  }

  /**
   * @param {string} name
   * @param {unknown} stamp
   * @param {boolean} here
   */
  #came(name, stamp, here) {
    const room = this.rooms.get(name);
    if (!room || !isStamp(stamp) || stamp.socket === this.connection.id) return;
    if (here) room.arrived(stamp);
    else room.went(stamp);
    room.stopsTyping(stamp.socket);
    this.changed(room);
    this.#askSoon(room);
  }

  /**
   * @param {string} name
   * @param {unknown} stamp
   */
  #typing(name, stamp) {
    const room = this.rooms.get(name);
    if (!room || !isStamp(stamp)) return;
    room.types(stamp, () => this.changed(room));
    this.changed(room);
  }
}

/**
 * @param {Member[] | undefined} known
 * @param {Member[]} members
 */
const without = (known, members) => known?.filter(({ id }) => !members.some((member) => member.id === id)) ?? [];

/**
 * @param {unknown} value an argument of an event, which anyone may have sent
 * @returns {value is Stamp}
 */
export function isStamp(value) {
  return typeof value === "object" && value !== null && "time" in value;
}
