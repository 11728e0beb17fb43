/**
 * Pages of a room's history: the newest when it is entered, what was missed while there was no connection,
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
        break;
      }
      if (known && compareIds(before, known) <= 0) break; // room.more stays as it was for the older ones
      if (pages + 1 === gapPages) {
        room.timeline.dropBefore(before);
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
  return add(room, page).filter((item) => item.id && (!settled || compareIds(item.id, settled) > 0));
}

/**
 * @param {Connection} connection
 * @param {Room} room
 */
export async function loadOlder(connection, room) {
  if (room.loading || !room.more || room.state !== "in") return;
  await loading(connection, room, async () => {
    const page = await ask(connection, room, room.timeline.oldest ?? "");
    add(room, page);
    room.more = page.more;
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
 * @param {Connection} connection
 * @param {Room} room
 * @param {string} before
 * @returns {Promise<HistoryPage>}
 */
async function ask(connection, room, before) {
  const request = { room: room.name, limit: pageSize, ...(before ? { before } : {}) };
  const page = await connection.request("history", request);
  return { messages: Array.isArray(page.messages) ? page.messages : [], more: page.more === true };
}

/**
 * @param {Room} room
 * @param {HistoryPage} page
 */
function add(room, page) {
  const items = page.messages.map(({ event, stamp, redacted, edited, deleted }) =>
    room.timeline.add({ text: textOf(event), stamp, redacted, edited, deleted }),
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
