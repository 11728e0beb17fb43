/**
 * The connected sockets: a list that renews itself while it is looked at, and disconnecting one.
 */
import { avatar } from "../shared/avatar.js";
import { RequestError } from "../shared/connection.js";
import { byId, h, inputById, showProblem } from "../shared/dom.js";
import { full, since } from "../shared/time.js";
import { confirm, toast } from "./dialogs.js";

/**
 * @typedef {import("../shared/types.js").Connected} Connected
 * @typedef {import("../shared/types.js").SocketList} SocketList
 */

const every = 5000; // milliseconds
const shownRooms = 6;

export class SocketsView {
  /** @type {Connected[]} */
  #sockets = [];
  #asking = false;
  #failed = false;

  /** @param {import("../shared/connection.js").Connection} connection */
  constructor(connection) {
    this.connection = connection;
    byId("sockets-refresh").addEventListener("click", () => this.refresh());
    inputById("filter").addEventListener("input", () => this.#show());
    setInterval(() => document.visibilityState === "visible" && connection.phase === "connected" && this.refresh(), every);
  }

  async refresh() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const { sockets, complete } = /** @type {SocketList} */ (await this.connection.request("list sockets"));
      this.#sockets = Array.isArray(sockets) ? sockets : [];
      byId("sockets-partial").hidden = complete !== false;
      this.#sockets.sort((a, b) => a.connected.localeCompare(b.connected));
      this.#show();
      if (this.#failed) showProblem("admin-problem", "");
      this.#failed = false;
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.code === "offline") return;
      this.#failed = true;
      showProblem("admin-problem", `The connected sockets cannot be listed. ${error.message}`);
    } finally {
      this.#asking = false;
    }
  }

  clear() {
    this.#sockets = [];
    byId("sockets").replaceChildren();
  }

  #show() {
    const wanted = inputById("filter").value.trim().toLocaleLowerCase();
    const text = (/** @type {Connected} */ socket) =>
      [socket.name, socket.user, socket.namespace, socket.address, socket.id, ...(socket.rooms ?? [])].join("\n").toLocaleLowerCase();
    const found = this.#sockets.filter((socket) => text(socket).includes(wanted));
    // The button that has the focus must keep it when the list renews itself.
    const focused = document.activeElement?.closest("tr")?.dataset.socket;
    const rows = found.map((socket) => this.#row(socket));
    byId("sockets").replaceChildren(...rows);
    rows
      .find((row) => focused && row.dataset.socket === focused)
      ?.querySelector("button")
      ?.focus();
    byId("sockets-count").textContent = String(this.#sockets.length);
    byId("sockets-none").hidden = found.length > 0;
    byId("sockets-none").textContent = wanted ? "Nobody who is connected fits that." : "Nobody is connected.";
  }

  /** @param {Connected} socket */
  #row(socket) {
    const connected = new Date(socket.connected);
    const self = socket.id === this.connection.id;
    const name = socket.name || "Guest";
    // The room of a user's own devices says no more than who that is.
    const rooms = (socket.rooms ?? []).filter((room) => room !== `user:${socket.user}`);
    const chips = rooms.slice(0, shownRooms).map((room) => h("span", { class: "chip", title: room }, h("bdi", {}, room)));
    const rest =
      rooms.length > shownRooms
        ? h("span", { class: "hint", title: rooms.slice(shownRooms).join(", ") }, `and ${rooms.length - shownRooms} more`)
        : undefined;
    const note = self ? "this page" : socket.user ? "signed in" : "guest";
    return h(
      "tr",
      { "data-socket": `${socket.namespace} ${socket.id}` },
      h(
        "th",
        { scope: "row" },
        h(
          "span",
          { class: "who", title: socket.user ? `Socket ${socket.id}, user ${socket.user}` : `Socket ${socket.id}` },
          avatar({ name, key: socket.user ?? name }),
          h("bdi", {}, name),
          h("span", { class: "hint" }, note),
        ),
      ),
      h("td", { "data-label": "Namespace" }, h("code", {}, socket.namespace)),
      h("td", { "data-label": "Rooms" }, h("div", {}, ...(chips.length ? chips : [h("span", { class: "hint" }, "none")]), rest)),
      h("td", { "data-label": "Address" }, h("code", {}, socket.address ?? "")),
      h("td", { "data-label": "Since" }, h("time", { datetime: socket.connected, title: full(connected) }, since(connected))),
      h(
        "td",
        { class: "action" },
        h(
          "button",
          {
            type: "button",
            class: "button small",
            "aria-label": `Disconnect ${name} from ${socket.namespace}`,
            onclick: () => this.#disconnect(socket, name, self),
          },
          "Disconnect",
        ),
      ),
    );
  }

  /**
   * @param {Connected} socket
   * @param {string} name
   * @param {boolean} self
   */
  #disconnect(socket, name, self) {
    confirm({
      title: `Disconnect ${name}?`,
      text: self
        ? "This is your own connection: you will have to sign in again."
        : `The connection to ${socket.namespace} is closed. The person may connect again.`,
      action: "Disconnect",
      act: async () => {
        await this.connection.request("disconnect socket", { namespace: socket.namespace, id: socket.id });
        toast(`${name} is disconnected.`);
        await this.refresh();
      },
    });
  }
}
