// Reads docs/asyncapi.yaml: its channels, and what may be on them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import Ajv from "ajv";
import addFormats from "ajv-formats";
import { parse } from "yaml";

const require = createRequire(import.meta.url);

export const document = parse(readFileSync(new URL("../../docs/asyncapi.yaml", import.meta.url), "utf8"));

// violations validates the document against AsyncAPI's own schema of its version.
export function violations() {
  const schema = require(`@asyncapi/specs/schemas/${document.asyncapi}-without-$id.json`);
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  const validate = ajv.compile(schema);
  return validate(document) ? [] : validate.errors.map((e) => `${e.instancePath}: ${e.message}`);
}

// references are all that the document refers to, by path of who does.
export function* references(node = document, path = "#") {
  if (typeof node !== "object" || node === null) return;
  if (typeof node.$ref === "string") yield [path, node.$ref];
  for (const [key, value] of Object.entries(node)) yield* references(value, `${path}/${key}`);
}

// resolve follows a reference inside the document.
export function resolve({ $ref }) {
  assert.match($ref, /^#\//, `${$ref} leads out of the document`);
  const found = $ref.slice(2).split("/").reduce((node, key) => node?.[key], document);
  assert.ok(found !== undefined, `${$ref} leads nowhere`);
  return found;
}

const nameOf = ({ $ref }) => $ref.split("/").at(-1);

// compile makes the channels, by name: those with an address know which subjects they
// mean, and what may be answered.
export function compile() {
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  ajv.addSchema(document, "document");
  const schema = (path) => ajv.compile({ $ref: `document#/components/messages/${path}` });
  const messages = Object.fromEntries(
    Object.entries(document.components.messages).map(([name, { contentType = document.defaultContentType }]) => {
      return [name, { name, contentType, headers: schema(`${name}/headers`), payload: schema(`${name}/payload`) }];
    }),
  );
  const channels = Object.fromEntries(
    Object.entries(document.channels).map(([name, { address, parameters = {}, messages: own }]) => {
      const channel = { name, address, messages: Object.values(own).map((reference) => messages[nameOf(reference)]) };
      if (address !== null) channel.subject = subjects(address, parameters);
      return [name, channel];
    }),
  );
  for (const { channel, reply } of Object.values(document.operations)) {
    if (reply) channels[nameOf(channel)].reply = channels[nameOf(reply.channel)];
  }
  return Object.values(channels);
}

// subjects is the expression that an address' subjects match, with a group for each parameter.
function subjects(address, parameters) {
  const parts = address.split(/\{(\w+)\}/).map((part, i) => {
    if (i % 2 === 0) return part.replace(/[.$]/g, "\\$&");
    const parameter = parameters[part];
    assert.ok(parameter, `${address}: there is no parameter ${part}`);
    return `(?<${part}>${resolve(parameter)["x-pattern"]})`;
  });
  return new RegExp(`^${parts.join("")}$`);
}
