#!/usr/bin/env bash
# Installs what the machine lacks: `tools.sh build`, `tools.sh demo` (and tshark), `tools.sh test` (and real hosts of the plugin).
# Quiet when nothing is missing.
set -euo pipefail
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need cc gcc
case ${1:-build} in
    demo)
        need python3 python3
        need tshark tshark
        need setpriv util-linux
        ;;
    test)
        need python3 python3
        # Without hosts the plugin's tests skip and say so.
        need tshark tshark
        need wireshark wireshark
        need Xvfb xvfb
        need xdotool xdotool
        need setpriv util-linux
        need curl curl
        # The C ABI is tried by a C program under valgrind, and its header in both languages.
        need c++ g++
        need valgrind valgrind
        # Table engines read what is written; they come by pip. Spark runs on Java.
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
        need java default-jre-headless
        ;;
esac
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
    echo "please install: ${missing[*]}" >&2
    exit 1
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
