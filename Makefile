# The commands of this project; `make help` lists them.

CONFIG ?= configs/links.yaml
VERSION := $(shell packaging/version.sh 2>/dev/null)
LDFLAGS := -X main.release=$(VERSION)
BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
# What is released: without what only a debugger needs (stacks still have their names), and for these.
RELEASE := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w $(LDFLAGS)'
ARCHES := amd64 arm64
DIST := dist
GOLANGCI := go tool -modfile=tools/go.mod golangci-lint
REST := go tool -modfile=tools/go.mod oapi-codegen -config internal/rest/oapi-codegen.yaml api/openapi.yaml

# The race detector needs cgo, and cgo a C compiler.
CC_FOUND := $(shell command -v $(shell go env CC) 2>/dev/null)
RACE := $(if $(CC_FOUND),-race,)

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/serialhub
	$(BUILD) -o bin/serialhub ./cmd/serialhub

.PHONY: install
install: ## put the program, units, man pages and completions below PREFIX (/usr/local), and DESTDIR; after make build
	packaging/install.sh install

.PHONY: uninstall
uninstall: ## take them away; /etc/serialhub stays
	packaging/install.sh uninstall

.PHONY: binaries
binaries: build
	$(foreach arch,$(ARCHES),GOOS=linux GOARCH=$(arch) $(RELEASE) -o bin/linux_$(arch)/serialhub ./cmd/serialhub && ) true

.PHONY: deb
deb: binaries ## make the Debian packages, in dist/
	$(foreach arch,$(ARCHES),packaging/deb.sh bin/linux_$(arch)/serialhub bin/serialhub $(arch) $(abspath $(DIST)) && ) true

.PHONY: dist
dist: binaries ## make what is released, in dist/: archives and packages for each architecture, lists of contents, checksums
	rm -f $(DIST)/serialhub[-_]* $(DIST)/SHA256SUMS
	$(foreach arch,$(ARCHES),packaging/deb.sh bin/linux_$(arch)/serialhub bin/serialhub $(arch) $(abspath $(DIST)) && \
	packaging/archive.sh bin/linux_$(arch)/serialhub bin/serialhub $(arch) $(abspath $(DIST)) && ) true
	cd $(DIST) && sha256sum serialhub* >SHA256SUMS

.PHONY: release
release: ## see whether this commit can be released as VERSION, which has to be said (RELEASEFLAGS=--list shows the checks)
	packaging/release.sh $(RELEASEFLAGS) $(if $(filter command line,$(origin VERSION)),$(VERSION))

.PHONY: run
run: build ## run the hub on configs/links.yaml (CONFIG=… for another file)
	bin/serialhub -c $(CONFIG)

.PHONY: test
test: ## run the tests, with the race detector
	@$(if $(RACE),,echo 'make: no C compiler found; the tests run without the race detector')
	go test $(RACE) $$(go list ./... | grep -v -e /test/e2e -e /test/systemd -e /test/guest -e /test/package)

.PHONY: soak
soak: ## let 50 links live through everything at random, for SOAKTIME (default 2m)
	go test $(RACE) -count=1 -timeout 30m -v ./test/soak -soak.time=$(or $(SOAKTIME),2m)

.PHONY: continuity
continuity: ## kill, restart and replace the hub while bytes flow, at full size
	go test $(RACE) -count=1 -timeout 30m -v ./test/continuity -continuity.full

.PHONY: watched
watched: ## kill, restart and replace the hub while somebody watches every link: the peers notice neither
	go test -count=1 ./test/continuity -continuity.watched -skip 'Scrollback|Transcript|Watch|Tap'

.PHONY: bench
bench: ## compare the hub with socat and with no relay (installs socat by apt; BENCHFLAGS='-only bulk -rounds 3')
	bench/setup.sh
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && trap 'exit 130' INT TERM && \
	$(BUILD) -o "$$dir/serialhub" ./cmd/serialhub && go build -o "$$dir/bench" ./bench && \
	"$$dir/bench" -hub "$$dir/serialhub" $(BENCHFLAGS)

.PHONY: microbench
microbench: ## run the benchmarks of single packages
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (default 30s)
	go test -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/address
	go test -run '^$$' -fuzz '^FuzzTokens$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/access
	go test -run '^$$' -fuzz '^FuzzLoad$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/config
	go test -run '^$$' -fuzz '^FuzzRing$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/relay
	go test -run '^$$' -fuzz '^FuzzRender$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/render
	go test -run '^$$' -fuzz '^FuzzLiteral$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/search
	go test -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/escape
	go test -run '^$$' -fuzz '^FuzzKeys$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/console
	go test -run '^$$' -fuzz '^FuzzPress$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/console
	go test -run '^$$' -fuzz '^FuzzForeign$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/transcript
	go test -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/qemu
	go test -run '^$$' -fuzz '^FuzzEvents$$' -fuzztime $(or $(FUZZTIME),30s) ./internal/client

.PHONY: e2e
e2e: ## run the hub against real VMs, a real debugger and a real Prometheus (installs them by apt; needs root for that)
	test/e2e/setup.sh
	test/systemd/setup.sh
	SERIALHUB_E2E=1 go test -count=1 -timeout 20m -v ./test/e2e

.PHONY: systemd
systemd: ## run the hub as a service of a real systemd, in a container (installs it by apt; needs root)
	test/systemd/setup.sh
	SERIALHUB_SYSTEMD=1 go test -count=1 -timeout 10m -v ./test/systemd

.PHONY: package
package: ## install, upgrade and remove the package in a clean Debian with systemd, in a container (installs what it takes by apt; needs root)
	test/package/setup.sh
	SERIALHUB_PACKAGE=1 go test -count=1 -timeout 10m -v ./test/package

.PHONY: guest
guest: ## run tests on Debian's kernel, in a VM with serial devices and vsock (installs it by apt; needs root)
	test/guest/setup.sh
	SERIALHUB_GUEST=1 go test -count=1 -timeout 10m -v ./test/guest

.PHONY: docs
docs: ## type every command of the pages as a reader would, in containers (installs by apt what he needs; needs root)
	test/docs/setup.sh
	SERIALHUB_DOCS=1 go test -count=1 -timeout 10m -v -run 'TestPages' ./test/docs

.PHONY: generate
generate: ## make anew what is made from other files (make test and make lint fail if it is not current)
	$(REST) >internal/rest/rest.gen.go.new && mv internal/rest/rest.gen.go.new internal/rest/rest.gen.go
	go test ./internal/config -run 'TestSchemaIsCurrent|TestManualsAreCurrent' -update
	go test ./cmd/serialhub -run 'TestCommandsAreDocumented|TestManualIsCurrent' -update
	go test ./internal/metrics -run TestDocIsCurrent -update

.PHONY: lint
lint: ## check the code's style, its imports and its modules
	go build ./...
	$(GOLANGCI) run ./...
	go mod tidy -diff
	go -C tools mod tidy -diff
	go -C tools run ./apilint ../api/openapi.yaml apilint/rules.yaml
	@$(REST) | diff -u internal/rest/rest.gen.go - || { echo 'internal/rest/rest.gen.go is not what api/openapi.yaml says; run make generate'; exit 1; }

.PHONY: fmt
fmt: ## format the code
	$(GOLANGCI) fmt ./...

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist test/e2e/.cache test/guest/.cache test/package/.cache
