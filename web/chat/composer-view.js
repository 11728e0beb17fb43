/**
 * Where the person writes.
 */
import { byId, formById } from "../shared/dom.js";

const typingEvery = 2000; // milliseconds
const warnFrom = 300; // characters left

export class ComposerView {
  #text = /** @type {HTMLTextAreaElement} */ (byId("composer-text"));
  #lastTyping = 0;
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
      // While an input method composes, Enter takes a word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener("input", () => {
      this.#fit();
      this.#tellTyping();
    });
    for (const type of ["rooms", "room"]) chat.addEventListener(type, () => this.#show());
  }

  #show() {
    const { active } = this.chat;
    formById("composer").hidden = !active || active.state === "refused";
    byId("composer-hint").hidden = formById("composer").hidden;
    if (this.#room === active) return;
    if (this.#room) this.#room.draft = this.#text.value;
    this.#room = active;
    this.#text.value = active?.draft ?? "";
    this.#text.placeholder = active ? `Say something in ${active.name}` : "";
    this.#fit();
  }

  #send() {
    const room = this.chat.active;
    const text = this.#text.value.trim();
    if (!room || !text) return;
    this.#text.value = "";
    this.#lastTyping = 0;
    this.#fit();
    this.chat.outbox.send(room, text);
    this.#text.focus();
  }

  #tellTyping() {
    const room = this.chat.active;
    if (!room || room.state !== "in" || !this.#text.value.trim() || Date.now() - this.#lastTyping < typingEvery) return;
    this.#lastTyping = Date.now();
    this.chat.connection.whisper("typing", room.name);
  }

  #fit() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
    const left = this.#text.maxLength - this.#text.value.length;
    byId("composer-left").textContent = left <= warnFrom ? `${left} left` : "";
  }
}
