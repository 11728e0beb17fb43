#!/usr/bin/env python3
"""A back end in Python, with nothing but its standard library: a quiz in the namespace /quiz.

Start Natter (make run), and beside it

    python3 quiz.py        # NATS_URL says where NATS is, if not on this machine

In a page with the stock Socket.IO client:

    const socket = io("http://localhost:3000/quiz", { auth: { password: "open sesame" } });
    socket.on("question", (text, answer) => answer(Number(prompt(text))));
    socket.on("result", (player, right) => console.log(player, right));
    socket.emit("play", (right) => console.log("I was", right ? "right" : "wrong"));

The first half speaks NATS's protocol (https://docs.nats.io/reference/reference-protocols/nats-protocol). It handles
one message after the other and ends when the connection does: a NATS client library does more. Python 3.9 or later.
"""

import collections
import json
import os
import secrets
import signal
import socket
import sys
import urllib.parse

Message = collections.namedtuple("Message", "subject subscription reply headers data")


class Nats:
    def __init__(self, url):
        place = urllib.parse.urlsplit(url)
        self.stream = socket.create_connection((place.hostname, place.port or 4222), 180).makefile("rwb")  # PINGs: 120 s
        self.handlers = {}  # by subscription
        self.delayed = collections.deque()  # what came while request waited
        self.inbox = "_INBOX." + secrets.token_hex(11)
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
        self.send("CONNECT " + json.dumps(options | {"user": place.username or "", "pass": place.password or ""}))
        self.subscribe(self.inbox + ".*", lambda message: None)  # what is answered too late

    def send(self, line, data=None):
        self.stream.write(line.encode() + b"\r\n" + (b"" if data is None else data + b"\r\n"))
        self.stream.flush()

    def subscribe(self, subject, handler, queue=""):
        subscription = str(len(self.handlers) + 1)
        self.handlers[subscription] = handler
        self.send(f"SUB {subject} {queue} {subscription}")

    def publish(self, subject, data, reply="", headers=None):
        if not headers:
            return self.send(f"PUB {subject} {reply} {len(data)}", data)
        head = ("NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()
        self.send(f"HPUB {subject} {reply} {len(head)} {len(head) + len(data)}", head + data)

    def request(self, subject, data, headers=None):
        reply = f"{self.inbox}.{secrets.token_hex(8)}"
        self.publish(subject, data, reply, headers)
        while (message := self.receive()).subject != reply:
            self.delayed.append(message)
        return message

    def receive(self):
        while line := self.stream.readline():
            verb, *words = line.decode().split()
            if verb == "PING":
                self.send("PONG")
            elif verb == "-ERR":
                raise ConnectionError(line.decode().strip())
            elif verb in ("MSG", "HMSG"):
                text = self.stream.read(int(words.pop()) + 2)[:-2]
                head = int(words.pop()) if verb == "HMSG" else 0
                subject, subscription, *reply = words
                return Message(subject, subscription, "".join(reply), parse(text[:head]), text[head:])
        raise ConnectionError("NATS has closed the connection")

    def run(self):
        while True:
            message = self.delayed.popleft() if self.delayed else self.receive()
            try:
                self.handlers[message.subscription](message)
            except (RuntimeError, ValueError, KeyError) as error:  # a lost connection ends it
                print(f"{message.subject}: {error!r}", file=sys.stderr, flush=True)


def parse(head):  # of several values of a header the last counts
    first, *lines = head.decode(errors="replace").split("\r\n")
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return headers | {"status": first.removeprefix("NATS/1.0").strip()[:3]}


nats = Nats(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))


def store(subject, value):
    """What is emitted, and how a namespace is configured, is stored by JetStream before it counts: it answers."""
    reply = nats.request(subject, json.dumps(value).encode())
    if reply.headers["status"] == "503":
        raise RuntimeError(f"nobody stores {subject}: is Natter running?")
    ack = json.loads(reply.data)
    if "error" in ack:
        raise RuntimeError(f"{subject}: {ack['error']['description']}")


def ask(client, event):
    """Emits to one client and returns its ack's arguments; none if there is no answer in time."""
    reply = nats.request(f"natter.ask.quiz.socket.{client}", json.dumps(event).encode(), {"Natter-Timeout": "3s"})
    return next((answer["ack"] for answer in json.loads(reply.data or "[]")), [])  # empty: its gateway is gone


def door(message):
    """The middleware: may this client enter? Without an answer the gateway asks again."""
    auth = json.loads(message.data)["handshake"].get("auth")
    welcome = isinstance(auth, dict) and auth.get("password") == "open sesame"
    admission = {"ok": True} if welcome else {"ok": False, "message": "wrong password"}
    nats.publish(message.reply, json.dumps(admission).encode())


def play(message):
    """A client says "play": the two last tokens of the subject are its socket id. The reply is its ack."""
    client = ".".join(message.subject.split(".")[-2:])
    print(f"{message.headers.get('Natter-Name', 'somebody')!r} plays", flush=True)
    right = ask(client, ["question", "What is 6 x 7?"]) == [42]
    store("natter.emit.quiz.all", ["result", client, right])
    if message.reply:
        nats.publish(message.reply, json.dumps([right]).encode())


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
nats.subscribe("natter.use.quiz.door", door, queue="quiz")
nats.subscribe("natter.on.quiz.play.*.*", play, queue="quiz")
store("$KV.NATTER_NAMESPACES.quiz", {"use": ["door"]})  # from now on there is the namespace
print("the quiz is open", flush=True)
nats.run()
