// Reads all that history has of the rooms, as anyone who may ask would.

import { rooms } from "./client.mjs";
import { until } from "../wait.mjs";

const patience = 120_000;

// Whatever an instance has taken and not confirmed, JetStream gives to somebody again after a while: so what was said last may
// be in history before something else.
async function idle(connection) {
  const state = (await connection.request("$JS.API.CONSUMER.INFO.NATTER_POSTS.history", "", { timeout: 5_000 })).json();
  return state.num_pending === 0 && state.num_ack_pending === 0;
}

// caughtUp waits until all is stored that has been posted by now, whoever is away.
export async function caughtUp(connection, who) {
  const ask = async (what) => (await connection.request(`$JS.API.${what}`, "", { timeout: 5_000 })).json();
  const posted = await until(async () => (await ask("STREAM.INFO.NATTER_POSTS")).state.last_seq, "an answer of JetStream", patience, 200);
  const stored = async () => (await ask("CONSUMER.INFO.NATTER_POSTS.history")).ack_floor.stream_seq >= posted;
  await until(stored, `history to store what is posted while ${who} is away`, patience, 200);
}

// answered writes it down if instances do not come to answer each question: one that is asked and hears nothing would be
// noticed by nobody but those who wait for it in vain.
async function answered(ask, write) {
  const each = async () => {
    for (let i = 0; i < 30; i++) if (!(await ask())) return false;
    return true;
  };
  await until(each, "history to answer 30 questions in a row", patience, 200).catch(({ message }) => write({ e: "unanswered", why: message }));
}

// kept writes down what history has, when it has all that was said last and nothing waits for it.
export async function kept({ connection, marks, write }) {
  const askFor = async (room, before) => {
    const request = { namespace: "/", room, limit: 100, ...(before && { before }) };
    const page = (await connection.request("natter.history.page", JSON.stringify(request), { timeout: 5_000 })).json();
    return page.ok && page;
  };
  await answered(() => askFor(rooms[0]), write);
  for (const room of rooms) {
    const ask = (before) => askFor(room, before);
    const mark = marks.find((mark) => mark.room === room);
    const holds = async () => (await ask()).messages.some(({ event }) => event[2] === mark.m);
    await until(holds, `history to have what was said last in ${room}`, patience, 200);
    await until(() => idle(connection), "history to have taken all that waits for it", patience, 200);
    for (let before; ; ) {
      const page = await until(() => ask(before), `a page of ${room}`, patience);
      for (const { stamp, event } of page.messages) write({ e: "kept", room, m: event[2], id: stamp.id });
      if (!page.more) break;
      before = page.messages[0].stamp.id; // the oldest
    }
  }
}
