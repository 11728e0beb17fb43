/**
 * Ids of messages, "<stream creation in base 36>-<sequence>".
 */

/**
 * Orders ids.
 *
 * @param {string} a
 * @param {string} b
 */
export function compareIds(a, b) {
  const [epochA, sequenceA] = split(a);
  const [epochB, sequenceB] = split(b);
  return epochA - epochB || sequenceA - sequenceB;
}

/**
 * @param {string | undefined} a
 * @param {string | undefined} b
 */
export function later(a, b) {
  if (!a || !b) return a || b;
  return compareIds(b, a) > 0 ? b : a;
}

/** @param {string} id */
function split(id) {
  const [epoch, sequence] = id.split("-");
  return [parseInt(epoch, 36), Number(sequence)];
}
