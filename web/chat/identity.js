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
const secretKey = "natter.client";
const keptIds = 30;

/** An id that nobody else draws. */
export function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Identity {
  #store = new SessionStore("natter.chat.session");
  /** @type {Set<string>} ids that this tab had before it was reloaded */
  #formerIds = new Set(JSON.parse(sessionStorage.getItem(idsKey) ?? "[]"));
  /** By which gateways know this tab again, so that what it says twice is heard once. */
  #secret;

  constructor() {
    this.guestName = localStorage.getItem(nameKey) ?? "";
    this.session = this.#store.get();
    this.#secret = sessionStorage.getItem(secretKey) ?? randomId();
    sessionStorage.setItem(secretKey, this.#secret);
  }

  get name() {
    return this.session?.name ?? this.guestName;
  }

  /** What the gateway is told in the handshake. */
  auth() {
    const own = { name: this.name, client: this.#secret };
    return this.session ? { ...own, token: this.session.token } : own;
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
