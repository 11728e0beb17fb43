/**
 * A room that the person has open: what it is called, whether the server has let us in, and what is known
 * of it.
 */
import { compareIds, later } from "./ids.js";
import { Timeline } from "./timeline.js";

/**
 * @typedef {import("../shared/types.js").Stamp} Stamp
 * @typedef {import("../shared/types.js").Member} Member
 */

// A busy room is cut back to the fewest when it has more than the most.
const mostKept = 600;
const fewestKept = 300;
const typingLasts = 4000; // milliseconds after the last sign

export class Room {
  /** @type {'out' | 'joining' | 'in' | 'away' | 'refused'} away: was in when the connection broke */
  state = "out";
  /** Why the server refused us. */
  problem = "";
  /** Whether the newest page of history is here. */
  loaded = false;
  /** Whether there are older messages than those here. */
  more = false;
  /** How far back history was read, an id: not all of it is shown. Empty: to the oldest message here. */
  reach = "";
  /** How much of history is being asked for, and when that will be here. */
  loads = 0;
  /** @type {Promise<unknown>} never rejected */
  turn = Promise.resolve();
  /** Why history could not be had. */
  historyProblem = "";
  /** @type {string | undefined} the newest message before the connection broke ("" if there was none), until the gap is filled */
  gapFrom = undefined;
  /** Whether what is here may have been changed while we were not told: it is, until the newest page is here again. */
  stale = false;
  /** @type {string | undefined} the first message that the reader sees; none at the end, where one follows what is said */
  reading = undefined;
  /** @type {string | undefined} how far history was read, if the person looks at the past: newer messages are left out */
  until = undefined;
  /** When we came in, in milliseconds since 1970. */
  entered = 0;
  /** @type {string | undefined} up to where nothing can be missing of what is shown, an id; until all is certain to be here that was said before we heard it live */
  settled = undefined;
  /** @type {string | undefined} the first message that was heard since we came in */
  firstLive = undefined;
  unread = 0;
  /** @type {string | undefined} the newest message that the person has read on any device, if that is known */
  read = undefined;
  /** @type {string | undefined} key of the first unread message when the room was opened */
  mark = undefined;
  /** @type {Member[] | undefined} undefined: not known */
  members = undefined;
  /** @type {Map<string, {name: string, timer: number}>} by socket id */
  typing = new Map();

  /**
   * @param {string} name
   * @param {(stamp: Stamp) => boolean} isOwn
   */
  constructor(name, isOwn) {
    this.name = name;
    this.timeline = new Timeline(isOwn);
  }

  /** Whether history is being asked. */
  get loading() {
    return this.loads > 0;
  }

  /** Messages on their way: they are in this page alone. */
  get unsent() {
    return this.timeline.items.filter((item) => item.state === "sending");
  }

  /** Whether there is a hole in what is shown, or nothing yet. */
  get lacks() {
    return !this.loaded || this.gapFrom !== undefined;
  }

  /**
   * Takes a message that came live.
   *
   * @param {Parameters<Timeline["add"]>[0]} message
   */
  hear(message) {
    const item = this.timeline.add(message);
    // It is not next to what is shown: history brings it when the reader comes so far.
    if (item && this.until) this.timeline.remove(item);
    return item;
  }

  /** Forgets old messages that nobody looks at: history has them when they are wanted. */
  trim() {
    const { items } = this.timeline;
    const oldest = items.length > mostKept ? items.slice(-fewestKept).find((item) => item.id)?.id : undefined;
    if (!oldest || this.loading || this.until) return;
    this.timeline.drop((id) => compareIds(id, oldest) < 0);
    this.reach = "";
    this.more = true;
    if (this.settled) this.settled = later(this.settled, oldest);
  }

  /** Forgets new messages far behind those that the person reads: history brings them when the reader comes so far. */
  cut() {
    const { items } = this.timeline;
    if (items.length <= mostKept || this.state !== "in" || this.loading || this.until || this.lacks || this.settled !== undefined) return;
    const at = items.findIndex(({ id }) => id && id === this.reading);
    const newest = at < 0 ? undefined : items[at + fewestKept]?.id;
    if (!newest) return;
    this.timeline.drop((id) => compareIds(id, newest) > 0);
    this.until = newest;
  }

  /**
   * What others said and the person has not read, as far as it is here.
   *
   * @param {boolean} toAll whether what was said to everyone counts
   */
  news(toAll) {
    const { read } = this;
    const { items } = this.timeline;
    const from = items.findIndex((item) => item.key === this.mark);
    return items.filter((item, at) => {
      if (item.own || item.deleted || item.redacted || (item.toAll && !toAll)) return false;
      return from >= 0 ? at >= from : !read || !item.id || compareIds(item.id, read) > 0;
    });
  }

  /** @param {Stamp} stamp */
  arrived(stamp) {
    if (!this.members || !stamp.socket || this.members.some((member) => member.id === stamp.socket)) return;
    this.members = [...this.members, { id: stamp.socket, name: stamp.name, user: stamp.user }];
  }

  /** @param {Stamp} stamp */
  went(stamp) {
    this.members = this.members?.filter((member) => member.id !== stamp.socket);
  }

  /**
   * @param {Stamp} stamp
   * @param {() => void} expired
   */
  types(stamp, expired) {
    if (!stamp.socket) return;
    clearTimeout(this.typing.get(stamp.socket)?.timer);
    const socket = stamp.socket;
    const timer = setTimeout(() => this.stopsTyping(socket) && expired(), typingLasts);
    this.typing.set(socket, { name: stamp.name || "Someone", timer: Number(timer) });
  }

  /**
   * @param {string | undefined} socket
   * @returns {boolean} whether it was typing
   */
  stopsTyping(socket) {
    if (!socket) return false;
    clearTimeout(this.typing.get(socket)?.timer);
    return this.typing.delete(socket);
  }
}
