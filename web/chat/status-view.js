/**
 * The state of the connection: a word at the person's own name, and a banner when there is something to
 * know or to do.
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

export class StatusView {
  #timer = 0;

  /**
   * @param {import("./chat.js").Chat} chat
   * @param {{open: (withPassword?: boolean) => void}} profile
   */
  constructor(chat, profile) {
    this.connection = chat.connection;
    this.identity = chat.identity;
    this.profile = profile;
    this.connection.addEventListener("phase", () => this.#show());
    this.#show();
  }

  #show() {
    const { phase } = this.connection;
    const { name, session } = this.identity;
    byId("me-name").textContent = name;
    byId("me-face").replaceChildren(avatar({ name, key: session?.user ?? name }));
    const state = byId("me-state");
    state.textContent = phase === "connected" && session ? "Signed in" : words[phase];
    state.dataset.phase = phase;
    document.documentElement.dataset.phase = phase;
    clearTimeout(this.#timer);
    if (phase === "connecting") this.#timer = Number(setTimeout(() => this.#banner(), patience));
    else this.#banner();
  }

  #banner() {
    const { phase, reason } = this.connection;
    const banner = byId("banner");
    banner.hidden = phase === "connected" || phase === "idle";
    banner.dataset.phase = phase;
    if (banner.hidden) banner.replaceChildren();
    else if (phase === "connecting" || phase === "reconnecting") {
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
