// The admin page: who may enter, accounts, and the end of one.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { adminPassword, fresh, open, Person } from "./pages.mjs";

const password = "a password for testing";

describe("the admin page", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  async function signIn(page, name, secret) {
    await page.getByRole("textbox", { name: "Name", exact: true }).fill(name);
    await page.getByRole("textbox", { name: "Password" }).fill(secret);
    await page.getByRole("button", { name: "Sign in" }).click();
  }

  async function entered() {
    const { page } = await site.visit("/admin/");
    await signIn(page, "admin", adminPassword);
    await page.getByRole("heading", { name: /Accounts/ }).waitFor();
    await page.locator("#users tr").first().waitFor();
    return page;
  }

  async function create(page, name, { admin = false } = {}) {
    await page.getByRole("button", { name: "New account" }).click();
    const dialog = page.getByRole("dialog", { name: "New account" });
    await dialog.getByRole("textbox", { name: "Name" }).fill(name);
    await dialog.getByRole("textbox", { name: "Password" }).fill(password);
    if (admin) await dialog.getByRole("checkbox").check();
    await dialog.getByRole("button", { name: "Create" }).click();
  }

  // signedIn opens the chat page for someone with an account.
  async function signedIn(name, room) {
    const { page, context } = await site.visit(`/#${new URLSearchParams({ room })}`);
    await page.getByRole("button", { name: "I have an account" }).click();
    await page.getByRole("textbox", { name: "Your name" }).fill(name);
    await page.getByRole("textbox", { name: "Password" }).fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
    const person = new Person(page, context);
    await person.isIn(room);
    return person;
  }

  test("a wrong password is refused, the right one enters, signing out ends it", async () => {
    const { page } = await site.visit("/admin/");
    await signIn(page, "admin", "not the password");
    const problem = page.locator("#sign-in-problem");
    await problem.waitFor();
    assert.ok((await problem.textContent()).trim().length > 10, "it says why");
    assert.equal(await page.locator("#admin").isVisible(), false);

    await signIn(page, "admin", adminPassword);
    await page.locator("#users tr").filter({ hasText: "admin" }).first().waitFor();
    const self = page.locator("#sockets tr").filter({ hasText: "this page" });
    await self.waitFor();
    assert.deepEqual(await self.locator(".chip").allTextContents(), [], "the room of the person's own devices is no news");
    assert.match(await self.locator(".who").getAttribute("title"), /^Socket \S+, user \S+$/);

    await page.reload();
    await page.locator("#users tr").first().waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.equal(await page.locator("#users tr").count(), 0);
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  });

  test("someone without the role is told that the server refuses", async () => {
    const name = fresh("Ann");
    const admin = await entered();
    await create(admin, name);
    await admin.locator("#users tr").filter({ hasText: name }).waitFor();

    const { page } = await site.visit("/admin/");
    await signIn(page, name, password);
    await page.locator("#sign-in-problem").waitFor();
    assert.match(await page.locator("#sign-in-problem").textContent(), /\S.*\.$/);
    assert.equal(await page.locator("#admin").isVisible(), false);
  });

  test("a token that is no longer valid leads back to the sign-in form", async () => {
    const { page } = await site.visit("/admin/");
    const session = { token: "forged", user: "x", name: "x", roles: ["admin"], expires: new Date(Date.now() + 60_000).toISOString() };
    await page.evaluate((text) => sessionStorage.setItem("natter.admin.session", text), JSON.stringify(session));
    await page.reload();
    await page.locator("#sign-in-problem").waitFor();
    assert.equal(await page.locator("#admin").isVisible(), false);
    assert.equal(await page.evaluate(() => sessionStorage.getItem("natter.admin.session")), null);
  });

  test("a session that expires ends on the page too", async () => {
    const { page } = await site.visit("/admin/", { prepare: (page) => page.clock.install() });
    const { ok, ...session } = await site.signIn("admin", adminPassword);
    assert.ok(ok);
    const left = 40_000; // less than a connection lives without a heartbeat
    const expires = new Date(Date.now() + left).toISOString();
    await page.evaluate((text) => sessionStorage.setItem("natter.admin.session", text), JSON.stringify({ ...session, expires }));
    await page.reload();
    await page.locator("#users tr").first().waitFor();
    await page.clock.fastForward(left);
    await page.getByText("Your session has expired").waitFor();
    assert.equal(await page.locator("#users tr").count(), 0);
  });

  test("accounts are created, and refusals say why", async () => {
    const page = await entered();
    const name = fresh("Bea");
    await create(page, name, { admin: true });
    const row = page.locator("#users tr").filter({ hasText: name });
    await row.waitFor();
    assert.equal(await row.locator(".chip").textContent(), "admin");

    await create(page, name);
    const problem = page.locator("#create-problem");
    await problem.waitFor();
    assert.ok((await problem.textContent()).trim().length > 10);
    await page.keyboard.press("Escape");
    assert.equal(await row.count(), 1);
  });

  test("the list of the connected says who is where, and disconnects", async () => {
    const room = fresh("watched");
    const name = fresh("Cem");
    const cem = await site.chat(name, room);
    const page = await entered();
    const row = page.locator("#sockets tr").filter({ hasText: name });
    await row.waitFor();
    assert.equal(await row.locator(".chip").textContent(), room);
    assert.deepEqual(
      await row
        .locator("code")
        .allTextContents()
        .then(([namespace]) => namespace),
      "/",
    );
    assert.match(await row.locator("code").nth(1).textContent(), /127\.0\.0\.1|::1/);

    await page.getByRole("searchbox").fill("nobody is called like this");
    await page.getByText("Nobody who is connected fits that.").waitFor();
    await page.getByRole("searchbox").fill(name);
    await row.getByRole("button", { name: "Disconnect" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disconnect", exact: true }).click();
    await cem.page.locator("#banner").getByText("Disconnected").waitFor();
    await row.waitFor({ state: "detached" });
  });

  test("deleting an account closes its pages and removes what it said", async () => {
    const room = fresh("end");
    const name = fresh("Dag");
    const page = await entered();
    await create(page, name);
    await page.locator("#users tr").filter({ hasText: name }).waitFor();
    const dag = await signedIn(name, room);
    const ann = await site.chat("Ann", room);
    await dag.say("my words");
    await ann.sees("my words");
    await until(
      async () => /signed in/.test(await ann.page.locator("#people li").filter({ hasText: name }).textContent()),
      "Dag to be listed as signed in",
    );
    await ann.say("and mine");

    const row = page.locator("#users tr").filter({ hasText: name });
    const remove = () => row.getByRole("button", { name: `Delete ${name}` }).click();
    await remove();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    assert.equal(await row.count(), 1, "it asks first");
    await remove();
    await page.getByRole("dialog").getByRole("button", { name: "Delete the account" }).click();
    await row.waitFor({ state: "detached" });

    await dag.page
      .locator("#banner")
      .getByText(/Disconnected|Not admitted/)
      .waitFor();
    await until(async () => !(await ann.texts()).includes("my words"), "the words to be gone");
    const removed = ann.page.locator(".message.redacted");
    assert.match(await removed.textContent(), /what the sender had said was erased/);
    assert.ok((await ann.texts()).includes("and mine"));

    // In history too, for those who come later.
    const bob = await site.chat("Bob", room);
    await bob.sees("and mine");
    await bob.page.locator(".message.redacted").waitFor();
    assert.ok(!(await bob.texts()).includes("my words"));
    assert.ok((await site.signIn(name, password)).ok !== true);

    // The person can go on as a guest.
    await dag.page.getByRole("button", { name: "Continue as a guest" }).click();
    await dag.isIn(room);
  });
});
