// Says every 15 seconds what a run is doing: it is long, and silent otherwise.

const every = 15_000;

// progress begins; doing() says what happens from now on, hit() that a fault is over, end() ends it.
export function progress({ faults = 0, print = console.log } = {}) {
  const began = Date.now();
  let what = "starting everything";
  let over = 0;
  const passed = () => {
    const seconds = Math.round((Date.now() - began) / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  };
  const timer = setInterval(() => print(`chaos: ${passed()} ${what}${faults > 0 ? `, ${over} of ${faults} faults are over` : ""}`), every);
  return {
    doing(next, count = faults) {
      what = next;
      faults = count;
    },
    hit() {
      over++;
    },
    end: () => clearInterval(timer),
  };
}
