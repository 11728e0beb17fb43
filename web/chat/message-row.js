/**
 * One row of the conversation as an element. What others wrote becomes text nodes, and links if it says
 * http or https.
 */
import { avatar, hue } from "../shared/avatar.js";
import { h, icon } from "../shared/dom.js";
import { clock, dayName, full, isValid } from "../shared/time.js";

/**
 * @typedef {import("./rows.js").Row} Row
 * @typedef {import("./timeline.js").Item} Item
 * @typedef {import("./room.js").Room} Room
 */

const address = /https?:\/\/[^\s<>"']+/giu;
const onlyEmoji = /^[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}\u200d\ufe0f\s]{1,24}$/u;

/**
 * @param {Row} row
 * @param {import("./chat.js").Chat} chat
 * @param {Room | undefined} room
 * @returns {HTMLElement}
 */
export function messageRow(row, chat, room) {
  if (row.kind === "day") return h("li", { class: "day" }, h("span", {}, dayName(row.time)));
  if (row.kind === "unread") return h("li", { class: "unread-line" }, h("span", {}, "New"));
  if (row.kind === "gap") return h("li", { class: "day" }, h("span", {}, "What was said in between cannot be shown yet"));
  const { item, first, last, time } = row;
  if (!item || !room) return h("li");
  const service = !item.own && !item.stamp.socket && !item.redacted;
  const name = item.redacted ? "Removed" : item.stamp.name || (service ? "Service" : "Guest");
  const classes = [
    "message",
    item.own && "own",
    first && "first",
    last && "last",
    service && "service",
    (item.redacted || item.deleted || item.omitted) && "redacted",
    item.state,
  ];
  const element = h("li", { class: classes.filter(Boolean).join(" "), "data-key": item.key, "data-id": item.id });
  element.style.setProperty("--hue", String(hue(item.stamp.user ?? name)));
  if (first) {
    if (!item.own) element.append(avatar({ name, key: item.stamp.user ?? name, service }));
    element.append(head(item, item.own ? "You" : name, service, time));
  }
  element.append(h("div", { class: "said" }, bubble(item, time), chat.mayChange(item) ? tools(item, chat, room) : undefined));
  if (item.state === "stored" && item.problem) element.append(unchanged(item, chat, room));
  if (item.own) element.append(state(item, chat, room, !!last));
  return element;
}

/**
 * @param {Item} item
 * @param {string} name
 * @param {boolean} service
 * @param {Date} time
 */
function head(item, name, service, time) {
  const tags = [service && item.stamp.name ? "service" : "", item.toAll ? "to everyone" : ""].filter(Boolean);
  return h(
    "div",
    { class: "head" },
    h("bdi", { class: "who" }, name),
    ...tags.map((tag) => h("span", { class: "tag" }, tag)),
    h("time", { datetime: isValid(time) ? time.toISOString() : undefined, title: full(time) }, clock(time)),
  );
}

/**
 * What the person may do with a message.
 *
 * @param {Item} item
 * @param {import("./chat.js").Chat} chat
 * @param {Room} room
 */
function tools(item, chat, room) {
  const remove = (/** @type {MouseEvent} */ { currentTarget }) => {
    const button = /** @type {HTMLElement} */ (currentTarget);
    if (button.dataset.sure) return chat.change(room, item, undefined);
    // A second click within some seconds is meant.
    button.dataset.sure = "yes";
    button.textContent = "Really delete?";
    setTimeout(() => {
      delete button.dataset.sure;
      button.textContent = "Delete";
    }, 4000);
  };
  return h(
    "div",
    { class: "tools" },
    h(
      "div",
      { class: "tools-box" },
      item.omitted ? undefined : h("button", { type: "button", class: "link-button", onclick: () => chat.edit(item) }, "Edit"),
      h("button", { type: "button", class: "link-button", onclick: remove }, "Delete"),
    ),
  );
}

/**
 * @param {Item} item whose change went wrong
 * @param {import("./chat.js").Chat} chat
 * @param {Room} room
 */
function unchanged(item, chat, room) {
  const again = () => chat.change(room, item, item.wanted?.text);
  return h(
    "div",
    { class: "state problem", role: "alert" },
    icon("alert"),
    h("span", {}, item.problem),
    h("button", { type: "button", class: "link-button", onclick: again }, "Try again"),
  );
}

/**
 * @param {Item} item
 * @param {Date} time
 */
function bubble(item, time) {
  if (item.redacted) return h("div", { class: "bubble" }, "Removed: what the sender had said was erased.");
  if (item.deleted) return h("div", { class: "bubble" }, "This message was deleted.");
  if (item.omitted) return h("div", { class: "bubble" }, "This message is too large to be shown here.");
  const large = onlyEmoji.test(item.text) && /\S/u.test(item.text);
  const edited = item.edited ? h("span", { class: "edited", title: `Edited ${full(new Date(item.edited))}` }) : undefined;
  return h("div", { class: large ? "bubble large" : "bubble", dir: "auto", title: full(time) }, ...linked(item.text), edited);
}

/**
 * @param {Item} item
 * @param {import("./chat.js").Chat} chat
 * @param {Room} room
 * @param {boolean} last
 */
function state(item, chat, room, last) {
  if (item.state === "failed") {
    return h(
      "div",
      { class: "state", role: "alert" },
      icon("alert"),
      h("span", {}, `Not sent. ${item.problem ?? ""}`),
      h("button", { type: "button", class: "link-button", onclick: () => chat.outbox.retry(room, item) }, "Retry"),
      h("button", { type: "button", class: "link-button", onclick: () => chat.outbox.discard(room, item) }, "Discard"),
    );
  }
  if (item.state === "sending") return h("div", { class: "state" }, icon("clock"), h("span", {}, "Sending…"));
  return h("div", { class: last ? "state" : "state visually-hidden" }, icon("check"), h("span", {}, "Stored"));
}

/**
 * @param {string} text
 * @returns {(Node | string)[]}
 */
function linked(text) {
  /** @type {(Node | string)[]} */
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(address)) {
    const words = match[0].replace(/[.,;:!?)\]}»”’]+$/u, "");
    if (!URL.canParse(words)) continue;
    parts.push(text.slice(end, match.index), h("a", { href: new URL(words).href, target: "_blank", rel: "noopener noreferrer" }, words));
    end = match.index + words.length;
  }
  parts.push(text.slice(end));
  return parts;
}
