#!/usr/bin/env bash
# The C door under AddressSanitizer and UndefinedBehaviorSanitizer: the library is built with ASan, the C program that uses every
# function of it with both. Needs gcc with its sanitizers, and a Rust toolchain with the runtime of ASan; says when it is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
runtime=$(find "$(rustc --print sysroot)/lib/rustlib/$target/lib" -name 'librustc-*_rt.asan.a' 2>/dev/null | head -n 1)
if [ -z "$runtime" ]; then
    echo "sanitize: this Rust toolchain has no AddressSanitizer for $target: skipped"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! echo 'int main(void) { return 0; }' | cc -fsanitize=address,undefined -x c -o "$work/empty" - 2>"$work/cc.err" || ! "$work/empty"; then
    echo "sanitize: the C compiler has no sanitizers: skipped"
    exit 0
fi
# The flag is not stable; the compiler takes it when told so.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" \
    cargo build --quiet --lib --target "$target" --target-dir target/sanitize
library=target/sanitize/$target/debug
ln -s "$PWD/$library/libharshark.so" "$work/libharshark.so"
ln -s "$PWD/$library/libharshark.so" "$work/libharshark.so.1"
cc -std=c99 -g -fsanitize=address,undefined -fno-sanitize-recover=all -I include tests/abi/consumer.c \
    -L "$work" "-Wl,-rpath,$work" -lharshark -o "$work/consumer"
mkdir "$work/out"
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
"$work/consumer" tests/data/small-clear.pcapng "$work/out"
echo "sanitize: the C program and the library are clean under ASan and UBSan"
