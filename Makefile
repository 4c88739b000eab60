# Everything starts here: `make help` lists the targets.
SHELL    := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
GO       ?= go
TOOL     := $(GO) tool -modfile=$(CURDIR)/.ci/tools/go.mod
BUF      := $(GO) tool -modfile=$(CURDIR)/.ci/tools/buf/go.mod buf
SUDO     := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES := libhdf5-dev pkg-config
TESTFLAGS ?=
# A number of executions (3000x) or a time (10m). At the end of a time Go before 1.27 now and then fails with "context deadline exceeded" where nothing is wrong (golang/go#75804).
FUZZTIME ?= 3000x
PYTHON   ?= python3
# Packages of the SDK that a plugin's author can build without a C compiler.
PURE     := ./sdk/param ./sdk/tensor ./sdk/random ./sdk/component ./sdk/task ./sdk/model ./sdk/simulator ./sdk/comparator ./sdk/serve ./sdk/client ./sdk/plugintest
# Packages whose tests also run under the race detector: the ones that are concurrent. Its second of sleep as a process exits is shortened: these tests start hundreds of plugins.
RACE     := ./registry ./sdk/nn ./sdk/train ./sdk/link ./sdk/serve/... ./sdk/client/... ./sdk/internal/... ./host/store/... ./host/pipeline/... ./host/launch/... ./host/catalog/... ./host/cli ./host/runlog ./host/doctor ./host/machine

export CTDB_BUILD_DIR := $(CURDIR)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

.PHONY: deps
deps: ## install the C libraries that the build needs (Debian and Ubuntu; asks for sudo only if not root)
	@for tool in $(GO) gcc; do command -v $$tool >/dev/null || { echo "deps: $$tool is not installed: Go 1.26 and gcc are needed" >&2; exit 1; }; done
	@missing=""; for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	command -v apt-get >/dev/null || { echo "deps: no apt-get here: install the HDF5 C library with its headers (on Debian: $(PACKAGES))" >&2; exit 1; }; \
	echo "deps: installing$$missing with apt-get"; \
	$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

.PHONY: build
build: deps ## build bin/ctdb-host
	@mkdir -p bin
	$(GO) build -o bin/ctdb-host ./host/cmd/ctdb-host

.PHONY: quickstart
quickstart: build ## build, and run a small complete study into runs/
	bin/ctdb-host run quickstart

.PHONY: test
test: deps lint purity ## everything that CI checks
	$(GO) test $(TESTFLAGS) ./...
	GORACE="atexit_sleep_ms=20 $${GORACE:-}" $(GO) test -race $(TESTFLAGS) $(RACE)
	@$(MAKE) --no-print-directory fuzz

.PHONY: fuzz
fuzz: deps ## run every fuzz target FUZZTIME (default 3000x, that is 3000 inputs; or a time), one after the other
	@packages=$$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); \
	for package in $$packages; do \
	targets=$$($(GO) test -list '^Fuzz' ./$$package | grep '^Fuzz'); \
	for target in $$targets; do \
	echo "fuzz $$package $$target for $(FUZZTIME)"; \
	$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$package; \
	done; done

# A Python with torch, safetensors, h5py and tensorboard. The default is made here, of Debian's torch, which is built for processors alone and so small, and the packages in .ci/interop.txt.
INTEROP        := $(CURDIR)/.cache/interop
INTEROP_PYTHON ?= $(INTEROP)/bin/python

.PHONY: interop
interop: deps $(if $(filter $(INTEROP)/%,$(INTEROP_PYTHON)),$(INTEROP)/ready) ## have PyTorch, h5py and TensorBoard read what we write, and read what they write (Debian; or INTEROP_PYTHON)
	@mkdir -p $(dir $(INTEROP))
	@[ -n "$(INTEROP_PYTHON)" ] || { echo "interop: INTEROP_PYTHON is empty: a Python with torch, safetensors, h5py and tensorboard is needed" >&2; exit 1; }
	$(INTEROP_PYTHON) -c 'import torch, safetensors, h5py, tensorboard'
	CTDB_INTEROP_PYTHON=$(INTEROP_PYTHON) $(GO) test -count 1 -run '^TestInterop' ./plugins/builtin ./host/artifact ./host/artifact/tfevents | tee $(INTEROP).log
	@! grep 'no tests to run' $(INTEROP).log

