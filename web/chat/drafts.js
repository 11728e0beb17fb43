/**
 * What was written and not sent, by room. It survives a reload: this tab remembers it.
 */
const key = "natter.drafts";

export class Drafts {
  #texts = readTexts();

  /** @param {string} room @returns {string} */
  get(room) {
    return this.#texts.get(room) ?? "";
  }

  /** @param {string} room @param {string} text */
  set(room, text) {
    if (text === this.get(room)) return;
    if (text) this.#texts.set(room, text);
    else this.#texts.delete(room);
    try {
      sessionStorage.setItem(key, JSON.stringify([...this.#texts]));
    } catch {
      // Full: it lasts as long as the page.
    }
  }
}

/** @returns {Map<string, string>} */
function readTexts() {
  try {
    return new Map(JSON.parse(sessionStorage.getItem(key) ?? "[]"));
  } catch {
    return new Map();
  }
}
