#!/usr/bin/env bash
# Runs the tests of one folder beside this file (client, services, examples, …) against
# Natter, built here with the race detector: test/node.sh client [file…]
# TEST_PROGRAM names a program that is built already; then nothing is built.
set -euo pipefail
cd "$(dirname "$0")"

folder=$1
shift
files=("$@")
[ ${#files[@]} -gt 0 ] || files=("$folder"/*.test.mjs)

if [ -z "${TEST_PROGRAM:-}" ]; then
	export TEST_PROGRAM="$PWD/../bin/natter"
	programs=(.)
	case "$folder" in
	browser) programs+=(./services/...) ;;
	services) programs+=(./services/... ./examples/... ./test/...) ;;
	examples | asyncapi) programs+=(./examples/...) ;;
	esac
	(cd .. && go build -race -o bin/ "${programs[@]}")
fi
# Three files at a time: each starts a Natter of its own on ports of its own, and waits more than it works.
exec node --test --test-concurrency=3 --test-timeout=300000 --test-reporter=spec "${files[@]}"
