# s4: see README.md for use, CONTRIBUTING.md for work on it.

GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 10s

# Without the race detector: it makes what only computes six times as slow, such as the
# model of jobs, and takes memory itself, so that these tests could not tell how much a
# transfer takes. Of the packages, the first only runs programs that are built without
# it, and the next three have no goroutines. That of S3 is with it in the soak: what it
# imports takes longer to compile for the race detector than all of its tests.
PLAIN = Model|Allocates|LargeKey|ManySmallKeys|Trips|LZ4Data
PLAIN_PACKAGES = ./scripts ./names ./cli/flags ./cli/partition ./cli/s3

# What the store does on a real disk: the other tests have their files in memory, where
# thousands of small ones cost less.
ON_DISK = Commit|Store|Staged|Empty|Sweep|Tree|Symlinks|Dirent|ListIs|RemoveAll|DataDirectory

# These take longest and so begin first. Most tests wait more than they compute: for each
# core two packages at a time, and two tests of each, keep it busy.
LONGEST = ./node ./cli ./node/chaos ./xfer ./bench
AT_ONCE = $(shell expr 2 '*' $$(nproc))
TEST = $(GO) test -vet=off -timeout 15m -p $(AT_ONCE) -parallel $(AT_ONCE)

.PHONY: all build demo test test-race test-plain test-disk test-s3 check bench bench-micro fuzz soak chaos install clean

all: build

build: ## bin/s4, bin/s4-ui, bin/s4-s3, bin/s4-server and bin/s4-bench
	CGO_ENABLED=0 $(GO) build -o bin/ ./cli/s4 ./cli/s4-ui ./cli/s4-s3 ./cli/s4-server ./bench/s4-bench

demo: build ## count words of Go's source on an embedded three-server cluster
	scripts/demo.sh

test: ## everything, with the race detector where there is something to detect
	@$(MAKE) --no-print-directory -j3 test-race test-plain test-disk

test-race:
	scripts/in_memory.sh $(TEST) -race -skip '$(PLAIN)' $(LONGEST) $$($(GO) list ./... | grep -vxF "$$($(GO) list $(PLAIN_PACKAGES))")

test-plain:
	scripts/in_memory.sh $(TEST) $(PLAIN_PACKAGES)
	scripts/in_memory.sh $(TEST) -run '$(PLAIN)' ./node ./bench ./wire ./xfer

test-disk:
	$(TEST) -run '$(ON_DISK)' ./node

test-s3: ## what touches S3, with aws and rclone as second opinions: half a minute
	S4_TEST_S3=1 $(GO) test -count 1 -timeout 15m ./cli/s3/...

check: ## formatting, vet, staticcheck, who may import whom
	@out=$$(gofmt -l .); test -z "$$out" || { echo "not gofmt'ed:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) mod tidy -diff
	$(GO) run $(STATICCHECK) ./...
	scripts/check_imports.sh

bench: build ## s4 beside what one would use without it, on this machine
	bin/s4-bench all

bench-micro: ## micro-benchmarks of the data plane
	$(GO) test -run '^$$' -bench . -benchmem ./wire ./xfer ./cli/partition

fuzz: ## every decoder, FUZZTIME each
	scripts/fuzz.sh $(FUZZTIME)

soak: ## the long tests: gigabytes, minutes
	S4_TEST_BIG=1 $(GO) test -timeout 60m ./...
	$(GO) test -race ./cli/s3

chaos: ## a cluster under faults, for S4_CHAOS=5m
	S4_CHAOS=$${S4_CHAOS:-5m} $(GO) test -race -timeout 0 -count 1 -v -run TestChaos ./node/chaos

install: ## programs, completions and man pages; PREFIX=/opt/s4, DESTDIR=package
	scripts/install.sh $(if $(PREFIX),--prefix '$(PREFIX)')

clean:
	rm -rf bin
