/**
 * Looks for messages of a room by their words, as the history service tells words apart: runs of letters, digits and
 * the marks on them, whatever their case. A word that ends with * stands for all that begin so.
 */
import { textOf } from "./history.js";

/**
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("../shared/types.js").Stamp} Stamp
 *
 * @typedef {object} Found
 * @property {string} id
 * @property {string} text
 * @property {Stamp} stamp
 *
 * @typedef {object} Word
 * @property {string} text in lower case
 * @property {boolean} prefix
 */

const pageSize = 20;
const mostPages = 4; // asked for at once, if there is nothing to show in them
const before = 60; // characters that an excerpt has in front of the first hit
const aWord = /[\p{L}\p{N}\p{M}]+/gu;

/**
 * @param {string} query
 * @returns {Word[]}
 */
export function wordsOf(query) {
  return query.split(/\s+/u).flatMap((part) => {
    const words = part.toLowerCase().match(aWord) ?? [];
    return words.map((text, i) => ({ text, prefix: i === words.length - 1 && part.endsWith("*") }));
  });
}

/**
 * @param {import("../shared/connection.js").Connection} connection
 * @param {Room} room
 * @param {string} query
 * @param {string | undefined} from an id: only what is older
 * @returns {Promise<{found: Found[], from: string | undefined}>} newest first; from is set if there may be older ones
 * @throws {import("../shared/connection.js").RequestError}
 */
export async function search(connection, room, query, from) {
  const words = wordsOf(query);
  /** @type {Found[]} */
  let found = [];
  for (let pages = 0; pages < mostPages && found.length === 0; pages++) {
    const request = { text: query, rooms: [room.name, null], limit: pageSize, ...(from ? { before: from } : {}) };
    const page = await connection.request("search", request);
    /** @type {{event: unknown[], stamp: Stamp, rooms?: (string | null)[]}[]} */
    const messages = Array.isArray(page.messages) ? page.messages : [];
    found = messages
      .filter(({ event, rooms }) => rooms?.includes(room.name) || event[0] === "chat message")
      .map(({ event, stamp }) => ({ id: String(stamp.id), text: textOf(event), stamp }))
      .filter(({ text }) => isIn(text, words, room.name))
      .reverse();
    from = page.more === true ? messages[0]?.stamp.id : undefined;
    if (!from) break;
  }
  return { found, from };
}

/**
 * Whether the words are meant: those of the room's name are in each of its messages.
 *
 * @param {string} text
 * @param {Word[]} words
 * @param {string} name
 */
function isIn(text, words, name) {
  const has = (/** @type {string} */ where, /** @type {Word} */ word) => (where.match(aWord) ?? []).some((other) => isHit(other, [word]));
  return words.every((word) => has(text, word) || !has(name, word));
}

/**
 * @param {string} word
 * @param {Word[]} words
 */
function isHit(word, words) {
  const low = word.toLowerCase();
  return words.some(({ text, prefix }) => (prefix ? low.startsWith(text) : low === text));
}

/**
 * The text from shortly before the first hit, in parts.
 *
 * @param {string} text
 * @param {string} query
 * @returns {{text: string, hit: boolean}[]}
 */
export function excerpt(text, query) {
  const words = wordsOf(query);
  const hits = [...text.matchAll(aWord)].filter(([word]) => isHit(word, words));
  const first = hits[0]?.index ?? 0;
  const start = first > 2 * before ? text.indexOf(" ", first - before) + 1 || first : 0;
  let end = Math.min(start, first);
  const parts = end > 0 ? [{ text: "… ", hit: false }] : [];
  for (const { 0: word, index } of hits) {
    parts.push({ text: text.slice(end, index), hit: false }, { text: word, hit: true });
    end = index + word.length;
  }
  return [...parts, { text: text.slice(end), hit: false }];
}
