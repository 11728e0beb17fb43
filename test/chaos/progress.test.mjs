import assert from "node:assert/strict";
import { test } from "node:test";
import { progress } from "./progress.mjs";

test("a run says every 15 seconds what it is doing, until it ends", (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "Date"] });
  const said = [];
  const run = progress({ print: (line) => said.push(line) });
  t.mock.timers.tick(15_000);
  run.doing("hitting", 3);
  run.hit();
  for (let i = 0; i < 3; i++) t.mock.timers.tick(15_000);
  run.hit();
  run.end();
  t.mock.timers.tick(15_000);
  assert.deepEqual(said, [
    "chaos: 0:15 starting everything",
    "chaos: 0:30 hitting, 1 of 3 faults are over",
    "chaos: 0:45 hitting, 1 of 3 faults are over",
    "chaos: 1:00 hitting, 1 of 3 faults are over",
  ]);
});
