# Outwork's few verbs. `make help` lists them.

GO       ?= go
BIN      ?= bin
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X github.com/outwork-build/outwork/internal/version.number=$(VERSION)
PACKAGES ?= ./...
# Without gRPC's request tracing, a page that nobody opens, the linker drops what html/template keeps alive: 2.5 MB of an agent.
BUILD    := $(GO) build -trimpath -tags grpcnotrace -ldflags '$(LDFLAGS)'

.PHONY: help build agents test test-windows deps race fuzz vet torture bench generate clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/' | expand -t 15

build: ## bin/outwork and bin/outwork-agent for this machine
	CGO_ENABLED=0 $(BUILD) -o $(BIN)/ ./cmd/outwork ./cmd/outwork-agent

agents: ## the small agent for every platform, into bin/agents/outwork-agent-OS-ARCH
	@for t in linux/amd64 linux/arm64 windows/amd64 darwin/arm64; do \
	  os=$${t%/*}; arch=$${t#*/}; ext=; [ $$os = windows ] && ext=.exe; echo $$t; \
	  CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(BUILD) -o $(BIN)/agents/outwork-agent-$$os-$$arch$$ext ./cmd/outwork-agent || exit 1; done

deps: ## what the tests need besides Go (Debian packages; as root they are installed)
	@./.ci/deps

test: deps ## every test; the same command that CI runs
	$(GO) vet $(PACKAGES)
	$(GO) test -count=1 -timeout 30m $(PACKAGES)

test-windows: ## the agent's tests as Windows programs under Wine; the agent for Windows and its setup over WinRM from a controller here
	@./.ci/wine

race: ## the concurrent packages under the race detector; the processes that tests start need not each sleep a second at their end
	GORACE=atexit_sleep_ms=10 CGO_ENABLED=1 $(GO) test -race -short -count=1 -timeout 30m $(shell cat .ci/race)

fuzz: ## each fuzz target for FUZZTIME (default 20s)
	@./.ci/fuzz $(or $(FUZZTIME),20s)

torture: ## kill, freeze and cut off a farm under load for TORTURE (default 10m); it prints its seed
	$(GO) test ./e2e -run 'TestTorture$$' -count=1 -v -timeout 120m -torture $(or $(TORTURE),10m) $(if $(SEED),-torture.seed $(SEED))

bench: ## the figures of docs/performance.md
	$(GO) run ./bench/dispatch
	$(GO) run ./bench/logs
	$(GO) run ./bench/fleet
	$(GO) run ./bench/graph

generate: ## generated code from its sources
	./api/proto/generate.sh

clean: ## what the targets above made
	rm -rf $(BIN)
