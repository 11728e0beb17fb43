// One stock client that posts and emits, hears, comes back, and writes all of it down.

import { io } from "socket.io-client";
import { pick, random } from "./random.mjs";

export const rooms = Array.from({ length: 12 }, (_, i) => `room ${i}`);
const roomsOfOne = 3;
const patience = 8_000; // for an ack
const most = 8; // messages of one client that are not acked yet

// Clients reach Natter in different ways.
const ways = [["websocket"], ["websocket"], ["websocket"], ["polling", "websocket"], ["polling"]];

export class Client {
  #n = 0; // of its messages
  #connection = 0; // counts its connections
  #joined = new Set();
  #waiting = new Set(); // messages that are not acked
  #again = []; // those that were not acked in time, to be said again
  #timer;
  #quiet = false;
  #closed = false;
  #marks = new Set(); // of the end, that it has not heard

  // name is the client's, write takes what it has to tell, every is how often it says something, in milliseconds.
  constructor({ name, seed, url, token, write, every }) {
    Object.assign(this, { name, every });
    this.write = (entry) => write({ c: name, ...entry });
    this.draw = random(seed);
    this.rooms = new Set();
    while (this.rooms.size < roomsOfOne) this.rooms.add(pick(this.draw, rooms));
    const transports = pick(this.draw, ways);
    // Half of them leave it to the stock client to say again what was not acked.
    this.retries = this.draw() < 0.5;
    this.write({ e: "client", transports, retries: this.retries, rooms: [...this.rooms] });
    this.socket = io(url, {
      transports,
      auth: token && this.draw() < 0.5 ? { token } : undefined,
      forceNew: true,
      timeout: patience,
      reconnectionDelay: 100,
      reconnectionDelayMax: 1_000,
      ...(this.retries && { retries: 1_000, ackTimeout: patience }),
    });
    const { socket } = this;
    socket.on("connect", () => this.#connected());
    socket.on("disconnect", (why) => {
      if (this.#closed) return;
      this.write({ e: "disconnect", why });
      if (!socket.active) this.write({ e: "refused", why });
    });
    socket.on("connect_error", (error) => {
      if (!socket.active) this.write({ e: "refused", why: error.message });
    });
    for (const kind of ["say", "tell"]) {
      socket.on(kind, (room, m, stamp) => {
        this.write({ e: "hear", life: socket.id, room, m, id: stamp.id });
        this.#marks.delete(`${room} ${m}`);
      });
    }
    this.#next();
  }

  #connected() {
    const { socket } = this;
    this.#connection++;
    this.write({ e: "connect", life: socket.id, recovered: Boolean(socket.recovered) });
    if (!socket.recovered) this.#joined.clear();
    for (const room of this.rooms) if (!this.#joined.has(room)) this.#join(room, this.#connection);
  }

  #join(room, connection) {
    const life = this.socket.id;
    this.write({ e: "joining", life, room });
    this.socket.timeout(patience).emit("join", room, (error, ack) => {
      if (connection !== this.#connection || !this.socket.connected) return; // another connection sees to it
      if (error) return this.#join(room, connection);
      if (!ack.ok) return this.write({ e: "refused", why: `join: ${ack.message}` });
      this.write({ e: "joined", life, room });
      this.#joined.add(room);
    });
  }

  #next() {
    this.#timer = setTimeout(() => {
      const ready = this.socket.connected && this.#joined.size === this.rooms.size && (this.#again.length > 0 || this.#waiting.size < most);
      const again = ready && this.#again.shift();
      if (again) this.#send(again);
      else if (ready && !this.#quiet) this.#say(this.draw() < 0.7 ? "say" : "tell", pick(this.draw, [...this.rooms]));
      this.#next();
    }, this.every * -Math.log(1 - this.draw()));
  }

  #say(kind, room) {
    const m = `${this.name}:${++this.#n}`;
    this.#waiting.add(m);
    this.#send({ kind, room, m });
  }

  // #send says something, for the first time or again under the same id, until it is acked.
  #send({ kind, room, m }) {
    // The stock client's retries say one after the other, whatever the connection.
    this.write({ e: "send", m, room, kind, connection: this.retries ? this.name : `${this.name}/${this.#connection}` });
    const socket = this.retries ? this.socket : this.socket.timeout(patience);
    socket.emit(kind, room, m, `id of ${m}`, (error, ack) => {
      if (error) {
        this.write({ e: "unacked", m });
        this.#again.push({ kind, room, m });
        return;
      }
      this.#waiting.delete(m);
      if (!ack.ok) this.write({ e: "refused", m, why: `${kind}: ${ack.message}` });
      else this.write({ e: "ack", m, id: ack.id });
    });
  }

  // quiet has it say nothing new.
  quiet() {
    this.#quiet = true;
  }

  // expect names what is said last in each room.
  expect(marks) {
    for (const { room, m } of marks) if (this.rooms.has(room)) this.#marks.add(`${room} ${m}`);
  }

  // settled says whether it is connected, owed no ack and has heard what was said last.
  get settled() {
    return this.socket.connected && this.#waiting.size === 0 && this.#joined.size === this.rooms.size && this.#marks.size === 0;
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.socket.disconnect();
  }
}
