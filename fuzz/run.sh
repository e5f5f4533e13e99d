#!/usr/bin/env bash
# Runs fuzz targets one after the other: `fuzz/run.sh SECONDS [TARGET]...`, all of them when none is named.
# Needs cargo-fuzz (`cargo install cargo-fuzz`) and a C++ compiler; a nightly toolchain, or RUSTC_BOOTSTRAP with a stable one.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: cargo-fuzz is missing; install it with: cargo install cargo-fuzz" >&2
    exit 1
fi
toolchain=()
if cargo +nightly --version >/dev/null 2>&1; then
    toolchain=(+nightly)
else
    export RUSTC_BOOTSTRAP=1
fi
cargo "${toolchain[@]}" fuzz build
# Built above; seeds are written without libFuzzer.
RUSTFLAGS="--cfg fuzzing" cargo run --quiet --release --bin seed -- corpus >corpus.names
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets <corpus.names
rm corpus.names
# Memory that is kept to catch uses after free must not count as the target's.
export ASAN_OPTIONS="quarantine_size_mb=16${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
status=0
for target in "${targets[@]}"; do
    options=(-max_total_time="$seconds" -rss_limit_mb=512 -timeout=20 -max_len=16384 -print_final_stats=1)
    [ ! -f "dictionaries/$target.dict" ] || options+=(-dict="dictionaries/$target.dict")
    echo "fuzz: $target for $seconds s"
    mkdir -p "artifacts/$target"
    cargo "${toolchain[@]}" fuzz run "$target" "corpus/$target" -- "${options[@]}" 2>&1 |
        grep -E '^(#[0-9]+ +DONE|stat::|==|SUMMARY|thread|Test unit|artifact_prefix|.* breaks on)|panicked|ERROR' || true
    if [ -n "$(find "artifacts/$target" -type f -print -quit)" ]; then
        echo "fuzz: $target was broken; the inputs are in fuzz/artifacts/$target"
        status=1
    fi
done
exit $status
