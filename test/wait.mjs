// Waiting for conditions and events, never for a fixed time: with a deadline that
// fails the test and says what was awaited.

export const timeout = 20_000; // on a busy machine everything takes long

// until waits for a condition to become true and returns what it gave; an error
// counts as false. It looks again after a pause, which grows while it waits.
export async function until(condition, what, ms = timeout, pause = 10) {
  const began = Date.now();
  for (let last; ; ) {
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      last = error;
    }
    const waited = Date.now() - began;
    if (waited > ms) throw new Error(`waited ${ms} ms for ${what}${last ? `: ${last.cause ?? last}` : ""}`);
    await new Promise((resolve) => setTimeout(resolve, Math.max(pause, waited / 20)));
  }
}

// within gives a promise a deadline.
export async function within(promise, what, ms = timeout) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
