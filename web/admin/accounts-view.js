/**
 * The accounts: list, create, delete.
 */
import { avatar } from "../shared/avatar.js";
import { RequestError } from "../shared/connection.js";
import { byId, h, icon, showProblem } from "../shared/dom.js";
import { dayName, full } from "../shared/time.js";
import { confirm, createDialog, toast } from "./dialogs.js";

/** @typedef {import("../shared/types.js").User} User */

export class AccountsView {
  /**
   * @param {import("../shared/connection.js").Connection} connection
   * @param {() => void} changed sockets may have gone with an account
   * @param {() => string | undefined} self the account that is signed in
   */
  constructor(connection, changed, self) {
    this.connection = connection;
    this.changed = changed;
    this.self = self;
    const create = createDialog(async (account) => {
      const { user } = await connection.request("create user", account);
      toast(`The account ${user.name} is there.`);
      await this.refresh();
    });
    byId("create-open").addEventListener("click", () => create.open());
  }

  async refresh() {
    try {
      const { users } = await this.connection.request("list users");
      this.#show(Array.isArray(users) ? users : []);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.code !== "offline") showProblem("admin-problem", `The accounts cannot be listed. ${error.message}`);
    }
  }

  clear() {
    byId("users").replaceChildren();
  }

  /** @param {User[]} users */
  #show(users) {
    users.sort((a, b) => a.name.localeCompare(b.name));
    byId("users").replaceChildren(...users.map((user) => this.#row(user)));
    byId("users-count").textContent = String(users.length);
    byId("users-none").hidden = users.length > 0;
  }

  /** @param {User} user */
  #row(user) {
    const created = new Date(user.created);
    const self = user.id === this.self();
    return h(
      "tr",
      { "data-user": user.id },
      h(
        "th",
        { scope: "row" },
        h(
          "span",
          { class: "who" },
          avatar({ name: user.name, key: user.id }),
          h("bdi", {}, user.name),
          self ? h("span", { class: "hint" }, "you") : undefined,
        ),
      ),
      h("td", { "data-label": "Roles" }, h("div", {}, ...roles(user.roles))),
      h("td", { "data-label": "Created" }, h("time", { datetime: user.created, title: full(created) }, dayName(created))),
      h(
        "td",
        { class: "action" },
        h(
          "button",
          { type: "button", class: "button small", "aria-label": `Delete ${user.name}`, onclick: () => this.#delete(user, self) },
          icon("trash"),
          "Delete",
        ),
      ),
    );
  }

  /**
   * @param {User} user
   * @param {boolean} self
   */
  #delete(user, self) {
    const own = self ? " This is your own account: you will be signed out." : "";
    confirm({
      title: `Delete ${user.name}?`,
      text: `The account ends, its connections are closed, and what it said is removed from the history. This cannot be undone.${own}`,
      action: "Delete the account",
      act: async () => {
        await this.connection.request("delete user", user.id);
        toast(`The account ${user.name} is deleted.`);
        await this.refresh();
        this.changed();
      },
    });
  }
}

/** @param {string[] | undefined} names */
function roles(names) {
  if (!names?.length) return [h("span", { class: "hint" }, "none")];
  return names.map((name) => h("span", { class: "chip" }, name));
}
