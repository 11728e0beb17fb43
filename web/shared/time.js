/**
 * Times as people read them, in the reader's language and time zone.
 */

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const yearFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** @param {Date} date */
export const clock = (date) => (isValid(date) ? clockFormat.format(date) : "");
/** @param {Date} date */
export const full = (date) => (isValid(date) ? fullFormat.format(date) : "");
/** @param {Date} date */
export const isValid = (date) => !Number.isNaN(date.getTime());

/**
 * @param {Date} date
 * @returns {string} the same for times of the same local day
 */
export const dayKey = (date) => `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;

/**
 * @param {Date} date
 * @param {Date} [now]
 */
export function dayName(date, now = new Date()) {
  if (!isValid(date)) return "";
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (dayKey(date) === dayKey(now)) return "Today";
  if (dayKey(date) === dayKey(yesterday)) return "Yesterday";
  return (date.getFullYear() === now.getFullYear() ? dayFormat : yearFormat).format(date);
}

/**
 * @param {Date} date
 * @param {Date} [now]
 * @returns {string} such as "3 min"
 */
export function since(date, now = new Date()) {
  if (!isValid(date)) return "";
  const seconds = Math.max(0, Math.round((now.getTime() - date.getTime()) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}
