// The checkout of socketio/socket.io that the suites are run from: is it there, is it the one that the numbers are of, and is
// it as its authors left it? Nothing in it is changed.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

// The client suites' tests load what their packages were compiled to.
const compiled = "build/cjs/index.js";

// how says how to get a checkout, as the one thing to do next.
const how = ({ repository, commit }, suites) => `Get one, with what its tests need, for example beside this repository:

    git clone ${repository} ../socket.io
    git -C ../socket.io checkout ${commit}
    npm ci --prefix ../socket.io
${folders(suites).filter((folder) => folder.startsWith("docs/")).map((folder) => `    npm ci --prefix ../socket.io/${folder}`).join("\n")}

compile its packages socket.io-client and engine.io-client, as its CONTRIBUTING.md says, and then

    make suites SOCKETIO=../socket.io`;

const folders = (suites) => [...new Set(suites.map((suite) => suite.folder))];

// checkout gives the folder of the checkout, if the suites can be run from it; else the error says why not, and what to do.
export function checkout(path, table, suites) {
  if (!path) throw new Error(`SOCKETIO names no checkout of ${table.repository}.\n${how(table, suites)}`);
  const folder = resolve(path);
  const git = (...args) => execFileSync("git", ["-C", folder, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  let head;
  try {
    if (git("rev-parse", "--show-prefix")) throw new Error("it is a folder inside of a checkout");
    git("cat-file", "-e", `${table.commit}^{commit}`);
    head = git("rev-parse", "HEAD");
  } catch (error) {
    throw new Error(`SOCKETIO=${path} is no checkout of ${table.repository}: ${(error.stderr || error.message).trim()}\n${how(table, suites)}`);
  }
  if (head !== table.commit) {
    throw new Error(`SOCKETIO=${path} is at commit ${head}, but the numbers in docs/compatibility.md are of ${table.commit}: other tests, other numbers.
    git -C ${path} checkout ${table.commit}
    and install and compile again what its tests need`);
  }
  const changed = git("status", "--porcelain", "--", ...folders(suites));
  if (changed) throw new Error(`SOCKETIO=${path} has changes of its own, with which the numbers would mean nothing:\n${changed}`);
  for (const suite of folders(suites)) {
    if (!mocha(folder, suite)) throw new Error(`${suite} has no mocha: what its tests need is not installed.\n${how(table, suites)}`);
    if (suite.startsWith("packages/") && !existsSync(join(folder, suite, compiled))) {
      throw new Error(`${suite}/${compiled} is missing: the package is not compiled.\n${how(table, suites)}`);
    }
  }
  return folder;
}

// mocha is the program that runs the tests of a folder, which npm installs there or at the top; undefined without it.
export const mocha = (folder, suite) =>
  [join(folder, suite), folder].map((place) => join(place, "node_modules/.bin/mocha")).find(existsSync);

// words are what the client's tests compare letter by letter with what the server says: the suite's own server has them.
export function words(folder) {
  const text = readFileSync(join(folder, "packages/socket.io-client/test/support/server.ts"), "utf8");
  const utf8 = [...text.matchAll(/emit\("takeUtf8", "([^"]+)"\)/g)].map(([, said]) => said);
  const [, refusal] = text.match(/of\("\/no"\)[^]*?Error\("([^"]+)"\)/) ?? [];
  if (utf8.length === 0 || !refusal) throw new Error("test/support/server.ts of the client's suite is not what it was: are the words elsewhere?");
  return { utf8, refusal };
}
