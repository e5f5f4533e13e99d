#!/usr/bin/env bash
# Checks the plugin's layout table against the headers of every Wireshark at hand: the installed one and those of tests/hosts.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
check() { echo "layouts: $1"; shift; env "$@" cargo test --quiet --features bindgen --lib layout; }
if pkg-config --exists wireshark; then check installed; else echo "layouts: no headers of Wireshark are installed: skipped"; fi
for suite in trixie sid; do
    if ! root=$(tests/hosts.sh "$suite"); then continue; fi
    check "$suite" "PKG_CONFIG_SYSROOT_DIR=$root" \
        "PKG_CONFIG_LIBDIR=$(echo "$root"/usr/lib/*-linux-gnu/pkgconfig):$root/usr/share/pkgconfig"
done
