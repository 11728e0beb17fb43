// A stock client in a process of its own, which says what it hears: node sleeper.mjs URL

import { client } from "../harness.mjs";

const tell = (...what) => console.log(JSON.stringify(what));
const socket = client(process.argv[2], "/", { transports: ["websocket"] });
socket.on("connect", () => tell("connect", socket.id, Boolean(socket.recovered)));
socket.on("n", (n) => tell("n", n));
