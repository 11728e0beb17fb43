/**
 * How messages are laid out as rows: a line for each day, one where the unread ones begin, one where some
 * are missing, and messages of one sender together.
 *
 * @typedef {import("./timeline.js").Item} Item
 *
 * @typedef {object} Row
 * @property {string} key
 * @property {string} signature changes whenever the row must look different
 * @property {'day' | 'unread' | 'gap' | 'message'} kind
 * @property {Date} time
 * @property {Item} [item]
 * @property {boolean} [first] of its sender's group
 * @property {boolean} [last]
 */
import { dayKey } from "../shared/time.js";

const groupGap = 5 * 60_000; // milliseconds

/**
 * @param {import("./room.js").Room | undefined} room
 * @returns {Row[]}
 */
export function rowsOf(room) {
  if (!room) return [];
  const { items } = room.timeline;
  /** @type {Row[]} */
  const rows = [];
  items.forEach((item, at) => {
    const time = new Date(item.stamp.time);
    const day = dayKey(time);
    const before = items[at - 1];
    const newDay = !before || dayKey(new Date(before.stamp.time)) !== day;
    const today = dayKey(new Date());
    if (newDay) rows.push({ key: `day:${day}:${item.key}`, signature: today, kind: "day", time });
    const gap = !!item.id && !!before?.id && before.id === room.gapFrom;
    if (gap) rows.push({ key: "gap", signature: "", kind: "gap", time });
    if (item.key === room.mark) rows.push({ key: "unread", signature: "", kind: "unread", time });
    const first = newDay || gap || item.key === room.mark || !together(before, item);
    const after = items[at + 1];
    const last = !after || after.key === room.mark || !together(item, after);
    const { text, state, redacted, omitted, edited, deleted, problem, stamp } = item;
    const signature = JSON.stringify([text, state, redacted, omitted, edited, deleted, problem, stamp.name, stamp.time, first, last]);
    rows.push({ key: item.key, signature, kind: "message", time, item, first, last });
  });
  return rows;
}

/**
 * @param {Item} a
 * @param {Item} b
 */
function together(a, b) {
  const gap = Date.parse(b.stamp.time) - Date.parse(a.stamp.time);
  return (
    sender(a) === sender(b) &&
    a.toAll === b.toAll &&
    a.redacted === b.redacted && // whose name is gone, though the person goes on
    Math.abs(gap) < groupGap &&
    dayKey(new Date(a.stamp.time)) === dayKey(new Date(b.stamp.time))
  );
}

/** @param {Item} item */
function sender({ own, stamp }) {
  if (own) return "own";
  return stamp.user ? `user ${stamp.user}` : stamp.socket ? `socket ${stamp.socket} ${stamp.name}` : `service ${stamp.name}`;
}
