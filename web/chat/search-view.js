/**
 * The search in the open room. What was found stays until the next search, so that one can look at one message after
 * the other.
 */
import { RequestError } from "../shared/connection.js";
import { arrowKeys, byId, formById, h, inputById, showProblem } from "../shared/dom.js";
import { clock, dayName, full } from "../shared/time.js";
import { excerpt, search, wordsOf } from "./search.js";

/** @typedef {import("./room.js").Room} Room */

export class SearchView {
  #box = byId("search");
  #text = inputById("search-text");
  #list = byId("search-results");
  #more = byId("search-more");
  /** @type {Room | undefined} */
  #room = undefined;
  #query = "";
  /** @type {string | undefined} */
  #from = undefined;
  /** Counts what is asked: only the answer to the last question is shown. */
  #asked = 0;

  /** @param {import("./chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    byId("search-toggle").addEventListener("click", () => (this.#box.hidden ? this.#open() : this.#close()));
    byId("search-close").addEventListener("click", () => this.#close());
    this.#box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // else it would empty the field
      this.#close();
    });
    formById("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#start();
    });
    this.#more.addEventListener("click", () => this.#ask());
    arrowKeys(this.#list);
    chat.addEventListener("rooms", () => this.#follow());
  }

  /** Another room is another search. */
  #follow() {
    if (this.chat.active === this.#room) return;
    this.#room = this.chat.active;
    this.#hide();
    this.#text.value = "";
    this.#clear();
    this.#say("");
  }

  #open() {
    this.#box.hidden = false;
    byId("search-toggle").setAttribute("aria-expanded", "true");
    this.#text.focus();
    this.#text.select();
  }

  #hide() {
    this.#box.hidden = true;
    byId("search-toggle").setAttribute("aria-expanded", "false");
  }

  #close() {
    this.#hide();
    byId("search-toggle").focus();
  }

  #clear() {
    this.#asked++;
    this.#from = undefined;
    this.#more.hidden = true;
    this.#list.replaceChildren();
    showProblem("search-problem", "");
  }

  /** @param {string} words */
  #say(words) {
    byId("search-state").textContent = words;
  }

  #start() {
    this.#clear();
    this.#query = this.#text.value.trim();
    if (wordsOf(this.#query).length === 0) return this.#say("Write a word to look for.");
    return this.#ask();
  }

  /** Asks for a page of what is found, the one after what is shown. */
  async #ask() {
    const room = this.#room;
    if (!room) return;
    const asked = ++this.#asked;
    this.#say("Searching…");
    showProblem("search-problem", "");
    try {
      const { found, from } = await search(this.chat.connection, room, this.#query, this.#from);
      if (asked !== this.#asked) return;
      const rows = found.map((message) => this.#row(room, message));
      const more = this.#list.childElementCount > 0;
      this.#list.append(...rows);
      this.#from = from;
      this.#more.hidden = !from;
      if (more) rows[0]?.querySelector("button")?.focus();
      this.#say(stateText(this.#list.childElementCount, from !== undefined));
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (asked === this.#asked) this.#fail("Search is not possible now.", error);
    }
  }

  /**
   * @param {string} what
   * @param {RequestError} error
   */
  #fail(what, error) {
    this.#say("");
    showProblem("search-problem", `${what} ${error.message}`);
  }

  /**
   * @param {Room} room
   * @param {import("./search.js").Found} message
   */
  #row(room, { id, text, stamp }) {
    const own = this.chat.identity.isOwn(stamp, this.chat.connection.ids);
    const time = new Date(stamp.time);
    const parts = excerpt(text, this.#query).map((part) => (part.hit ? h("mark", {}, part.text) : part.text));
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "result", onclick: () => this.#show(room, id) },
        h(
          "span",
          { class: "result-head" },
          h("bdi", { class: "result-who" }, own ? "You" : stamp.name || (stamp.socket ? "Guest" : "Service")),
          " ",
          h("time", { datetime: stamp.time, title: full(time) }, `${dayName(time)}, ${clock(time)}`),
        ),
        " ",
        h("span", { class: "result-text", dir: "auto" }, ...parts),
      ),
    );
  }

  /**
   * @param {Room} room
   * @param {string} id
   */
  async #show(room, id) {
    const asked = ++this.#asked;
    showProblem("search-problem", "");
    try {
      await this.chat.past.show(room, id);
      if (asked === this.#asked) this.#hide();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (asked === this.#asked) this.#fail("The message cannot be shown now.", error);
    }
  }
}

/**
 * @param {number} count
 * @param {boolean} more
 */
function stateText(count, more) {
  if (count === 0) return `Nothing was found${more ? " in the newer messages" : ""}. Only whole words match; chang* also finds “changed”.`;
  return `${count}${more ? " or more" : ""} found, the newest first.`;
}
