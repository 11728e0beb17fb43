#!/bin/sh
# A back end in shell, with nothing but the nats command (make nats builds it): a quiz in the namespace /quiz.
# Start Natter (make run), and beside it
#
#     ./quiz.sh        # NATS_URL says where NATS is, if not on this machine
#
# In a page with the stock Socket.IO client:
#
#     const socket = io("http://localhost:3000/quiz", { auth: { password: "open sesame" } });
#     socket.on("question", (text, answer) => answer(Number(prompt(text))));
#     socket.on("result", (player, right) => console.log(player, right));
#     socket.emit("play", (right) => console.log("I was", right ? "right" : "wrong"));
#
# nats reply runs a command for each message, one after the other, and replies with what it prints.
set -eu

case "${1:-}" in
door) # The middleware: may this client enter? Quotes inside of JSON strings are escaped, so nobody can fake this.
	case "$NATS_REQUEST_BODY" in
	*'"auth":{"password":"open sesame"}'*) echo '{"ok":true}' ;;
	*) echo '{"ok":false,"message":"wrong password"}' ;;
	esac
	;;

play) # A client says "play". The end of the subject is its socket id; what is printed is its ack.
	socket=${NATS_REQUEST_SUBJECT#natter.on.quiz.play.}
	answer=$(nats req --raw -H Natter-Timeout:3s "natter.ask.quiz.socket.$socket" '["question","What is 6 x 7?"]' 2>/dev/null)
	right=false
	[ "$answer" != "[{\"id\":\"$socket\",\"ack\":[42]}]" ] || right=true
	nats req --raw natter.emit.quiz.all "[\"result\",\"$socket\",$right]" >/dev/null 2>&1
	echo "[$right]"
	;;

*)
	nats reply 'natter.on.quiz.play.*.*' --queue quiz --command "'$0' play" &
	play=$!
	nats reply natter.use.quiz.door --queue quiz --command "'$0' door" >/dev/null & # passwords are not for the screen
	door=$!
	trap 'kill $play $door; wait; exit 0' INT TERM
	nats kv put NATTER_NAMESPACES quiz '{"use":["door"]}' # from now on there is the namespace
	wait
	;;
esac
