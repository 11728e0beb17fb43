#!/usr/bin/env bash
# Runs the tests of one folder beside this file (client, browser) against Natter,
# built here with the race detector: test/node.sh client [file…]
# NATTER_BIN names a program that is built already.
set -euo pipefail
cd "$(dirname "$0")"

folder=$1
shift
files=("$@")
[ ${#files[@]} -gt 0 ] || files=("$folder"/*.test.mjs)

if [ -z "${NATTER_BIN:-}" ]; then
	export NATTER_BIN="$PWD/../bin/natter"
	(cd .. && go build -race -o bin/natter .)
fi
# One file at a time: each starts a Natter of its own, and some measure time.
exec node --test --test-concurrency=1 --test-timeout=120000 --test-reporter=spec "${files[@]}"
