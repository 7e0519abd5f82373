# make build      ./fairlead; needs only Go
# make generate   the BPF object and its Go types, from bpf/; needs clang
# make check      forms, linters, generated code, dependencies, floors and documents
# make test       all tests, as root; `sh scripts/test` installs what they need
# make bench      what the data plane costs, and thousands of checks; as root
# make instructions  what a packet takes, beside routing and IPVS, in a virtual machine
# make lab        the whole diagram on this machine; as root
# make lab-all    every fault, with the note's own check; as root

.PHONY: build generate check test bench instructions lab lab-all
.PHONY: check-format check-vet check-lint check-generated check-modules check-layout
.PHONY: test-browser test-fuzz test-race test-kernel test-vm

TIMED = sh scripts/timed

build:
	go build -o fairlead ./cmd/fairlead

# Debian keeps asm/types.h in a directory that clang does not search for BPF.
generate:
	C_INCLUDE_PATH=/usr/include/$(shell uname -m)-linux-gnu go generate ./internal/dataplane ./bench

check: check-format check-vet check-lint check-generated check-modules check-layout

check-format:
	@$(TIMED) format sh scripts/check-format

check-vet:
	@$(TIMED) vet go vet ./...

check-lint:
	@$(TIMED) staticcheck go tool staticcheck ./...

check-generated:
	@$(TIMED) "generated code" sh scripts/check-generated

check-modules:
	@$(TIMED) modules go mod tidy -diff

check-layout:
	@$(TIMED) "floors and documents" go test -count=1 ./internal/floors

# Packages that test against the kernel: namespaces, BPF, real traffic. They
# measure time, so they run without the race detector and one after the other.
KERNEL = fairlead/bench fairlead/internal/announce fairlead/internal/dataplane fairlead/internal/lab \
	fairlead/internal/lab/site fairlead/internal/lab/witness \
	fairlead/internal/netstate fairlead/internal/reset fairlead/internal/topology

# The pages in a real browser: it takes most of the time, and has no race detector.
# What the pages ask the daemon for is tested with it in fairlead/internal/web.
BROWSER = fairlead/internal/web/browser

# The order is the order of time: what fails fast comes first. Nothing is printed
# after the last part, so that the output ends with go test's own lines.
test: test-race test-browser test-fuzz test-kernel test-vm

# -short leaves out what compiles mutations of decide, and the time of a scrape; see test-kernel.
test-race:
	@$(TIMED) "tests with the race detector" go test -race -short \
		$(filter-out $(KERNEL) $(BROWSER) fairlead/vm fairlead/internal/floors,$(shell go list ./...))

test-browser:
	@$(TIMED) "the pages in a browser" go test -count=1 $(BROWSER)

test-fuzz:
	@$(TIMED) fuzzing sh scripts/fuzz 60

test-kernel:
	@echo "== tests against the kernel, and mutations; go test says how long each took"
	@go test -p 1 -count=1 -timeout 20m fairlead/internal/decide fairlead/internal/metrics $(KERNEL)

# The kernel's own NFS client in an emulated machine. -v shows how far it is.
test-vm:
	@echo "== the kernel's NFS client, in a virtual machine"
	@go test -v -count=1 -timeout 16m fairlead/vm

bench:
	go run ./bench
	go test -run '^$$' -bench FiveThousand -benchtime 1x ./internal/probe

instructions:
	go run ./vm/cost

lab:
	go run ./cmd/fairlead lab

# All runs are done, also after one that did not pass.
FAULTS = kill link blackhole novip hang planned failback double flap crash gone

lab-all: build
	@failed=; run() { echo "== fairlead lab $$*"; ./fairlead lab "$$@" || failed="$$failed, $$*"; }; \
	for fault in $(FAULTS); do run --fault $$fault; done; \
	for fault in kill link blackhole planned failback double; do run --fault $$fault --nfs ganesha; done; \
	for xdp in generic tcx; do run --fault link --xdp $$xdp; run --fault failback --xdp $$xdp; done; \
	run --fault planned --xdp generic --crowd 100000; \
	[ -z "$$failed" ] || { echo "did not pass: $${failed#, }"; exit 1; }
