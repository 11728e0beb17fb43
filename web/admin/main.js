/**
 * Puts the admin page together: signing in, the connection to /admin, and the two lists.
 */
import { Connection, missingClient } from "../shared/connection.js";
import { byId, formById, inputById, showProblem } from "../shared/dom.js";
import { login, LoginError, SessionStore } from "../shared/session.js";
import { AccountsView } from "./accounts-view.js";
import { SocketsView } from "./sockets-view.js";

const words = {
  idle: "",
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  refused: "Not admitted",
  ended: "Disconnected",
};
const longestTimer = 2 ** 31 - 1; // milliseconds that setTimeout can count

const missing = await missingClient();
if (missing) {
  byId("sign-in").hidden = false;
  showProblem("sign-in-problem", missing);
} else {
  start();
}

function start() {
  const store = new SessionStore("natter.admin.session");
  const connection = new Connection("/admin", () => ({ token: store.get()?.token, name: store.get()?.name }));
  const sockets = new SocketsView(connection);
  const accounts = new AccountsView(
    connection,
    () => sockets.refresh(),
    () => store.get()?.user,
  );
  let expiry = 0;

  connection.addEventListener("phase", show);
  connection.addEventListener("up", () => {
    accounts.refresh();
    sockets.refresh();
  });
  byId("sign-out").addEventListener("click", () => leave(""));
  formById("sign-in-form").addEventListener("submit", (event) => {
    event.preventDefault();
    signIn();
  });
  if (store.get()) enter();
  else leave("");

  async function signIn() {
    const name = inputById("name").value.trim();
    const password = inputById("password").value;
    if (!name || !password) {
      showProblem("sign-in-problem", "Both the name and the password are needed.");
      inputById(name ? "password" : "name").focus();
      return;
    }
    const submit = /** @type {HTMLButtonElement} */ (formById("sign-in-form").querySelector("[type=submit]"));
    submit.disabled = true;
    try {
      store.set(await login(name, password));
    } catch (error) {
      if (!(error instanceof LoginError)) throw error;
      showProblem("sign-in-problem", error.message);
      inputById("password").select();
      return;
    } finally {
      submit.disabled = false;
    }
    enter();
  }

  function enter() {
    showProblem("sign-in-problem", "");
    byId("who-name").textContent = store.get()?.name ?? "";
    clearTimeout(expiry);
    const left = Date.parse(store.get()?.expires ?? "") - Date.now();
    if (left < longestTimer) expiry = Number(setTimeout(() => leave("Your session has expired. Sign in again."), left));
    connection.connect();
  }

  /** @param {string} why for the person, "" if it was their wish */
  function leave(why) {
    clearTimeout(expiry);
    store.clear();
    connection.close();
    sockets.clear();
    accounts.clear();
    byId("who").hidden = true;
    byId("admin").hidden = true;
    byId("sign-in").hidden = false;
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    inputById("password").value = "";
    showProblem("sign-in-problem", why);
    inputById("name").focus();
  }

  function show() {
    const { phase, reason } = connection;
    byId("state").textContent = words[phase];
    byId("state").dataset.phase = phase;
    document.documentElement.dataset.phase = phase;
    if (phase === "refused") return leave(reason);
    if (phase === "ended") return leave(`${reason} Sign in again.`);
    if (phase === "idle") return;
    // Until the server has let us in there is nothing to show, on a reconnect there is.
    if (phase === "connected") {
      byId("sign-in").hidden = true;
      byId("admin").hidden = false;
      byId("who").hidden = false;
      inputById("password").value = "";
    }
    showProblem("admin-problem", phase === "reconnecting" ? `${reason} What is shown may be old.` : "");
    if (byId("admin").hidden && phase === "reconnecting") showProblem("sign-in-problem", `${reason} Trying again…`);
  }
}
