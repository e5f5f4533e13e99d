# harshark: what to build, try and check. Everything a fresh Debian with Rust lacks is installed on the way.
SHELL := /bin/bash
.DELETE_ON_ERROR:

CARGO ?= cargo
BIN := target/release/harshark
DEMO := tests/data/small-clear.pcapng

.PHONY: help tools build demo test check docs outside bench clean

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools:
	@tests/tools.sh

build: tools ## Build the release binary
	$(CARGO) build --release

demo: build ## Convert a real capture from tests/data and say where the HAR is
	@mkdir -p target/demo
	$(BIN) $(DEMO) -o target/demo/small-clear.har --pretty
	@echo "The HAR: target/demo/small-clear.har (open it in a browser's developer tools: Network > Import HAR)"

check: tools ## Formatting, lints and documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps

test: check ## All checks; .ci/run calls exactly this
	$(CARGO) test
	$(CARGO) build --release
	tests/outside.sh

bench: build ## Make a large capture and measure CPU, speed and memory
	$(CARGO) bench --bench large

clean: ## Remove what was built
	$(CARGO) clean
