#!/usr/bin/env bash
# The tests of floor 0 under Miri, which sees what is undefined behaviour. Says how to get it where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "miri: the component is missing: skipped. It comes with a nightly toolchain:"
    echo "    rustup toolchain install nightly --component miri"
    exit 0
fi
# Miri is slow: few cases of each property, which look for their seeds in the file system.
export MIRIFLAGS="${MIRIFLAGS:+$MIRIFLAGS }-Zmiri-disable-isolation" PROPTEST_CASES="${PROPTEST_CASES:-16}"
# Miri does not know the temporary files of the spool, nor the C library behind base::zstd.
cargo +nightly miri test --lib --target-dir target/miri base:: -- --skip base::spool --skip base::zstd
