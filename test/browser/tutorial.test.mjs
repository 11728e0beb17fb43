// The page of the Socket.IO tutorial, which knows nothing of Natter.

import assert from "node:assert/strict";
import { afterEach, before, describe, test } from "node:test";
import { suite, until } from "../harness.mjs";
import { fresh, open } from "./pages.mjs";

describe("the tutorial's page", () => {
  let site;
  const t = suite();
  before(async () => {
    site = await open(t);
  });
  afterEach(() => site.leave());

  test("what one says, everybody hears, as it was said", async () => {
    const pages = [(await site.visit("/tutorial/")).page, (await site.visit("/tutorial/")).page];
    // There is no answer to a message before one is connected: the second page may come later than the first word.
    const hello = fresh("hello");
    await until(async () => {
      await pages[0].getByRole("textbox").fill(hello);
      await pages[0].getByRole("textbox").press("Enter");
      return (await pages[1].locator("li").filter({ hasText: hello }).count()) > 0;
    }, "the pages to hear each other");

    const text = fresh("<b>bold</b> & “quoted” 🎉");
    await pages[1].getByRole("textbox").fill(text);
    await pages[1].getByRole("button", { name: "Send" }).click();
    for (const page of pages) {
      await page.locator("li").filter({ hasText: text }).waitFor();
      const all = await page.locator("li").allTextContents();
      assert.equal(all.filter((one) => one === text).length, 1);
    }
    assert.equal(await pages[1].getByRole("textbox").inputValue(), "");
  });
});
