// Holds recorded messages against the document.

import { compile } from "./document.mjs";

export class Verifier {
  #channels = compile();
  #seen = new Set(); // names of channels and messages; of targets with their channel
  faults = [];

  // verify takes all that was recorded and notes what the document does not say.
  verify(recorder) {
    for (const message of recorder.said) {
      const channels = this.#channels.filter(({ subject }) => subject?.test(message.subject));
      if (channels.length !== 1) {
        this.#fault(message, `is on ${channels.length} channels: ${channels.map(({ name }) => name)}`);
        continue;
      }
      const [channel] = channels;
      const { target } = channel.subject.exec(message.subject).groups ?? {};
      if (target) this.#seen.add(`${channel.name} to ${target.split(".")[0]}`);
      this.#check(channel, message);
      const answers = recorder.answers(message);
      if (answers.length > 0 && !channel.reply) this.#fault(message, `is on ${channel.name}, which has no reply, and was answered`);
      else for (const answer of answers) this.#check(channel.reply, answer, message.subject);
    }
    return this;
  }

  // unseen names the channels, messages and targets that nobody used.
  unseen() {
    const all = this.#channels.flatMap((channel) => [
      channel.name,
      ...channel.messages.map(({ name }) => `message ${name}`),
      ...(channel.address?.includes("{target}") ? ["all", "room", "socket", "many"].map((form) => `${channel.name} to ${form}`) : []),
    ]);
    return [...new Set(all)].filter((name) => !this.#seen.has(name));
  }

  // check finds the message of the channel that this is one of.
  #check(channel, message, request) {
    this.#seen.add(channel.name);
    const reasons = [];
    for (const { name, contentType, headers, payload } of channel.messages) {
      const wrong = [...errors("headers", headers, message.headers), ...body(message, contentType, payload)];
      if (wrong.length === 0) {
        this.#seen.add(`message ${name}`);
        return;
      }
      reasons.push(`no ${name}: ${wrong.join("; ")}`);
    }
    this.#fault(message, `on the channel ${channel.name} is\n  ${reasons.join("\n  ")}`, request);
  }

  #fault({ subject, headers, data }, what, request) {
    const where = request ? `an answer to ${request}` : subject;
    this.faults.push(`${where} ${what}\n  headers ${JSON.stringify(headers)}\n  payload ${data.toString().slice(0, 500)}`);
  }
}

function errors(where, validate, value) {
  return validate(value) ? [] : validate.errors.map((e) => `${where}${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
}

// body validates a payload without its attachments.
function body({ headers, data }, contentType, validate) {
  const attachments = headers["Natter-Attachments"]?.split(",").map(Number) ?? [];
  const text = data.subarray(0, data.length - attachments.reduce((sum, n) => sum + n, 0)).toString();
  if (contentType === "text/plain") return errors("payload", validate, text);
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return [`payload: ${error.message}`];
  }
  return errors("payload", validate, value);
}
