/**
 * The state of the connection: a word at the person's own name, and a banner when there is something to
 * know or to do: also that the server is there and does not confirm what is said, as when it cannot store it.
 */
import { avatar } from "../shared/avatar.js";
import { byId, h, icon } from "../shared/dom.js";

const words = {
  idle: "Not connected",
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  refused: "Not admitted",
  ended: "Disconnected",
};
const patience = 1500; // milliseconds: a first connection need not be mentioned before
const ackPatience = 5000; // milliseconds: a message may wait so long before it is mentioned

export class StatusView {
  #timer = 0;
  #ackTimer = 0;
  /** Whether a message waits for long. */
  #late = false;

  /**
   * @param {import("./chat.js").Chat} chat
   * @param {{open: (withPassword?: boolean) => void}} profile
   */
  constructor(chat, profile) {
    this.chat = chat;
    this.connection = chat.connection;
    this.identity = chat.identity;
    this.profile = profile;
    this.connection.addEventListener("phase", () => {
      this.#watch();
      this.#show();
    });
    for (const type of ["rooms", "room"]) chat.addEventListener(type, () => this.#watch() && this.#show());
    this.#show();
  }

  /**
   * Looks whether a message waits for long, and again when the next one may.
   *
   * @returns {boolean} whether that has changed
   */
  #watch() {
    clearTimeout(this.#ackTimer);
    const was = this.#late;
    const since = this.#waitingSince();
    const left = since + ackPatience - Date.now();
    this.#late = left <= 0;
    if (left > 0 && since < Infinity) this.#ackTimer = Number(setTimeout(() => this.#watch() && this.#show(), left));
    return this.#late !== was;
  }

  /** Since when this connection has not confirmed the oldest message on its way; Infinity if there is none. */
  #waitingSince() {
    const { phase, since } = this.connection;
    if (phase !== "connected") return Infinity;
    const waiting = [...this.chat.rooms.values()].flatMap((room) => room.unsent);
    return Math.min(...waiting.map((item) => Math.max(since, Date.parse(item.stamp.time))));
  }

  #show() {
    const { phase } = this.connection;
    const { name, session } = this.identity;
    byId("me-name").textContent = name;
    byId("me-face").replaceChildren(avatar({ name, key: session?.user ?? name }));
    const state = byId("me-state");
    state.textContent = this.#late ? "Unconfirmed" : phase === "connected" && session ? "Signed in" : words[phase];
    state.dataset.phase = this.#late ? "late" : phase;
    document.documentElement.dataset.phase = phase;
    clearTimeout(this.#timer);
    if (phase === "connecting") this.#timer = Number(setTimeout(() => this.#banner(), patience));
    else this.#banner();
  }

  #banner() {
    const { phase, reason } = this.connection;
    const banner = byId("banner");
    banner.hidden = (phase === "connected" && !this.#late) || phase === "idle";
    banner.dataset.phase = phase;
    if (banner.hidden) banner.replaceChildren();
    else if (this.#late) {
      banner.replaceChildren(
        h("span", { class: "spinner", "aria-hidden": "true" }),
        h("span", {}, h("strong", {}, words.connected), ", but messages are not confirmed yet. They are kept, and sent again."),
      );
    } else if (phase === "connecting" || phase === "reconnecting") {
      const more = phase === "reconnecting" ? " What you write will be sent when the connection is back." : "";
      banner.replaceChildren(
        h("span", { class: "spinner", "aria-hidden": "true" }),
        h("span", {}, h("strong", {}, words[phase]), ` ${reason}${more}`),
      );
    } else {
      banner.replaceChildren(
        icon("alert"),
        h("span", {}, h("strong", {}, words[phase]), `. ${reason}`),
        h("span", { class: "banner-actions" }, ...this.#actions()),
      );
    }
  }

  /** What helps: a session that was refused or ended may be over, a guest can only try again. */
  #actions() {
    const again = h("button", { type: "button", class: "button small", onclick: () => this.connection.connect() }, "Try again");
    if (!this.identity.session) return [again];
    const signIn = () => {
      this.identity.signOut();
      this.#show();
      this.profile.open(true);
    };
    const guest = () => {
      this.identity.enterAs(this.identity.name);
      this.connection.connect();
    };
    return [
      h("button", { type: "button", class: "button small", onclick: signIn }, "Sign in again"),
      h("button", { type: "button", class: "button small", onclick: guest }, "Continue as a guest"),
    ];
  }
}
