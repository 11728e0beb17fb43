// Numbers drawn from a seed: the same seed, the same numbers, on every machine.

// random returns a function that draws numbers from 0 to below 1 (the generator mulberry32).
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

// pick draws one of a list.
export const pick = (draw, list) => list[Math.floor(draw() * list.length)];

// shuffle returns a list in another order.
export function shuffle(draw, list) {
  const all = [...list];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
}
