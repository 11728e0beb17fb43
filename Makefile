# Two commands matter: `make run` and `make test`. `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

NATS_CLI := v0.5.1
NPM_CI   := npm ci --no-audit --no-fund --silent
FUZZTIME ?= 20s
BENCH    ?= .
# What the race detector has found it has printed by then: it need not sleep for a second at the end of every process.
export GORACE ?= atexit_sleep_ms=100
BUNDLES  := web/node_modules/.package-lock.json
CLIENTS  := test/node_modules/.package-lock.json

.PHONY: help run deps build check options chaos test test-go test-client test-contract test-asyncapi test-services test-chaos test-examples test-browser picture fuzz bench bench-history bench-short storm suites clean nats nats-server

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(BUNDLES) ## Start everything in one process; settings: make run ARGS="--help"
	@go build -o bin/natter .
	@exec bin/natter $(ARGS)

deps: $(BUNDLES) $(CLIENTS) nats nats-server ## Fetch what the tests need, Chromium and PostgreSQL included
	@test/system.sh

build: ## Build every program into bin/
	go build -o bin/ ./...

check: ## gofmt, go vet, go mod tidy
	@files=$$(git ls-files '*.go' | xargs -r gofmt -l); [ -z "$$files" ] || { echo "not gofmt-ed:"; echo "$$files"; exit 1; }
	go vet -race ./...  # as test-go builds it, so that all is compiled once
	go mod tidy -diff

options: ## Write docs/options.md anew, from the settings in the code
	go generate .

test: deps check test-go bench-short test-client test-contract test-asyncapi test-services test-chaos test-examples test-browser ## Everything: Go, stock clients, the contract, processes, examples, browser

test-go: ## The Go tests, with the race detector
	@test/system.sh
	go test -race -vet=off ./...

test-client: $(CLIENTS) $(BUNDLES) ## The stock JavaScript client against a running Natter
	test/node.sh client

test-contract: $(CLIENTS) $(BUNDLES) nats ## Every example of docs/contract.md, with the nats CLI
	test/node.sh contract

test-asyncapi: $(CLIENTS) $(BUNDLES) ## docs/asyncapi.yaml against all that a running Natter says
	test/node.sh asyncapi

test-services: $(CLIENTS) $(BUNDLES) nats nats-server ## The services as processes of their own, with a stock nats-server
	test/node.sh services

test-examples: $(CLIENTS) $(BUNDLES) nats ## The examples, each with a stock client
	@test/system.sh
	test/node.sh examples

test-browser: $(CLIENTS) $(BUNDLES) nats-server ## Chromium against a running Natter
	@test/system.sh
	test/node.sh browser

test-chaos: $(CLIENTS) nats-server ## A minute of make chaos, always the same faults, and the tests of its checker
	go build -race -o bin/ ./services/...
	cd test && node --test --test-reporter=spec chaos/*.test.mjs
	SEED=1 MINUTES=1 node test/chaos/main.mjs

chaos: $(CLIENTS) nats-server ## Faults all over a deployment, and a check that nothing is lost: SEED=7 MINUTES=10
	go build -race -o bin/ ./services/...
	SEED=$(SEED) MINUTES=$(MINUTES) node test/chaos/main.mjs

picture: $(CLIENTS) $(BUNDLES) ## Take the README's picture of the chat page again
	test/node.sh . ../test/picture.mjs

fuzz: ## Run every fuzz test, and mutated sessions, for FUZZTIME each (20s)
	@test/fuzz.sh $(FUZZTIME)

bench: ## Run the benchmarks; BENCH=regexp chooses
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

bench-history: ## Pages of rooms with up to ten million messages, searches in two millions, in both databases
	@test/system.sh
	NATTER_BENCH_MESSAGES=10000000 go test -run '^$$' -bench 'PageOf' -timeout 60m ./services/history/internal/query
	NATTER_BENCH_MESSAGES=2000000 go test -run '^$$' -bench 'SearchOf' -timeout 60m ./services/history/internal/query

bench-short: ## Run each benchmark once, so that none rots
	@packages=$$(git grep -l '^func Benchmark' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's|^|./|'); \
		log=$$(NATTER_BENCH_MESSAGES=2000 go test -race -run '^$$' -bench . -benchtime 1x $$packages 2>&1) || { echo "$$log"; exit 1; }

storm: ## Kill a gateway with 5000 clients and measure how they come back; flags: STORM="-storm.clients 2000"
	go test -count 1 -v -timeout 20m ./test/storm -storm.clients 5000 -storm.calm 15s $(STORM)

suites: ## Socket.IO's own test suites against what is built here: SOCKETIO=checkout RUNS=10 SUITE=part-of-a-name
	@SOCKETIO="$(SOCKETIO)" RUNS="$(RUNS)" SUITE="$(SUITE)" node test/suites/main.mjs

nats: ## Build the nats command line tool into .tools/
	@go version -m .tools/nats 2>/dev/null | grep -qF "$(NATS_CLI)" \
		|| GOBIN="$$PWD/.tools" go install github.com/nats-io/natscli/nats@$(NATS_CLI)

nats-server: ## Build nats-server into .tools/, in the version that go.mod has
	go build -o .tools/nats-server github.com/nats-io/nats-server/v2

clean: ## Remove what was built and fetched; what was said stays, in .data/
	rm -rf bin .tools web/node_modules test/node_modules test/artifacts

# npm writes this file last; touched, because it may be as old as the package is.
%/node_modules/.package-lock.json: %/package-lock.json %/package.json
	cd $* && $(NPM_CI)
	@touch $@
