// A back end in JavaScript: a quiz in the namespace /quiz. Start Natter (make run), and beside it
//
//     npm install @nats-io/transport-node
//     node quiz.mjs        # NATS_URL says where NATS is, if not on this machine
//
// In a page with the stock Socket.IO client:
//
//     const socket = io("http://localhost:3000/quiz", { auth: { password: "open sesame" } });
//     socket.on("question", (text, answer) => answer(Number(prompt(text))));
//     socket.on("result", (player, right) => console.log(player, right));
//     socket.emit("play", (right) => console.log("I was", right ? "right" : "wrong"));

import { connect, headers } from "@nats-io/transport-node";

const nats = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222", maxReconnectAttempts: -1 });

// Instances of this program share a queue group: each message goes to one of them.
function on(subject, handle) {
  nats.subscribe(subject, {
    queue: "quiz",
    callback: (error, message) => {
      if (error) throw error;
      handle(message).catch((reason) => console.error(message.subject, reason));
    },
  });
}

// What is emitted, and how a namespace is configured, is stored by JetStream before it counts: it answers.
async function store(subject, value) {
  const ack = (await nats.request(subject, JSON.stringify(value), { timeout: 10_000 })).json();
  if (ack.error) throw new Error(`${subject}: ${ack.error.description}`);
}

// The middleware: may this client enter? Without an answer the gateway asks again.
on("natter.use.quiz.door", async (message) => {
  const { handshake } = message.json();
  const welcome = handshake.auth?.password === "open sesame";
  message.respond(JSON.stringify(welcome ? { ok: true } : { ok: false, message: "wrong password" }));
});

// A client says "play": the two last tokens of the subject are its socket id. The reply is its ack.
on("natter.on.quiz.play.*.*", async (message) => {
  const socket = message.subject.split(".").slice(-2).join(".");
  const right = (await ask(socket, ["question", "What is 6 x 7?"])) === 42;
  await store("natter.emit.quiz.all", ["result", socket, right]);
  if (message.reply) message.respond(JSON.stringify([right]));
});

// ask emits to one client and returns the first argument of its ack, undefined if there is none in time.
async function ask(socket, event) {
  const wish = headers();
  wish.set("Natter-Timeout", "3s");
  const reply = await nats.request(`natter.ask.quiz.socket.${socket}`, JSON.stringify(event), { headers: wish, timeout: 5_000 });
  const [answer] = reply.json(); // [{"id":"…","ack":[42]}], or [] without an answer
  return answer?.ack[0];
}

await nats.flush();
await store("$KV.NATTER_NAMESPACES.quiz", { use: ["door"] }); // from now on there is the namespace
console.log("the quiz is open");

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => nats.drain().catch(() => process.exit()));
