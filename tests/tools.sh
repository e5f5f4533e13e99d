#!/usr/bin/env bash
# Installs what building and testing need and the machine lacks. Quiet when nothing is missing.
set -euo pipefail
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need cc gcc
need python3 python3
# The plugin's tests run it in real hosts; without these they skip and say so.
need tshark tshark
need wireshark wireshark
need Xvfb xvfb
need xdotool xdotool
need setpriv util-linux
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
    echo "please install: ${missing[*]}" >&2
    exit 1
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
