/**
 * Pages of a room's history, with what was said to everyone meanwhile: the newest when it is entered, what was missed while there was no connection,
 * older ones on demand, and those around a message that was searched for.
 */
import { RequestError } from "../shared/connection.js";
import { compareIds, later } from "./ids.js";

/**
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("./timeline.js").Item} Item
 * @typedef {import("../shared/connection.js").Connection} Connection
 * @typedef {import("../shared/types.js").HistoryPage} HistoryPage
 */

const pageSize = 50;
const gapPages = 4; // a longer gap is not worth loading at once
const beginning = "0-0"; // older than any message

/**
 * Brings the newest messages, and everything between them and what is here already. If that is too much,
 * what is here is forgotten, and scrolling up brings it again: there is never a hole in what is shown. So is what may have
 * been changed meanwhile. A reader who was further up than what is here then stays there, and looks at the past.
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
    let page;
    let met = false;
    for (let pages = 1; ; pages++) {
      page = await ask(connection, room, before ? { before } : {});
      const items = add(room, page);
      if (known !== undefined) missed.unshift(...items.filter((item) => item.id && (!known || compareIds(item.id, known) > 0)));
      before = page.messages[0]?.stamp.id ?? before;
      if (known === undefined || !page.more) break;
      met = known !== "" && [known, room.stale && room.reading].every((id) => !id || compareIds(before, id) <= 0);
      if (met || pages === gapPages) break;
    }
    const { reading } = room;
    const further = room.stale && reading && compareIds(reading, before) < 0;
    if (further && (await showAround(connection, room, reading))) return;
    if (!met || room.stale) {
      if (known !== undefined) room.timeline.drop((id) => compareIds(id, before) < 0);
      room.more = page.more;
      room.reach = before;
    }
    // A page that is not read on to has what is stored: older ones may still come between.
    room.settled = page.more ? before : beginning;
    room.gapFrom = undefined;
    room.loaded = true;
    room.stale = false;
  });
  return missed;
}

/**
 * Reads on from where nothing can be missing: pages that are read on to never step over what is not stored yet. Once they
 * come to the first message that we heard live, all is here.
 *
 * @param {Connection} connection
 * @param {Room} room
 * @returns {Promise<{items: Item[], newer: boolean, held: boolean}>} what was missing; whether history has newer ones; whether it
 *   cannot give them yet
 * @throws {RequestError}
 */
export function settle(connection, room) {
  return queued(room, async () => {
    const { settled } = room;
    if (settled === undefined) return { items: [], newer: false, held: false };
    const page = await ask(connection, room, { after: settled, limit: 2 * pageSize });
    if (room.settled !== settled) return { items: [], newer: true, held: false }; // cut back, or read further back, meanwhile
    const items = add(room, page);
    room.settled = page.messages.at(-1)?.stamp.id ?? settled;
    if (room.firstLive && compareIds(room.settled, room.firstLive) >= 0) room.settled = undefined;
    return { items, newer: page.newer, held: page.newer && page.messages.length === 0 };
  });
}

/**
 * @param {Connection} connection
 * @param {Room} room
 */
export async function loadOlder(connection, room) {
  if (room.loading || !room.more || room.state !== "in") return;
  await loading(connection, room, async () => {
    for (let pages = 0; pages < gapPages; pages++) {
      const before = room.reach || room.timeline.oldest;
      const page = await ask(connection, room, before ? { before } : {});
      const items = add(room, page);
      room.reach = page.messages[0]?.stamp.id ?? room.reach;
      room.more = page.more;
      if (room.settled !== undefined) room.settled = room.more ? room.reach : beginning;
      if (items.length > 0 || !page.more) break;
    }
  });
}

/**
 * Brings a message and what was said around it, in place of what is here.
 *
 * @param {Connection} connection
 * @param {Room} room
 * @param {string} id
 * @returns {Promise<boolean>} false if there is no such message
 * @throws {RequestError} what is here stays
 */
export function loadAround(connection, room, id) {
  return inTurn(room, () => showAround(connection, room, id));
}

/**
 * Is loadAround for one whose turn it is.
 *
 * @param {Connection} connection
 * @param {Room} room
 * @param {string} id
 */
