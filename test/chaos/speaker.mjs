// A back end that says something to rooms. It says it again, as the contract tells it to, under the same Nats-Msg-Id until
// it is stored: so each of its messages must arrive exactly once.

import { connect, headers } from "@nats-io/transport-node";
import { rooms } from "./client.mjs";
import { pick, random } from "./random.mjs";
import { until } from "../wait.mjs";

const patience = 3_000;

export class Speaker {
  #n = 0;
  #over = false;
  #speaking;

  constructor({ seed, servers, every, write }) {
    Object.assign(this, { servers, every, write, draw: random(seed) });
  }

  async start() {
    this.connection = await connect({ servers: this.servers, maxReconnectAttempts: -1, reconnectTimeWait: 250, pingInterval: 5_000, waitOnFirstConnect: true, ignoreClusterUpdates: true, noRandomize: true });
    this.#speaking = this.#speak();
    this.#speaking.catch(() => {}); // quiet tells
  }

  async #speak() {
    while (!this.#over) {
      await this.say(pick(this.draw, rooms));
      await new Promise((resolve) => setTimeout(resolve, this.every));
    }
  }

  // say says something to a room and returns when it is stored: an emit ("tell"), or a post ("say").
  async say(room, { m = `speaker:${++this.#n}`, kind = "tell" } = {}) {
    this.write({ e: "send", c: "speaker", m, room, kind, connection: "speaker" });
    const h = headers();
    h.set("Nats-Msg-Id", m);
    h.set("Natter-Stamp", "1");
    const subject = `natter.${kind === "say" ? "post" : "emit"}._.room.${room.replace(" ", "=20")}`;
    const publish = async () => {
      const ack = (await this.connection.request(subject, JSON.stringify([kind, room, m]), { timeout: patience, headers: h })).json();
      return ack.seq > 0 && !ack.error && ack;
    };
    const ack = await until(publish, `${m} to be stored`, 120_000);
    this.write({ e: "ack", c: "speaker", m, seq: ack.seq });
  }

  // quiet ends what it says by itself.
  async quiet() {
    this.#over = true;
    await this.#speaking;
  }

  close() {
    return this.connection?.close();
  }
}
