#!/usr/bin/env bash
# Makes sure that the packages of the system that the tests need are there: a C
# compiler (for Go's race detector), PostgreSQL (whose server the tests of history
# start themselves), Chromium, a font for the emoji in it, and Python (for an example).
set -euo pipefail

missing=()
command -v "$(go env CC)" >/dev/null || missing+=(gcc libc6-dev)
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || missing+=(chromium fonts-noto-color-emoji)
command -v python3 >/dev/null || missing+=(python3)
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "the tests need ${missing[*]}; run:" >&2
	echo "  sudo apt-get install -y ${missing[*]}" >&2
	exit 1
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
	cat "$log" >&2
	echo "installing ${missing[*]} failed, see above" >&2
	exit 1
fi
