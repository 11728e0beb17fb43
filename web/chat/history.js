/**
 * Pages of a room's history, with what was said to everyone meanwhile: the newest when it is entered, what was missed while there was no connection,
 * and older ones on demand.
 */
import { RequestError } from "../shared/connection.js";
import { compareIds } from "./timeline.js";

/**
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("./timeline.js").Item} Item
 * @typedef {import("../shared/connection.js").Connection} Connection
 * @typedef {import("../shared/types.js").HistoryPage} HistoryPage
 */

const pageSize = 50;
const gapPages = 4; // a longer gap is not worth loading at once

/**
 * Brings the newest messages, and everything between them and what is here already. If that is too much,
 * what is here is forgotten, and scrolling up brings it again: there is never a hole in what is shown.
 *
 * @param {Connection} connection
 * @param {Room} room
 * @returns {Promise<Item[]>} what was missed since the connection broke
 */
export async function catchUp(connection, room) {
  const known = room.gapFrom;
  /** @type {Item[]} */
  const missed = [];
  await loading(connection, room, async () => {
    let before = "";
    for (let pages = 0; ; pages++) {
      const page = await ask(connection, room, before);
      const items = add(room, page);
      if (pages === 0) room.settled = page.messages.at(-1)?.stamp.id ?? "";
      if (known !== undefined) missed.unshift(...items.filter((item) => item.id && (!known || compareIds(item.id, known) > 0)));
      before = page.messages[0]?.stamp.id ?? before;
      if (known === undefined || !page.more) {
        room.more = page.more;
        room.reach = before;
        break;
      }
      if (known && compareIds(before, known) <= 0) break; // room.more stays as it was for the older ones
      if (pages + 1 === gapPages) {
        room.timeline.dropBefore(before);
        room.reach = before;
        room.more = true;
        break;
      }
    }
    room.gapFrom = undefined;
    room.loaded = true;
  });
  return missed;
}

/**
 * Brings what lies between the newest message that history had when we came in and the first that we heard
 * live: history is written behind live delivery, so that what was said just before was in neither.
 *
 * @param {Connection} connection
 * @param {Room} room
 * @returns {Promise<Item[]>} what was missed
 */
export async function settle(connection, room) {
  const { settled } = room;
  if (settled === undefined || room.loading) return [];
  const page = await ask(connection, room, room.firstLive ?? "");
  if (room.settled !== settled) return []; // cut back meanwhile: what is missing is older than what is shown
  room.settled = undefined;
  return add(room, page).filter((item) => item.id && (!settled || compareIds(item.id, settled) > 0));
}

/**
 * @param {Connection} connection
 * @param {Room} room
 */
export async function loadOlder(connection, room) {
  if (room.loading || !room.more || room.state !== "in") return;
  await loading(connection, room, async () => {
    for (let pages = 0; pages < gapPages; pages++) {
      const page = await ask(connection, room, room.reach || room.timeline.oldest || "");
      const items = add(room, page);
      room.reach = page.messages[0]?.stamp.id ?? room.reach;
      room.more = page.more;
      if (items.length > 0 || !page.more) break;
    }
  });
}

/**
 * @param {Connection} connection
 * @param {Room} room
 * @param {() => Promise<void>} work
 */
async function loading(connection, room, work) {
  room.loading = true;
  room.historyProblem = "";
  try {
    await work();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    // Without a connection there is nothing to tell: the room is caught up with when it is back.
    if (connection.phase === "connected") room.historyProblem = error.message;
  } finally {
    room.loading = false;
  }
}

/**
 * @typedef {HistoryPage["messages"][number] & {toAll: boolean}} Said
 */

/**
 * A page of what was said in the room and to everyone. It ends where the shorter reach of the two does, so that
 * nothing is missing in it.
 *
 * @param {Connection} connection
 * @param {Room} room
 * @param {string} before
 * @returns {Promise<{messages: Said[], more: boolean}>}
 */
async function ask(connection, room, before) {
  const request = { limit: pageSize, ...(before ? { before } : {}) };
  const pages = await Promise.all([connection.request("history", { ...request, room: room.name }), connection.request("history", request)]);
  /** @type {Said[]} */
  let messages = [];
  let from = "";
  pages.forEach((page, i) => {
    const found = /** @type {HistoryPage["messages"]} */ (Array.isArray(page.messages) ? page.messages : []);
    const oldest = found[0]?.stamp.id;
    if (page.more === true && oldest && (!from || compareIds(oldest, from) > 0)) from = oldest;
    messages.push(...found.map((message) => ({ ...message, toAll: i === 1 })));
  });
  messages = messages.filter(({ stamp }) => !from || compareIds(stamp.id ?? "", from) >= 0);
  messages.sort((a, b) => compareIds(a.stamp.id ?? "", b.stamp.id ?? ""));
  return { messages, more: pages.some((page) => page.more === true) };
}

/**
 * @param {Room} room
 * @param {{messages: Said[]}} page
 */
function add(room, page) {
  // To everyone, services may say much that is no chat message; live it is not shown either.
  const shown = page.messages.filter(({ toAll, event }) => !toAll || event[0] === "chat message");
  const items = shown.map(({ event, stamp, redacted, edited, deleted, toAll }) =>
    room.timeline.add({ text: textOf(event), stamp, redacted, edited, deleted, toAll }),
  );
  return items.filter((item) => item !== undefined);
}

/**
 * The text of an event that anyone may have posted: a service is free to post something else to a room.
 *
 * @param {unknown[]} event
 */
export function textOf(event) {
  const [, first, second] = event;
  const said = second === undefined ? first : second;
  if (said === undefined) return "";
  return typeof said === "string" ? said : JSON.stringify(said);
}
