// README.md, "Bring your own server": its page and its program, in a folder where there was nothing.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { next, start, until } from "../harness.mjs";
import { Process } from "../process.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

describe("README.md", () => {
  test("an empty folder becomes a page and the server of one's own behind it", async (t) => {
    const section = (await readFile(join(root, "README.md"), "utf8")).split("\n## ").find((part) => part.startsWith("Bring your own server"));
    const block = (language) => section.match(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, "m"))[1];
    const line = (start) => section.match(new RegExp(`^    (${start}.*)$`, "m"))[1];
    const dir = await mkdtemp(join(tmpdir(), "natter-readme-"));
    t.after(() => rm(dir, { recursive: true, force: true }));

    const flags = line("make run").match(/ARGS="(.*)"/)[1].replaceAll("$HOME/app", dir).split(" ");
    await mkdir(join(dir, "public"));
    await writeFile(join(dir, "public", "index.html"), block("html"));
    const natter = await start(t, ...flags);
    await writeFile(join(dir, "main.go"), block("go").replace("127.0.0.1", natter.natsUrl));
    const commands = line("go mod init").replace("PATH/TO/natter", root).split(" && ");
    assert.equal(commands.pop(), "go run .");
    // What go run does, as a process that can be ended.
    await promisify(execFile)("bash", ["-ec", [...commands, "go build -o app"].join("\n")], { cwd: dir });
    const app = new Process(join(dir, "app"), [], { name: "the README's server", cwd: dir });
    app.launch();
    t.after(() => app.kill());

    const page = await (await fetch(natter.url)).text();
    assert.equal(page, block("html"));
    const [, script] = page.match(/<script>([^]*)<\/script>/);
    const visit = () => {
      const shown = [];
      const io = (options) => natter.client("/", options);
      new Function("io", "document", script)(io, { body: { append: (text) => shown.push(text) } });
      return shown;
    };
    const stranger = natter.client("/", { auth: { token: "a token of somebody else" } });
    await until(async () => {
      const refused = next(stranger, "connect_error");
      if (!stranger.active) stranger.connect();
      return (await refused)[0].message === "who are you?";
    }, "the stranger to be refused");
    const ann = visit();
    await until(() => ann.length === 1, "the server's answer");
    const other = visit();
    await until(() => other.length === 1 && ann.length === 2, "both pages to hear");
    assert.deepEqual([ann, other], [["Welcome. ", "Ann is here. "], ["Welcome. "]]);
  });
});