async function showAround(connection, room, id) {
  const page = await ask(connection, room, { around: id });
  if (!page.messages.some(({ stamp }) => stamp.id === id)) return false;
  room.timeline.clear();
  add(room, page);
  room.more = page.more;
  room.reach = page.messages[0].stamp.id ?? "";
  room.until = page.messages.at(-1)?.stamp.id;
  room.gapFrom = room.settled = undefined;
  room.stale = false;
  return true;
}

/**
 * Brings what was said next, for one who looks at the past.
 *
 * @param {Connection} connection
 * @param {Room} room
 * @returns {Promise<"end" | "held" | undefined>} end: history has nothing newer; held: it has, and cannot give it yet
 */
export async function loadNewer(connection, room) {
  /** @type {"end" | "held" | undefined} */
  let came;
  await loading(connection, room, async () => {
    for (let pages = 0; pages < gapPages; pages++) {
      const { until } = room;
      if (!until) return;
      const page = await ask(connection, room, { after: until });
      if (room.until !== until) return;
      const items = add(room, page);
      const newest = page.messages.at(-1)?.stamp.id;
      room.until = newest ?? until;
      if (!page.newer) came = "end";
      else if (!newest) came = "held";
      if (items.length > 0 || came) return;
    }
  });
  return came;
}

/**
 * Does one thing after the other: each builds on what the one before it brought.
 *
 * @template T
 * @param {Room} room
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
function inTurn(room, work) {
  room.loads++;
  return queued(room, work).finally(() => room.loads--);
}

/**
 * Is inTurn for what nobody waits for.
 *
 * @template T
 * @param {Room} room
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
function queued(room, work) {
  const done = room.turn.then(work);
  room.turn = done.catch(() => {});
  return done;
}

/**
 * @param {Connection} connection
 * @param {Room} room
 * @param {() => Promise<void>} work
 */
async function loading(connection, room, work) {
  room.historyProblem = "";
  try {
    await inTurn(room, work);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    // Without a connection there is nothing to tell: the room is caught up with when it is back.
    if (connection.phase === "connected") room.historyProblem = error.message;
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
 * @param {{before?: string, after?: string, around?: string, limit?: number}} at the newest without it
 * @returns {Promise<{messages: Said[], more: boolean, newer: boolean}>}
 */
async function ask(connection, room, at) {
  const request = { limit: pageSize, ...at };
  const pages = await Promise.all([connection.request("history", { ...request, room: room.name }), connection.request("history", request)]);
  /** @type {Said[]} */
  let messages = [];
  let from = "";
  let to = "";
  pages.forEach((page, i) => {
    const found = /** @type {HistoryPage["messages"]} */ (Array.isArray(page.messages) ? page.messages : []);
    const oldest = found[0]?.stamp.id;
    const newest = found.at(-1)?.stamp.id;
    if (page.more === true && !at.after && oldest && (!from || compareIds(oldest, from) > 0)) from = oldest;
    // A page that is held back may have nothing of what is newer.
    const end = page.newer === true ? later(newest, at.after ?? at.around) : undefined;
    if (end && (!to || compareIds(end, to) < 0)) to = end;
    messages.push(...found.map((message) => ({ ...message, toAll: i === 1 })));
  });
  messages = messages.filter(({ stamp: { id = "" } }) => (!from || compareIds(id, from) >= 0) && (!to || compareIds(id, to) <= 0));
  messages.sort((a, b) => compareIds(a.stamp.id ?? "", b.stamp.id ?? ""));
  return { messages, more: pages.some((page) => page.more === true), newer: pages.some((page) => page.newer === true) };
}

/**
 * @param {Room} room
 * @param {{messages: Said[]}} page
 */
function add(room, page) {
  // To everyone, services may say much that is no chat message; live it is not shown either.
  const shown = page.messages.filter(({ toAll, event }) => !toAll || event[0] === "chat message");
  const items = shown.map(({ event, stamp, redacted, omitted, edited, deleted, toAll }) =>
    room.timeline.add({ text: textOf(event), stamp, redacted, omitted, edited, deleted, toAll }),
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
