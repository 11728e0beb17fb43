/**
 * What the page's address says: #room=lobby&people=off&theme=dark. A link to a room is such an address.
 *
 * @typedef {object} Link
 * @property {string} room "" if none is named
 * @property {boolean} people whether the list of people is open
 * @property {string} theme "light", "dark" or "" for the system's
 */

/**
 * @param {string} hash
 * @returns {Link}
 */
export function parseLink(hash) {
  const params = new URLSearchParams(hash.replace(/^#/u, ""));
  const theme = params.get("theme") ?? "";
  return {
    room: params.get("room") ?? "",
    people: params.get("people") !== "off",
    theme: theme === "light" || theme === "dark" ? theme : "",
  };
}

/** @param {Link} link */
export function formatLink({ room, people, theme }) {
  const params = new URLSearchParams();
  if (room) params.set("room", room);
  if (!people) params.set("people", "off");
  if (theme) params.set("theme", theme);
  return "#" + params;
}
