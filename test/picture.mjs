// Takes the picture of the chat page that stands in the README: node --test test/picture.mjs (make picture).

import { test } from "node:test";
import { headers } from "@nats-io/transport-node";
import { open } from "./browser/pages.mjs";

test("the picture", async (t) => {
  const site = await open(t);
  const bob = await site.client("Bob", "lobby");
  await bob.emitWithAck("join", "coffee ☕");
  const backend = await site.natter.nats();
  const say = (text) => bob.timeout(10_000).emitWithAck("room message", "lobby", text);
  await say("Good morning! Is the new build up?");
  const ann = await site.chat("Ann", "lobby", { viewport: { width: 1120, height: 640 }, deviceScaleFactor: 1.5 });
  await ann.page.evaluate(() => document.fonts.ready);
  await ann.say("It is, and nobody noticed. 🎉");
  const h = headers();
  h.set("Natter-Name", "deploy bot");
  await backend.connection.request("natter.post._.room.lobby", '["room message","lobby","Build 1207 is live."]', { headers: h, timeout: 10_000 });
  await say("I had my coffee, and the nats terminal open: every word came by there.");
  await ann.bubble("every word came by there").waitFor();
  bob.emit("typing", "lobby");
  await ann.page.getByText("is typing").first().waitFor();
  await ann.page.screenshot({ path: new URL("../docs/chat.png", import.meta.url).pathname });
});
