/**
 * The welcome page and the dialogs: choosing a name, signing in, settings, joining and leaving a room. Esc closes a
 * dialog: the browser does that, and gives the focus back.
 */
import { byId, dialogById, formById, inputById, showProblem } from "../shared/dom.js";
import { login, LoginError } from "../shared/session.js";

/**
 * @typedef {import("./identity.js").Identity} Identity
 * @typedef {import("./place.js").Place} Place
 */

/**
 * @param {Identity} identity
 * @param {Place} place
 * @param {() => void} done
 */
export function welcomePage(identity, place, done) {
  byId("welcome").hidden = false;
  const hint = byId("welcome-hint");
  if (place.link.room) hint.textContent = `Choose a name to join “${place.link.room}”. The others will see it beside what you say.`;
  whoForm("welcome", identity, done);
  inputById("welcome-name").focus();
}

/**
 * @param {Identity} identity
 * @param {Place} place
 * @param {() => void} changed the person is somebody else now
 */
export function profileDialog(identity, place, changed) {
  const dialog = dismissable("profile");
  const form = whoForm("profile", identity, () => {
    dialog.close();
    changed();
  });
  const signOut = byId("sign-out");
  signOut.addEventListener("click", () => {
    identity.enterAs(identity.guestName || identity.name);
    dialog.close();
    changed();
  });
  for (const radio of form.querySelectorAll("input[name=theme]")) {
    radio.addEventListener("change", (event) => place.set({ theme: /** @type {HTMLInputElement} */ (event.target).value }));
  }
  const open = (/** @type {boolean} */ withPassword = false) => {
    const { session } = identity;
    inputById("profile-name").value = identity.name;
    inputById("profile-name").disabled = !!session;
    inputById("profile-password").value = "";
    showProblem("profile-problem", "");
    byId("profile-hint").textContent = session
      ? "You are signed in. Your name is that of your account."
      : "You are a guest. Your name is remembered in this browser.";
    byId("profile-toggle").hidden = !!session;
    byId("profile-save").hidden = !!session;
    signOut.hidden = !session;
    expandPassword("profile", withPassword && !session);
    const theme = form.querySelector(`input[name=theme][value="${place.link.theme}"]`);
    if (theme) /** @type {HTMLInputElement} */ (theme).checked = true;
    dialog.showModal();
  };
  return { open };
}

/**
 * @param {(name: string) => void} joined
 */
export function joinDialog(joined) {
  const dialog = dismissable("join");
  const input = inputById("join-name");
  formById("join-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = input.value.trim();
    if (!name) {
      showProblem("join-problem", "Which room? Write its name, such as “kitchen”.");
      input.focus();
      return;
    }
    dialog.close();
    joined(name);
    byId("composer-text").focus();
  });
  const open = () => {
    input.value = "";
    showProblem("join-problem", "");
    dialog.showModal();
  };
  return { open };
}

/**
 * Leaves a room, and asks before if messages that are on their way would be lost.
 *
 * @param {import("./chat.js").Chat} chat
 */
export function leaveDialog(chat) {
  const dialog = dismissable("leave");
  /** @type {import("./room.js").Room | undefined} */
  let leaving;
  formById("leave-form").addEventListener("submit", () => leaving && chat.leave(leaving));
  const open = (/** @type {import("./room.js").Room} */ room) => {
    const count = room.unsent.length;
    if (count === 0) return chat.leave(room);
    leaving = room;
    byId("leave-title").textContent = `Leave ${room.name}?`;
    byId("leave-text").textContent =
      count === 1
        ? "A message that you wrote there is still on its way. It may be lost if you leave."
        : `${count} messages that you wrote there are still on their way. They may be lost if you leave.`;
    dialog.showModal();
  };
  return { open };
}

/**
 * A form that asks for a name, or for a name and a password.
 *
 * @param {'welcome' | 'profile'} prefix
 * @param {Identity} identity
 * @param {() => void} done
 */
function whoForm(prefix, identity, done) {
  const form = formById(`${prefix}-form`);
  const nameInput = inputById(`${prefix}-name`);
  const passwordInput = inputById(`${prefix}-password`);
  const toggle = byId(`${prefix}-toggle`);
  toggle.addEventListener("click", () => expandPassword(prefix, toggle.getAttribute("aria-expanded") !== "true"));
  const problem = (/** @type {string} */ text, /** @type {HTMLElement} */ input) => {
    showProblem(`${prefix}-problem`, text);
    input.focus();
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = nameInput.value.trim();
    const withPassword = toggle.getAttribute("aria-expanded") === "true";
    if (!name) return problem("Write a name first: it may be anything that you like to be called.", nameInput);
    if (!withPassword) {
      identity.enterAs(name);
      return done();
    }
    if (!passwordInput.value) return problem("Write your password, or go on without an account.", passwordInput);
    const submit = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
    submit.disabled = true;
    try {
      identity.signIn(await login(name, passwordInput.value));
    } catch (error) {
      if (!(error instanceof LoginError)) throw error;
      return problem(error.message, passwordInput);
    } finally {
      submit.disabled = false;
    }
    passwordInput.value = "";
    showProblem(`${prefix}-problem`, "");
    done();
  });
  return form;
}

/**
 * @param {'welcome' | 'profile'} prefix
 * @param {boolean} expanded
 */
function expandPassword(prefix, expanded) {
  const toggle = byId(`${prefix}-toggle`);
  toggle.setAttribute("aria-expanded", String(expanded));
  toggle.textContent = expanded ? "Go on without an account" : "I have an account";
  byId(`${prefix}-password-field`).hidden = !expanded;
  const submit = byId(`${prefix}-form`).querySelector("[type=submit]");
  if (submit) submit.textContent = expanded ? "Sign in" : prefix === "welcome" ? "Enter" : "Save";
  showProblem(`${prefix}-problem`, "");
}

/** @param {string} id */
function dismissable(id) {
  const dialog = dialogById(id);
  dialog.querySelector("[data-dismiss]")?.addEventListener("click", () => dialog.close());
  return dialog;
}
