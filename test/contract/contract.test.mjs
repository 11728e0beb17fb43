// docs/contract.md is true: every example in it runs, and it names everything that pkg/contract names.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { namespaceToken, start, suite, token, until } from "../harness.mjs";
import { parse, source, table } from "./document.mjs";
import { Example } from "./example.mjs";

const text = source("docs/contract.md");
const { blocks, examples } = parse(text);
const tools = fileURLToPath(new URL("../../.tools", import.meta.url));

describe("the examples of docs/contract.md", () => {
  let natter;
  let backend;
  let home;
  let executed = 0;
  const t = suite();
  before(async () => {
    assert.ok(existsSync(join(tools, "nats")), "the nats CLI is not in .tools\nrun: make nats");
    home = await mkdtemp(join(tmpdir(), "natter-nats-cli-"));
    t.after(() => rm(home, { recursive: true, force: true }));
    // The password is the one that the document says.
    natter = await start(t, "--admin-password", "correct horse");
    backend = await natter.nats();
  });

  for (const [heading, parts] of examples) {
    test(heading, async () => {
      // Nobody of the example before is left, who could be heard of.
      await until(async () => {
        const answer = await backend.connection.request("natter.list._.all", "", { timeout: 5_000 });
        return answer.json().length === 0;
      }, "the clients of the last example to be gone");
      const example = new Example(natter, backend, { home, tools });
      try {
        await example.prepare();
        await example.run(parts);
      } finally {
        await example.close();
      }
      executed += parts.length;
    });
  }

  test("no block was left out", () => {
    const shapes = blocks.filter((block) => block.kind === "json");
    for (const shape of shapes) assert.doesNotThrow(() => JSON.parse(shape.lines.join("\n")), `line ${shape.line}: not JSON`);
    assert.equal(executed + shapes.length, blocks.length);
    assert.equal(blocks.length, text.match(/^```/gm).length / 2, "every fence is a block");
    const elsewhere = text.split("\n").filter((line) => /^( {4,}|\t)\$? ?nats /.test(line));
    assert.deepEqual(elsewhere, [], "commands stand in console blocks");
  });
});

describe("docs/contract.md names all that pkg/contract has", () => {
  const constants = (path, expression) => [...source(`pkg/contract/${path}`).matchAll(expression)].map((m) => m[1]);
  const cells = (heading, column) => table(text, heading).map((row) => row[column].replaceAll("`", ""));

  test("version", () => {
    const [version] = constants("doc.go", /^const Version = "(.+)"$/gm);
    assert.ok(text.includes(`version ${version}`), `version ${version} is not in the document`);
  });
  test("kinds", () => {
    const kinds = constants("subject.go", /^\t\w+ +Kind = "(\w+)"/gm);
    assert.ok(kinds.length > 5);
    const rows = cells("Subjects", 0).map((subject) => subject.split(".")[1]);
    assert.deepEqual([...new Set(rows)].sort(), [...kinds].sort());
  });
  test("a section for each kind, all in one form", () => {
    for (const kind of constants("subject.go", /^\t\w+ +Kind = "(\w+)"/gm)) {
      const section = text.split(`\n## ${kind}\n`)[1]?.split("\n## ")[0] ?? assert.fail(`there is no section "${kind}"`);
      const form = [...section.matchAll(/^- \*\*([\w ]+)\*\*/gm)].map((m) => m[1]);
      assert.deepEqual(form, ["Subject", "Published by", "Payload", "Headers", "Errors", "Guarantee", "Limits"], kind);
      assert.match(section, /^#### /m, `${kind} has an example`);
    }
  });
  test("headers", () => {
    const names = constants("header.go", /^\tHeader\w+ += "(Natter-[\w-]+)"/gm);
    assert.ok(names.length > 5);
    assert.deepEqual(cells("Headers", 0).sort(), [...names].sort());
  });
  test("codes", () => {
    const codes = constants("envelope.go", /^\tCode\w+ += "(\w+)"/gm);
    assert.ok(codes.length > 3);
    const rows = cells("Refusals", 0);
    for (const code of codes) assert.ok(rows.includes(code), code);
  });
  test("actions of rules", () => {
    const actions = constants("namespace.go", /^\tAction\w+ +Action = "(\w+)"/gm);
    assert.ok(actions.length > 5);
    assert.deepEqual(cells("Rules", 0).sort(), [...actions].sort());
  });
  test("links lead to headings", () => {
    const anchors = [...text.matchAll(/^#+ (.+)$/gm)].map((m) => m[1].toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-"));
    for (const [, link] of text.matchAll(/\]\(#([^)]+)\)/g)) assert.ok(anchors.includes(link), `#${link}`);
  });
  test("tokens", () => {
    for (const [name, written] of table(text, "Names in subjects")) {
      assert.equal(written.replaceAll("`", ""), token(JSON.parse(name.replaceAll("`", ""))), name);
    }
    for (const [name, written] of table(text, "Namespaces in subjects")) {
      assert.equal(written.replaceAll("`", ""), namespaceToken(name.replaceAll("`", "")), name);
    }
  });
});
