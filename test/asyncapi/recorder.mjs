// Hears everything that is said on the contract's subjects, and what is answered.

import { connect as dialNats } from "@nats-io/transport-node";
import { timeout } from "../harness.mjs";

// What is heard: all of the contract, and the inboxes in which answers arrive.
const contract = ["natter.>", "$KV.NATTER_NAMESPACES.>"];
const inboxes = "_INBOX.>";

export class Recorder {
  said = []; // messages on the contract's subjects
  #answers = []; // messages in inboxes

  static async start(t, servers) {
    const recorder = new Recorder();
    const connection = await dialNats({ servers, timeout });
    t.after(() => connection.close());
    const keep = (all) => ({
      callback: (error, message) => {
        if (error) throw error;
        all.push(record(message));
      },
    });
    for (const subject of contract) connection.subscribe(subject, keep(recorder.said));
    connection.subscribe(inboxes, keep(recorder.#answers));
    await connection.flush();
    return recorder;
  }

  // answers are the messages to a request. Consumers deliver stored messages into
  // inboxes too, under the subjects that they are stored with: these are no answers.
  answers({ reply }) {
    return reply ? this.#answers.filter(({ subject }) => subject === reply) : [];
  }

  // heard says whether something was said on a subject, with a payload that begins so.
  heard(subject, start = "") {
    return this.said.some((m) => subject.test(m.subject) && m.data.toString().startsWith(start));
  }
}

// record keeps of each header the last value, which counts.
function record(message) {
  const headers = {};
  for (const name of message.headers?.keys() ?? []) headers[name] = message.headers.last(name);
  return { subject: message.subject, reply: message.reply, headers, data: Buffer.from(message.data) };
}
