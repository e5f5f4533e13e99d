# harshark: what to build, try and check. Everything a fresh Debian with Rust lacks is installed on the way.
SHELL := /bin/bash
.DELETE_ON_ERROR:

CARGO ?= cargo
BIN := target/release/harshark
# The same page in clear, over TLS 1.3 with HTTP/2, and over QUIC with HTTP/3; the secrets are inside the captures.
DEMOS := small-clear small-h2 small-h3

.PHONY: help tools tools-demo tools-test build demo check test layouts bench install uninstall clean

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools:
	@tests/tools.sh build

tools-demo:
	@tests/tools.sh demo

tools-test:
	@tests/tools.sh test

build: tools ## Build the release binary
	$(CARGO) build --release

demo: tools-demo build ## Convert real captures from tests/data, in clear and encrypted, and say where the HARs are
	@mkdir -p target/demo
	@for name in $(DEMOS); do \
	    echo "$$ $(BIN) tests/data/$$name.pcapng -o target/demo/$$name.har --pretty"; \
	    $(BIN) tests/data/$$name.pcapng -o target/demo/$$name.har --pretty || exit; \
	done
	@tests/demo.sh small-clear
	@echo "Open target/demo/*.har in a browser's developer tools: Network > Import HAR"

check: tools-test ## Formatting, lints and documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps

test: check ## All checks; .ci/run calls exactly this
	$(CARGO) test
	$(CARGO) build --release
	tests/readers.sh
	tests/outside.sh

layouts: tools-test ## Check the plugin's layout table against the headers of each Wireshark at hand
	tests/layouts.sh

bench: build ## Make large captures of HTTP/1, HTTP/2 over TLS and HTTP/3; measure CPU, speed and memory
	$(CARGO) bench --bench large

install: build ## Install command, library, plugin and recorder (PREFIX, DESTDIR)
	@./install.sh install "$(PREFIX)" "$(DESTDIR)"

uninstall: ## Take away what install put there
	@./install.sh uninstall "$(PREFIX)" "$(DESTDIR)"

clean: ## Remove what was built
	$(CARGO) clean
