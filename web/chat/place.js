/**
 * Where the person is: the address names the open room and the settings, and this browser remembers
 * which rooms were joined.
 */
import { formatLink, parseLink } from "./link.js";

const roomsKey = "natter.rooms";
export const defaultRoom = "lobby";

export class Place extends EventTarget {
  /** @param {import("./chat.js").Chat} chat */
  constructor(chat) {
    super();
    this.chat = chat;
    this.link = parseLink(location.hash);
    this.restored = false;
    this.#colour();
    chat.addEventListener("rooms", () => this.#write());
    addEventListener("hashchange", () => this.#read());
    // The skip link's address is no place.
    document.getElementById("skip")?.addEventListener("click", (event) => {
      event.preventDefault();
      document.getElementById("composer-text")?.focus();
    });
  }

  /** The room that a link asked for, or the default. */
  get wanted() {
    return this.link.room || defaultRoom;
  }

  /** Opens the rooms of the last visit and the one that the address names. */
  restore() {
    const remembered = readRooms();
    for (const name of remembered) this.chat.add(name);
    const room = this.link.room || remembered[0] || defaultRoom;
    this.restored = true;
    this.chat.open(room);
  }

  /** @param {{people?: boolean, theme?: string}} settings */
  set(settings) {
    this.link = { ...this.link, ...settings };
    this.#colour();
    history.replaceState(null, "", formatLink(this.link));
    this.dispatchEvent(new Event("settings"));
  }

  #write() {
    if (!this.restored) return;
    localStorage.setItem(roomsKey, JSON.stringify([...this.chat.rooms.keys()]));
    const room = this.chat.active?.name ?? "";
    if (room === this.link.room) return;
    const first = this.link.room === "";
    this.link = { ...this.link, room };
    if (first) history.replaceState(null, "", formatLink(this.link));
    else history.pushState(null, "", formatLink(this.link));
  }

  #read() {
    this.link = parseLink(location.hash);
    this.#colour();
    this.dispatchEvent(new Event("settings"));
    if (this.restored && this.link.room) this.chat.open(this.link.room);
  }

  #colour() {
    if (this.link.theme) document.documentElement.dataset.theme = this.link.theme;
    else delete document.documentElement.dataset.theme;
  }
}

/** @returns {string[]} */
function readRooms() {
  try {
    const rooms = JSON.parse(localStorage.getItem(roomsKey) ?? "[]");
    return Array.isArray(rooms) ? rooms.filter((name) => typeof name === "string" && name !== "") : [];
  } catch {
    return [];
  }
}
