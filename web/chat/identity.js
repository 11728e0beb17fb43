/**
 * Who the person is: a name that guests choose and this browser remembers, or an account for as long as
 * the tab is open.
 */
import { SessionStore } from "../shared/session.js";

/**
 * @typedef {import("../shared/types.js").Session} Session
 * @typedef {import("../shared/types.js").Stamp} Stamp
 */

const nameKey = "natter.name";
const idsKey = "natter.sockets";
const keptIds = 30;

export class Identity {
  #store = new SessionStore("natter.chat.session");
  /** @type {Set<string>} ids that this tab had before it was reloaded */
  #formerIds = new Set(JSON.parse(sessionStorage.getItem(idsKey) ?? "[]"));

  constructor() {
    this.guestName = localStorage.getItem(nameKey) ?? "";
    this.session = this.#store.get();
  }

  get name() {
    return this.session?.name ?? this.guestName;
  }

  /** What the gateway is told in the handshake. */
  auth() {
    return this.session ? { name: this.name, token: this.session.token } : { name: this.name };
  }

  /** @param {string} name */
  enterAs(name) {
    this.guestName = name;
    localStorage.setItem(nameKey, name);
    this.signOut();
  }

  /** @param {Session} session */
  signIn(session) {
    this.session = session;
    this.#store.set(session);
  }

  signOut() {
    this.session = undefined;
    this.#store.clear();
  }

  /** @param {Set<string>} ids */
  remember(ids) {
    sessionStorage.setItem(idsKey, JSON.stringify([...this.#formerIds, ...ids].slice(-keptIds)));
  }

  /**
   * @param {Stamp} stamp
   * @param {Set<string>} ids
   */
  isOwn(stamp, ids) {
    if (stamp.user) return stamp.user === this.session?.user;
    return !!stamp.socket && (ids.has(stamp.socket) || this.#formerIds.has(stamp.socket));
  }
}
