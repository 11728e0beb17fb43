/**
 * A colour and initials that a sender keeps, on every page and every machine.
 */
import { h, icon } from "./dom.js";

/**
 * @param {string} key what names the sender: an account, else a name
 * @returns {number} a hue in degrees, one of 24, far enough apart to tell people apart
 */
export function hue(key) {
  let hash = 2166136261; // FNV-1a: spreads even "Ann" and "Anna"
  for (const char of key) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619);
  return ((hash >>> 8) % 24) * 15;
}

/** @param {string} name */
export function initials(name) {
  const words = name.split(/[^\p{L}\p{N}\p{M}]+/u).filter(Boolean);
  const chosen = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  const letters = chosen.map((word) => graphemes(word)[0]).join("");
  return letters.toLocaleUpperCase() || graphemes(name.trim())[0] || "?";
}

/**
 * @param {{name: string, key: string, service?: boolean}} who
 * @returns {HTMLElement}
 */
export function avatar({ name, key, service }) {
  const face = h("span", { class: service ? "avatar service" : "avatar", "aria-hidden": "true" });
  face.append(service ? icon("service") : initials(name));
  face.style.setProperty("--hue", String(hue(key)));
  return face;
}

/** @param {string} text what a person sees as characters: 👩‍🚀 is one */
function graphemes(text) {
  if (!("Segmenter" in Intl)) return [...text];
  return [...new Intl.Segmenter().segment(text)].map((part) => part.segment);
}
