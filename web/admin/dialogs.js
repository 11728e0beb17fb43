/**
 * The dialogs of the admin page, and how it says that something went wrong or well.
 */
import { RequestError } from "../shared/connection.js";
import { byId, dialogById, formById, inputById, showProblem } from "../shared/dom.js";

let toastTimer = 0;

/** @param {string} text */
export function toast(text) {
  byId("toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = Number(setTimeout(() => (byId("toast").textContent = ""), 5000));
}

/**
 * Wires a dialog whose submit does something that may fail: it stays open and says why.
 *
 * @param {string} id
 * @param {() => Promise<void>} act
 */
export function actionDialog(id, act) {
  const dialog = dialogById(id);
  const form = formById(`${id}-form`);
  const submit = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
  dialog.querySelector("[data-dismiss]")?.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    showProblem(`${id}-problem`, "");
    try {
      await act();
      dialog.close();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      showProblem(`${id}-problem`, error.message);
    } finally {
      submit.disabled = false;
    }
  });
  const open = () => {
    form.reset();
    showProblem(`${id}-problem`, "");
    dialog.showModal();
  };
  return { open };
}

/** @type {() => Promise<void>} */
let confirmed = async () => {};
/** @type {{open: () => void} | undefined} */
let confirmation;

/**
 * @param {{title: string, text: string, action: string, act: () => Promise<void>}} question
 */
export function confirm({ title, text, action, act }) {
  confirmation ??= actionDialog("confirm", () => confirmed());
  confirmed = act;
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-do").textContent = action;
  confirmation.open();
}

/**
 * @param {(account: {name: string, password: string, roles: string[]}) => Promise<void>} create
 */
export function createDialog(create) {
  return actionDialog("create", async () => {
    const name = inputById("create-name").value.trim();
    const password = inputById("create-password").value;
    if (!name) throw new RequestError("invalid", "The account needs a name.");
    if (!password) throw new RequestError("invalid", "The account needs a password.");
    await create({ name, password, roles: inputById("create-admin").checked ? ["admin"] : [] });
  });
}
