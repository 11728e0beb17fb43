/**
 * Signing in, and keeping the token until the tab is closed.
 *
 * @typedef {import("./types.js").Session} Session
 */

/** Why signing in failed, in words for the person who tries. */
export class LoginError extends Error {}

/**
 * @param {string} name
 * @param {string} password
 * @returns {Promise<Session>}
 * @throws {LoginError}
 */
export async function login(name, password) {
  /** @type {Response} */
  let response;
  /** @type {any} */
  let reply;
  try {
    response = await fetch("/auth/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name, password }),
    });
    reply = await response.json().catch(() => undefined);
  } catch {
    throw new LoginError("The server cannot be reached. Try again in a moment.");
  }
  if (reply?.ok === true && typeof reply.token === "string") return reply;
  if (typeof reply?.message === "string" && reply.message !== "") throw new LoginError(sentence(reply.message));
  throw new LoginError(`Signing in failed: the server answered ${response.status}.`);
}

/**
 * A session in this tab's storage, under a name of its own for each page.
 */
export class SessionStore {
  /** @param {string} key */
  constructor(key) {
    this.key = key;
  }

  /** @returns {Session | undefined} the session, unless it has expired */
  get() {
    try {
      const session = JSON.parse(sessionStorage.getItem(this.key) ?? "null");
      if (typeof session?.token !== "string") return undefined;
      return Date.parse(session.expires) <= Date.now() ? undefined : session;
    } catch {
      return undefined;
    }
  }

  /** @param {Session} session */
  set(session) {
    sessionStorage.setItem(this.key, JSON.stringify(session));
  }

  clear() {
    sessionStorage.removeItem(this.key);
  }
}

/**
 * @param {string} text a message of the server, which may be "not allowed"
 * @returns {string} "Not allowed."
 */
export function sentence(text) {
  const trimmed = text.trim();
  const ended = /[.!?…]$/u.test(trimmed) ? trimmed : trimmed + ".";
  return ended.charAt(0).toLocaleUpperCase() + ended.slice(1);
}
