/**
 * Who is in the open room, and who is typing.
 */
import { avatar } from "../shared/avatar.js";
import { byId, h } from "../shared/dom.js";

/** @typedef {import("../shared/types.js").Member} Member */

export class PeopleView {
  /** @param {import("./chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    for (const type of ["rooms", "people"]) chat.addEventListener(type, () => this.#show());
  }

  #show() {
    const room = this.chat.active;
    const people = merge(room?.members ?? []);
    byId("people").replaceChildren(...people.map((person) => this.#row(person)));
    const empty = byId("people-empty");
    empty.hidden = people.length > 1;
    empty.textContent = !room?.members
      ? "Who is here will show when you are connected."
      : "Nobody else yet. Copy a link to this room and send it to someone.";
    byId("typing").replaceChildren(...typingText([...(room?.typing.values() ?? [])].map(({ name }) => name)));
  }

  /** @param {{member: Member, pages: number}} person */
  #row({ member, pages }) {
    const name = member.name || "Guest";
    const { session } = this.chat.identity;
    const self = member.id === this.chat.connection.id || (!!member.user && member.user === session?.user);
    const notes = [self ? "you" : "", member.user ? "signed in" : "", pages > 1 ? `${pages} pages` : ""].filter(Boolean).join(" · ");
    return h(
      "li",
      { class: "person" },
      avatar({ name, key: member.user ?? name }),
      h(
        "span",
        { class: "person-text" },
        h("bdi", { class: "person-name" }, name),
        notes ? h("span", { class: "hint" }, notes) : undefined,
      ),
    );
  }
}

/**
 * One row for an account, however many pages it has open; guests are as many as their pages.
 *
 * @param {Member[]} members
 */
function merge(members) {
  /** @type {Map<string, {member: Member, pages: number}>} */
  const people = new Map();
  for (const member of members) {
    const key = member.user ? `user ${member.user}` : `socket ${member.id}`;
    const known = people.get(key);
    people.set(key, { member: known?.member ?? member, pages: (known?.pages ?? 0) + 1 });
  }
  return [...people.values()].sort((a, b) => (a.member.name ?? "").localeCompare(b.member.name ?? ""));
}

/** @param {string[]} names */
function typingText(names) {
  if (names.length === 0) return [];
  const dots = h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
  const [first, second] = names.map((name) => h("bdi", {}, name));
  if (names.length === 1) return [dots, first, " is typing"];
  if (names.length === 2) return [dots, first, " and ", second, " are typing"];
  return [dots, `${names.length} people are typing`];
}
