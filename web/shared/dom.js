/**
 * Elements without markup: text enters the page as text nodes only.
 */

/**
 * @param {string} id
 * @returns {HTMLElement} never null: a missing element is a mistake in the page
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found;
}

/** @param {string} id */
export const inputById = (id) => /** @type {HTMLInputElement} */ (byId(id));
/** @param {string} id */
export const dialogById = (id) => /** @type {HTMLDialogElement} */ (byId(id));
/** @param {string} id */
export const formById = (id) => /** @type {HTMLFormElement} */ (byId(id));

/**
 * Makes an element. Names that start with "on" are listeners, false and undefined leave an attribute out.
 *
 * @param {string} tag
 * @param {Record<string, string | number | boolean | undefined | ((event: any) => void)>} [attributes]
 * @param {...(Node | string | undefined)} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children) if (child !== undefined) element.append(child);
  return element;
}

/**
 * @param {string} id of an element of class "problem"
 * @param {string} text "" hides it
 */
export function showProblem(id, text) {
  const problem = byId(id);
  const words = /** @type {HTMLElement} */ (problem.lastElementChild);
  words.textContent = text;
  problem.hidden = text === "";
}

/**
 * Lets the arrow keys, Home and End go from one button of a list to another.
 *
 * @param {HTMLElement} list
 */
export function arrowKeys(list) {
  list.addEventListener("keydown", (event) => {
    const buttons = [...list.querySelectorAll("button")];
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons[Math.max(0, Math.min(to, buttons.length - 1))].focus();
  });
}

/** @param {string} name a file in icons/ that base.css knows */
export const icon = (name) => h("span", { class: `icon icon-${name}`, "aria-hidden": "true" });

/**
 * Makes the list's children be the given ones, touching only what changed, so that focus and selection stay.
 *
 * @param {Element} list
 * @param {Element[]} children
 */
export function arrange(list, children) {
  let next = list.firstElementChild;
  for (const child of children) {
    if (child === next) next = next.nextElementSibling;
    else list.insertBefore(child, next);
  }
  while (next) {
    const gone = next;
    next = next.nextElementSibling;
    gone.remove();
  }
}
