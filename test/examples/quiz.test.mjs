// The same back end in several languages: a middleware, an event with an ack, a
// question to the client, an emit to all. Each runs as its header says.

import assert from "node:assert/strict";
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { collect, next, start, timeout, until } from "../harness.mjs";
import { Process } from "../process.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const path = [join(root, ".tools"), process.env.PATH].join(delimiter);
const open = ({ output }) => output.includes("the quiz is open");

for (const { file, command, prepare, ready = open } of [
  {
    file: "examples/node/quiz.mjs",
    command: [process.execPath, "quiz.mjs"],
    prepare: (dir) => symlink(join(root, "test/node_modules"), join(dir, "node_modules")), // npm install
  },
  { file: "examples/python/quiz.py", command: ["python3", "quiz.py"] },
  {
    file: "examples/shell/quiz.sh",
    command: ["sh", "./quiz.sh"],
    ready: ({ output }) => output.match(/Listening on/g)?.length === 2,
  },
]) {
  describe(file, () => {
    test("lets in, asks, tells all, answers", async (t) => {
      const dir = await mkdtemp(join(tmpdir(), "natter-quiz-"));
      t.after(() => rm(dir, { recursive: true, force: true }));
      await cp(join(root, file), join(dir, file.split("/").at(-1)));
      await prepare?.(dir);
      const natter = await start(t);
      const [program, ...args] = command;
      const env = { NATS_URL: natter.natsUrl, PATH: path, HOME: dir, XDG_CONFIG_HOME: dir };
      const quiz = new Process(program, args, { name: file, cwd: dir, env, ready: () => ready(quiz) });
      await quiz.start();
      t.after(() => quiz.stop());

      const stranger = natter.client("/quiz", { auth: { password: "let me in" } });
      await until(async () => {
        const refused = next(stranger, "connect_error");
        if (!stranger.active) stranger.connect();
        return (await refused)[0].message === "wrong password";
      }, "the stranger to be refused");

      const enter = (options) => natter.connected("/quiz", { auth: { password: "open sesame" }, ...options });
      const [ann, bob, cid] = await Promise.all([enter(), enter(), enter({ transports: ["polling"] })]);
      const questions = collect(ann, "question");
      ann.on("question", (_, answer) => answer(42));
      bob.on("question", (_, answer) => answer({ ack: [42] }));
      const results = [ann, bob, cid].map((socket) => collect(socket, "result"));
      const play = (socket) => socket.timeout(timeout).emitWithAck("play");
      assert.equal(await play(ann), true);
      assert.equal(await play(bob), false);
      assert.equal(await play(cid), false, "Cid does not answer");
      for (const heard of results) {
        assert.deepEqual((await heard.of(3)).map((args) => args.slice(0, 2)), [[ann.id, true], [bob.id, false], [cid.id, false]]);
      }
      assert.equal(questions.all.length, 1);
      assert.equal(questions.all[0][0], "What is 6 x 7?");
      await quiz.stop();
    });
  });
}