$(INTEROP)/ready: .ci/interop.txt
	@command -v apt-get >/dev/null || { echo "interop: no apt-get here: set INTEROP_PYTHON to a Python with torch, safetensors, h5py and tensorboard" >&2; exit 1; }
	@missing=""; for p in python3-venv python3-torch; do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "interop: installing$$missing with apt-get"; \
	$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
	rm -rf $(INTEROP)
	/usr/bin/python3 -m venv --system-site-packages $(INTEROP)
	$(INTEROP)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# A Python with grpcio, protobuf, numpy and jax: what plugins in Python are tried with. The default is made here, of the packages in .ci/python.txt.
PLUGINS        := $(CURDIR)/.cache/python
PLUGINS_PYTHON ?= $(PLUGINS)/venv/bin/python

.PHONY: python
python: deps $(if $(filter $(PLUGINS)/%,$(PLUGINS_PYTHON)),$(PLUGINS)/ready) ## test the SDK for Python as it is installed, and plugins in Python through the program (Debian; or PLUGINS_PYTHON)
	@mkdir -p $(PLUGINS)
	@[ -n "$(PLUGINS_PYTHON)" ] || { echo "python: PLUGINS_PYTHON is empty: a Python with grpcio, protobuf, numpy and jax is needed" >&2; exit 1; }
	$(PLUGINS_PYTHON) -c 'import grpc, google.protobuf, numpy, jax'
	rm -rf $(PLUGINS)/source $(PLUGINS)/installed
	mkdir -p $(PLUGINS)/source && cp -r sdk/python/pyproject.toml sdk/python/README.md sdk/python/ctdb_sdk $(PLUGINS)/source
	$(PLUGINS_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --target $(PLUGINS)/installed $(PLUGINS)/source
	cd $(PLUGINS) && PYTHONPATH=$(PLUGINS)/installed $(PLUGINS_PYTHON) -m unittest discover -s $(CURDIR)/sdk/python/tests
	CTDB_PYTHON=$(PLUGINS_PYTHON) $(GO) test -count 1 -run '^TestPython' ./host/cmd/ctdb-host | tee $(PLUGINS)/log
	@! grep 'no tests to run' $(PLUGINS)/log

$(PLUGINS)/ready: .ci/python.txt
	@missing=""; if command -v apt-get >/dev/null; then dpkg-query -W -f='$${Status}' python3-venv 2>/dev/null | grep -q 'ok installed' || missing=python3-venv; fi; \
	if [ -n "$$missing" ]; then echo "python: installing $$missing with apt-get"; \
	$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
	rm -rf $(PLUGINS)
	/usr/bin/python3 -m venv $(PLUGINS)/venv
	$(PLUGINS)/venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Where the reports of `make examples-report` go, and how it calls the program.
EXAMPLES := runs/examples
SYSTEMS  := bin/ctdb-host --plugin-dir bin/plugins
SYSTEM   := plugins/examples/systems

# What the reports say is to be seen in them.
LORENZ := "The Lorenz system beside itself in other coordinates, rotated and stretched by up to 3, and beside that of Roessler. To be seen: dsa, blind to rotations, is near 0 between the two Lorenz systems and far \
	from it for that of Roessler. The intervals of the Lyapunov exponents hold the published 0.906, 0 and -14.57 (Sprott 2003) in both coordinates."
RINGS := "A ring that turns by itself beside one that another ring, not seen, leads along the same average trajectories (the point of Ostrow et al. 2023), and beside itself in other coordinates, rotated and stretched by \
	up to 3. To be seen: dsa tells the led ring apart, beyond what the halves of one recording differ by, and not the ring in other coordinates. Procrustes says the opposite: it compares trajectories, and the average ones of the \
	first two are the same."
SIZES := "How many latents may a model have? Three sizes are fitted to the spikes of a 3-bit flip-flop of 64 units, for three seeds each. To be seen: rate R2 and co-bps hardly tell them apart, while state R2 and cycle \
	consistency fall with the size (Versteeg et al. 2025): models that are too large invent latents that the rates do not show."

.PHONY: examples-report
examples-report: build ## what comparators say where the truth is known: Lorenz, Roessler, rings, models that are too large; reports go to runs/examples (a quarter of an hour)
	@mkdir -p bin/plugins
	$(GO) build -o bin/plugins/ctdb-plugin-systems ./$(SYSTEM)
	$(SYSTEMS) run $(SYSTEM)/lorenz.yaml --quiet --out $(EXAMPLES)/lorenz
	$(SYSTEMS) run $(SYSTEM)/lorenz.yaml --quiet --set train.params.coordinates=sheared --set train.seed=1 --out $(EXAMPLES)/lorenz-sheared
	$(SYSTEMS) run $(SYSTEM)/lorenz.yaml --quiet --set train.params.system=roessler --out $(EXAMPLES)/roessler
	$(SYSTEMS) compare $(EXAMPLES)/lorenz/train $(EXAMPLES)/lorenz-sheared/train $(EXAMPLES)/roessler/train --name lorenz-and-roessler --out $(EXAMPLES)/lorenz-and-roessler \
		--use comparator/dsa --use comparator/shape --use comparator/spectra --set compare.dsa.params.rank=15 --set about='$(LORENZ)'
	$(SYSTEMS) run $(SYSTEM)/ring.yaml --quiet --out $(EXAMPLES)/ring
	$(SYSTEMS) run $(SYSTEM)/ring.yaml --quiet --set train.params.system=led-ring --set train.seed=1 --out $(EXAMPLES)/led-ring
	$(SYSTEMS) run $(SYSTEM)/ring.yaml --quiet --set train.params.coordinates=sheared --set train.seed=2 --out $(EXAMPLES)/ring-sheared
	$(SYSTEMS) compare $(EXAMPLES)/ring/train $(EXAMPLES)/led-ring/train $(EXAMPLES)/ring-sheared/train --name rings --out $(EXAMPLES)/rings \
		--use comparator/dsa --use comparator/shape --use comparator/spectra --set compare.dsa.params.n_delays=3 --set compare.dsa.params.rank=6 --set about='$(RINGS)'
	bin/ctdb-host run sizes --set 'seeds=[0, 1, 2]' --set 'matrix.fit.gru.params.latent=[64, 128, 256]' --set fit.gru.params.epochs=120 --set fit.gru.params.lr=4.0e-3 \
		--set about='$(SIZES)' --out $(EXAMPLES)/sizes
	@echo; for report in lorenz-and-roessler rings sizes; do echo "report  $(EXAMPLES)/$$report/report.html"; done

.PHONY: python-torch
python-torch: deps $(if $(filter $(INTEROP)/%,$(INTEROP_PYTHON)),$(INTEROP)/ready) ## test the example in PyTorch, with the Python of interop (Debian; or INTEROP_PYTHON, which then needs torch, grpcio, protobuf and numpy)
	$(INTEROP_PYTHON) -c 'import grpc, google.protobuf, numpy, torch'
	cd sdk/python && PYTHONPATH=$(CURDIR)/sdk/python $(INTEROP_PYTHON) -m unittest discover -s tests -p 'test_torch.py'
	CTDB_PYTHON=$(INTEROP_PYTHON) $(GO) test -count 1 -run '^TestTorch' ./host/cmd/ctdb-host

.PHONY: endurance
endurance: deps ## the long forms of the tests: 50 kills, 200 studies in one process, 1000 starts of plugins, full disks (half an hour)
	CTDB_ENDURANCE=1 $(GO) test -count 1 -p 1 -timeout 3h -v ./host/cmd/ctdb-host ./host/launch ./host/store ./plugins/builtin

# What runs another processor's programs, and where their C library is (Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user-static).
ARM_CC   ?= aarch64-linux-gnu-gcc
ARM_EXEC ?= qemu-aarch64-static -L /usr/aarch64-linux-gnu

.PHONY: arm64
arm64: ## cross-compile all but HDF5 for arm64, and run the engine's tests there under qemu (half an hour)
	@for tool in $(ARM_CC) $(firstword $(ARM_EXEC)); do command -v $$tool >/dev/null || { echo "arm64: $$tool is not installed (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)" >&2; exit 1; }; done
	CGO_ENABLED=1 GOARCH=arm64 CC=$(ARM_CC) $(GO) build ./sdk/... ./plugins/... ./registry/...
	CGO_ENABLED=1 GOARCH=arm64 CC=$(ARM_CC) $(GO) test -timeout 3h -exec '$(ARM_EXEC)' ./sdk/nn/... ./sdk/train ./sdk/random ./sdk/tensor ./sdk/param
	CGO_ENABLED=1 GOARCH=arm64 CC=$(ARM_CC) $(GO) test -timeout 3h -exec '$(ARM_EXEC)' -run 'TestManifest|TestTheSameBytesEveryWay' ./plugins/builtin

.PHONY: old-processor
old-processor: ## run the kernels' tests as on a processor without AVX2, under qemu, where they choose the generic ones themselves
	$(GO) test -timeout 3h -exec 'qemu-x86_64-static -cpu Nehalem' ./sdk/nn/kernel

.PHONY: lint
lint: deps ## gofmt, vet, staticcheck, buf, and generated code that is out of date
	@unformatted=$$(git ls-files '*.go' | xargs -r gofmt -l); [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; } >&2
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(BUF) lint proto
	@if git rev-parse -q --verify origin/main >/dev/null; then echo "buf breaking, against origin/main"; \
	$(BUF) breaking proto --against '.git#ref=origin/main,subdir=proto'; fi
	@$(MAKE) --no-print-directory proto
	@changed=$$(git status --porcelain -- 'proto/*.pb.go' '*.binpb'); [ -z "$$changed" ] || { echo "generated code is out of date: commit what make proto changes:"; echo "$$changed"; exit 1; } >&2

.PHONY: proto
proto: ## generate the Go code of the protocol, and its descriptors for Python
	$(BUF) generate proto --template proto/buf.gen.yaml --output proto
	$(BUF) build proto --as-file-descriptor-set --exclude-source-info --output sdk/python/ctdb_sdk/_protocol.binpb

# What stands above the pages of components.
define DOCS
# The built-in components

Made by `make docs`, of what `ctdb-host describe --markdown` says. A test finds it out of date.

endef
export DOCS

.PHONY: docs
docs: build ## write plugins/README.md, a page of every built-in component
	@printf '%s\n' "$$DOCS" > plugins/README.md
	env -u CTDB_PLUGIN_PATH XDG_DATA_HOME=$(CURDIR)/.cache/empty bin/ctdb-host describe --markdown >> plugins/README.md

.PHONY: purity
purity: ## the parts of the SDK that promise it build without cgo
	CGO_ENABLED=0 $(GO) build $(PURE)

.PHONY: bench
bench: deps ## training steps beside PyTorch's, JAX's and MotorNet's, as a table (30 minutes; PYTHON has torch, jax and motornet; BENCHFLAGS, e.g. '-rounds 5 -rows arm'; CTDB_PEERS)
	$(GO) run ./plugins/internal/speed -python "$$(command -v $(PYTHON))" $(BENCHFLAGS)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
