/**
 * The list of rooms with unread counts, the head of the open room, and the page's title.
 */
import { arrange, arrowKeys, byId, h } from "../shared/dom.js";

/** @typedef {import("./room.js").Room} Room */

export class RoomsView {
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();

  /**
   * @param {import("./chat.js").Chat} chat
   * @param {import("./panels.js").Panels} panels
   * @param {{open: () => void}} join
   * @param {{open: (room: Room) => void}} leave
   */
  constructor(chat, panels, join, leave) {
    this.chat = chat;
    this.panels = panels;
    this.list = byId("room-list");
    byId("join-open").addEventListener("click", () => join.open());
    byId("leave-room").addEventListener("click", () => chat.active && leave.open(chat.active));
    byId("copy-link").addEventListener("click", () => copyLink());
    arrowKeys(this.list);
    for (const type of ["rooms", "room", "people"]) chat.addEventListener(type, () => this.#show());
    document.addEventListener("visibilitychange", () => this.#show());
  }

  #show() {
    const rooms = [...this.chat.rooms.values()];
    arrange(
      this.list,
      rooms.map((room) => this.#row(room)),
    );
    for (const name of this.#rows.keys()) if (!this.chat.rooms.has(name)) this.#rows.delete(name);

    const unread = rooms.reduce((sum, room) => sum + room.unread, 0);
    const { active } = this.chat;
    document.title = `${unread ? `(${unread}) ` : ""}${active ? `${active.name} · ` : ""}Natter`;
    const elsewhere = unread - (active?.unread ?? 0);
    byId("rooms-toggle-count").textContent = elsewhere ? countText(elsewhere) : "";
    byId("rooms-toggle-count").hidden = elsewhere === 0;
    byId("rooms-toggle").setAttribute("aria-label", elsewhere ? `Rooms, ${elsewhere} unread` : "Rooms");
    byId("room-name").textContent = active?.name ?? "No room";
    byId("room-state").textContent = active ? stateText(active) : "You are nowhere yet.";
    byId("room-tools").hidden = !active;
  }

  /** @param {Room} room */
  #row(room) {
    let row = this.#rows.get(room.name);
    if (!row) {
      const button = h(
        "button",
        { type: "button", class: "room", onclick: () => this.#open(room.name) },
        h("span", { class: "room-mark", "aria-hidden": "true" }, "#"),
        h("bdi", { class: "room-name" }, room.name),
        h("span", { class: "count" }),
      );
      row = h("li", {}, button);
      this.#rows.set(room.name, row);
    }
    const button = /** @type {HTMLElement} */ (row.firstElementChild);
    const count = /** @type {HTMLElement} */ (button.lastElementChild);
    const current = room === this.chat.active;
    if (current) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
    button.classList.toggle("unread", room.unread > 0);
    button.title = room.name;
    count.textContent = room.unread ? countText(room.unread) : "";
    count.hidden = room.unread === 0;
    button.setAttribute("aria-label", room.unread ? `${room.name}, ${room.unread} unread` : room.name);
    return row;
  }

  /** @param {string} name */
  #open(name) {
    this.chat.open(name);
    if (this.panels.narrow) this.panels.closeDrawer();
    byId("composer-text").focus();
  }
}

/** @param {number} count */
const countText = (count) => (count > 99 ? "99+" : String(count));

/** @param {Room} room */
function stateText(room) {
  switch (room.state) {
    case "in":
      return room.members ? (room.members.length === 1 ? "Only you are here" : `${room.members.length} here`) : "";
    case "refused":
      return "Not joined";
    case "joining":
      return "Joining…";
    default:
      return "Waiting for the connection";
  }
}

async function copyLink() {
  const toast = byId("toast");
  try {
    await navigator.clipboard.writeText(location.href);
    toast.textContent = "The link is copied.";
  } catch {
    toast.textContent = "Copy the link from the address bar: the browser does not let this page do it.";
  }
  setTimeout(() => (toast.textContent = ""), 4000);
}
