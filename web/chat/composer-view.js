/**
 * Where the person writes.
 */
import { byId, formById } from "../shared/dom.js";
import { Drafts } from "./drafts.js";

const typingEvery = 2000; // milliseconds
const longest = 4000; // characters of a message
const warnFrom = 300; // characters left

export class ComposerView {
  #text = /** @type {HTMLTextAreaElement} */ (byId("composer-text"));
  #lastTyping = 0;
  #drafts = new Drafts();
  /** @type {import("./room.js").Room | undefined} */
  #room = undefined;

  /** @param {import("./chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    const form = formById("composer");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && chat.editing) return chat.edit(undefined);
      // While an input method composes, Enter takes a word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener("input", () => {
      this.#keep();
      this.#fit();
      this.#tellTyping();
    });
    for (const type of ["rooms", "room"]) chat.addEventListener(type, () => this.#show());
    chat.addEventListener("editing", () => this.#showEditing());
    byId("editing-cancel").addEventListener("click", () => chat.edit(undefined));
  }

  #show() {
    const { active } = this.chat;
    formById("composer").hidden = !active || active.state === "refused";
    byId("composer-hint").hidden = formById("composer").hidden;
    if (this.#room === active) return;
    this.#room = active;
    this.#recall();
    this.#text.placeholder = active ? `Say something in ${active.name}` : "";
    this.#fit();
  }

  /** The message that is edited stands where one writes; what was being written comes back after it. */
  #showEditing() {
    const { editing } = this.chat;
    byId("editing").hidden = !editing;
    if (editing) {
      this.#text.value = editing.item.wanted?.text ?? editing.item.text;
      this.#text.focus();
    } else {
      this.#recall();
    }
    this.#fit();
  }

  #recall() {
    this.#text.value = this.#room ? this.#drafts.get(this.#room.name) : "";
  }

  #keep() {
    if (this.#room && !this.chat.editing) this.#drafts.set(this.#room.name, this.#text.value);
  }

  #send() {
    const room = this.chat.active;
    const text = this.#text.value.trim();
    if (!room || !text || this.#left() < 0) return; // it says how many are too many
    const { editing } = this.chat;
    if (editing) {
      this.chat.edit(undefined);
      if (text !== editing.item.text || editing.item.wanted) this.chat.change(editing.room, editing.item, text);
      return;
    }
    this.#text.value = "";
    this.#keep();
    this.#lastTyping = 0;
    this.#fit();
    this.chat.past.leave(room);
    this.chat.outbox.send(room, text);
    this.#text.focus();
  }

  #tellTyping() {
    const room = this.chat.active;
    // Nothing new comes of an edit: it is no typing.
    if (!room || this.chat.editing || room.state !== "in" || !this.#text.value.trim() || Date.now() - this.#lastTyping < typingEvery) return;
    this.#lastTyping = Date.now();
    this.chat.connection.whisper("typing", room.name);
  }

  #fit() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
    const left = this.#left();
    byId("composer-left").textContent = left < 0 ? `${-left} too many` : left <= warnFrom ? `${left} left` : "";
    this.#text.setAttribute("aria-invalid", String(left < 0));
  }

  /** How many characters the message may still get. What is pasted is not cut. */
  #left() {
    return longest - this.#text.value.trim().length;
  }
}
