#!/usr/bin/env bash
# Runs every fuzz test of the module, one after the other, then mutated sessions from a seed that was never used
# before: test/fuzz.sh 20s
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-20s}
while IFS=: read -r file line; do
	name=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/' <<<"$line")
	echo "== $name in $(dirname "$file")"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "./$(dirname "$file")"
done < <(git grep -E '^func Fuzz[A-Za-z0-9_]*\(' -- '*_test.go')

echo "== mutated sessions in services/gateway/gatewayd"
go test -race -run '^TestMutatedSessionsHarmNobodyElse$' -v -timeout 0 ./services/gateway/gatewayd -sessions.for "$time" -sessions.seed "$(date +%s%N)"
