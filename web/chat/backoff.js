/**
 * How long to wait before something is asked again.
 */

const shortest = 1000; // milliseconds
const longest = 8000; // milliseconds

/** @param {number} delay milliseconds */
export const longer = (delay) => Math.min(Math.max(delay, shortest) * 1.5, longest);

/** @param {number} delay milliseconds; not the same for all pages that came at once */
export const jittered = (delay) => delay * (0.75 + Math.random() / 2);
