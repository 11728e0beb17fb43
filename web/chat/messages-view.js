/**
 * The messages of the open room: rows by day and sender, and a scroll position that stays where the reader
 * is. At the end it follows what is said; elsewhere it stands still, whatever is put above or below. What was
 * searched for is put in the middle.
 */
import { arrange, byId, h, icon } from "../shared/dom.js";
import { messageRow } from "./message-row.js";
import { rowsOf } from "./rows.js";

/** @typedef {import("./room.js").Room} Room */

const nearEnd = 60; // pixels
const nearTop = 240; // pixels

export class MessagesView {
  #log = byId("log");
  #list = byId("messages");
  /** @type {Room | undefined} */
  #room = undefined;
  /** @type {Map<string, {signature: string, element: HTMLElement}>} */
  #rows = new Map();
  #follows = true;
  #below = 0;
  #scheduled = false;
  /** @type {string | undefined} id of the message that is to be shown */
  #target = undefined;

  /**
   * @param {import("./chat.js").Chat} chat
   * @param {{open: () => void}} join
   * @param {{open: (room: Room) => void}} leave
   */
  constructor(chat, join, leave) {
    this.chat = chat;
    this.join = join;
    this.leave = leave;
    for (const type of ["rooms", "room", "editing"]) chat.addEventListener(type, () => this.#schedule());
    chat.addEventListener("said", (event) => this.#said(/** @type {CustomEvent} */ (event).detail));
    chat.past.addEventListener("found", (event) => this.#find(/** @type {CustomEvent} */ (event).detail));
    this.#log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    byId("jump").addEventListener("click", () => {
      if (this.#room) chat.past.leave(this.#room);
      this.#follow();
      this.#log.focus();
    });
    new ResizeObserver(() => this.#follows && this.#toEnd()).observe(this.#log);
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#show();
    });
  }

  #show() {
    const room = this.chat.active;
    if (room !== this.#room) {
      this.#room = room;
      this.#rows.clear();
      this.#list.replaceChildren();
      this.#follow();
    }
    if (this.#follows) room?.trim();
    else room?.cut();
    const seen = this.#inView();
    const kept = new Map();
    const elements = rowsOf(room).map((row) => {
      const known = this.#rows.get(row.key);
      const signature = `${row.signature} ${row.item && this.chat.mayChange(row.item)}`;
      const entry = known?.signature === signature ? known : { signature, element: messageRow(row, this.chat, room) };
      kept.set(row.key, entry);
      entry.element.classList.toggle("editing", !!row.item && row.item === this.chat.editing?.item);
      return entry.element;
    });
    this.#rows = kept;
    arrange(this.#list, elements);
    this.#showTop(room);
    this.#showEmpty(room, elements.length === 0);
    if (room?.until) this.#follows = false;
    else if (room?.timeline.items.at(-1)?.state === "sending") this.#follows = true;
    if (this.#target) this.#toTarget();
    else if (this.#follows) this.#toEnd();
    else this.#hold(seen);
    this.#showJump();
    this.#log.setAttribute("aria-label", room ? `Messages in ${room.name}` : "Messages");
    queueMicrotask(() => this.#wantMore());
  }

  /** @param {{room: Room, id: string}} detail */
  #find({ room, id }) {
    if (room !== this.chat.active) return;
    this.#target = id;
    this.#follows = false;
    this.#schedule();
  }

  #toTarget() {
    for (const element of this.#list.querySelectorAll(".found")) element.classList.remove("found");
    const element = /** @type {HTMLElement | null} */ (this.#list.querySelector(`[data-id="${CSS.escape(this.#target ?? "")}"]`));
    this.#target = undefined;
    if (!element) return;
    element.classList.add("found");
    element.tabIndex = -1; // the reader goes on from there, with the keyboard and with a screen reader
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "center" });
    this.#scrolled();
  }

  /** @param {Room | undefined} room */
  #showTop(room) {
    const top = byId("top");
    top.hidden = !room || room.state === "refused";
    if (!room || top.hidden) return;
    if (room.historyProblem) {
      const again = h("button", { type: "button", class: "button small", onclick: () => this.chat.retryHistory(room) }, "Try again");
      top.replaceChildren(h("p", { class: "problem" }, icon("alert"), `Earlier messages cannot be shown. ${room.historyProblem}`), again);
    } else if (room.loading)
      top.replaceChildren(h("p", { class: "hint" }, h("span", { class: "spinner", "aria-hidden": "true" }), " Fetching messages…"));
    else if (room.more)
      top.replaceChildren(h("button", { type: "button", class: "button small", onclick: () => this.chat.older(room) }, "Earlier messages"));
    else if (room.loaded && room.timeline.items.length > 0)
      top.replaceChildren(h("p", { class: "hint" }, "This is where ", h("bdi", {}, room.name), " begins."));
    else top.replaceChildren();
  }

  /**
   * @param {Room | undefined} room
   * @param {boolean} none
   */
  #showEmpty(room, none) {
    const empty = byId("empty");
    empty.hidden = !!room && room.state !== "refused" && !(none && room.loaded && !room.loading);
    if (empty.hidden) return;
    if (!room) {
      const button = h("button", { type: "button", class: "button primary", onclick: () => this.join.open() }, "Join a room");
      empty.replaceChildren(
        icon("speech"),
        h("h2", {}, "You are in no room"),
        h("p", { class: "hint" }, "Join one to read and to talk."),
        button,
      );
    } else if (room.state === "refused") {
      const button = h("button", { type: "button", class: "button", onclick: () => this.leave.open(room) }, "Take it off the list");
      empty.replaceChildren(icon("alert"), h("h2", {}, "This room cannot be joined"), h("p", { class: "hint" }, room.problem), button);
    } else {
      empty.replaceChildren(
        icon("speech"),
        h("h2", {}, "It is quiet here"),
        h("p", { class: "hint" }, "Say the first word, or copy a link to this room and send it to someone."),
      );
    }
  }

  /** @param {{room: Room, item: import("./timeline.js").Item}} detail */
  #said({ room, item }) {
    if (room !== this.chat.active || item.own) return;
    if (!this.#follows) this.#below++;
    const line = h("p", {}, `${item.stamp.name || "Service"}: ${item.text}`);
    const announcer = byId("announcer");
    announcer.append(line);
    while (announcer.childElementCount > 5) announcer.firstElementChild?.remove();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    this.#follows = scrollHeight - scrollTop - clientHeight < nearEnd && !this.#room?.until;
    if (this.#room) this.#room.reading = this.#inView().find(({ id }) => id)?.id;
    if (this.#follows) this.#below = 0;
    this.#showJump();
    this.#wantMore();
  }

  #wantMore() {
    const room = this.#room;
    if (!room || room.loading || !room.loaded || room.historyProblem || room.state !== "in") return;
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    if (room.more && scrollTop < nearTop) this.chat.older(room);
    else if (room.until && scrollHeight - scrollTop - clientHeight < nearTop) this.chat.past.newer(room);
  }

  #follow() {
    this.#follows = true;
    this.#below = 0;
    this.#toEnd();
    this.#showJump();
  }

  #toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  #showJump() {
    const jump = byId("jump");
    jump.hidden = this.#follows || !this.#room;
    byId("jump-text").textContent = this.#below ? `${this.#below} new` : "To the newest";
  }

  /** The rows from the first on that the reader sees, and where they are; none at the end. */
  #inView() {
    if (this.#follows) return [];
    const frame = this.#log.getBoundingClientRect().top;
    const places = [.../** @type {NodeListOf<HTMLElement>} */ (this.#list.querySelectorAll(".message"))].map((element) => {
      const { top, bottom } = element.getBoundingClientRect();
      return { key: element.dataset.key ?? "", id: element.dataset.id, top, bottom };
    });
    const first = places.findIndex(({ bottom }) => bottom > frame);
    return first < 0 ? [] : places.slice(first);
  }

  /** @param {{key: string, top: number}[]} seen of which the first that is left stays where it was */
  #hold(seen) {
    const anchor = seen.find(({ key }) => this.#rows.has(key));
    const element = anchor && this.#rows.get(anchor.key)?.element;
    if (element) this.#log.scrollTop += element.getBoundingClientRect().top - anchor.top;
  }
}
