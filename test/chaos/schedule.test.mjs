import assert from "node:assert/strict";
import { test } from "node:test";
import { plan, routes } from "./schedule.mjs";

const has = { services: ["a1", "a2", "h1"], databases: ["db"], clients: ["c1", "c2"] };

test("the same seed gives the same faults, another one others", () => {
  assert.deepEqual(plan({ seed: 7, minutes: 10, has }), plan({ seed: 7, minutes: 10, has }));
  assert.notDeepEqual(plan({ seed: 7, minutes: 10, has }), plan({ seed: 8, minutes: 10, has }));
});

test("two nats-servers are away together once, and there is calm before every fault", () => {
  for (const minutes of [1, 10]) {
    for (let seed = 1; seed < 100; seed++) {
      const tracks = plan({ seed, minutes, has });
      assert.equal(tracks.nats.filter(({ target }) => target.includes("+")).length, 1);
      for (const [name, faults] of Object.entries(tracks)) {
        assert.ok(faults.length >= 2 * minutes, `${name}, seed ${seed}: ${faults.length} faults`);
        for (const fault of faults) assert.ok(fault.after >= 3000 && fault.lasts >= 1000 && fault.act && fault.target, JSON.stringify(fault));
        const total = faults.reduce((sum, { after, lasts }) => sum + after + lasts, 0);
        assert.ok(total <= (minutes + 0.5) * 60_000, `${name}, seed ${seed}: ${total} ms`);
      }
    }
  }
});

test("in a long run one history service is away for longer than others wait", () => {
  for (let seed = 1; seed < 100; seed++) {
    const long = (minutes) => Object.values(plan({ seed, minutes, has })).flat().filter(({ act }) => act.endsWith(" long"));
    assert.deepEqual(long(1), []);
    const [fault, ...others] = long(10);
    assert.deepEqual([fault.target, others], ["h1", []]);
    assert.ok(["stop long", "hang long"].includes(fault.act) && fault.lasts >= 40_000 && fault.lasts <= 60_000, JSON.stringify(fault));
  }
});

test("single routes break and hang", () => {
  const faults = plan({ seed: 7, minutes: 10, has }).nats;
  for (const act of ["cut", "hang"]) assert.ok(faults.some((fault) => fault.act === act && routes.includes(fault.target)), act);
});
