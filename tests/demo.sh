#!/usr/bin/env bash
# The demo's second half: the same capture through `tshark -z har`, and whether both HARs tell the same.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
plugin=target/release/libharshark.so
if ! command -v tshark >/dev/null; then
    echo "tshark is not installed: its half of the demo is skipped"
    exit 0
fi
version=$(tshark --version 2>/dev/null | sed -nE '1s/.* ([0-9]+\.[0-9]+)\..*/\1/p')
case $version in
    4.0 | 4.4 | 4.6) ;;
    *)
        echo "tshark $version: the plugin is not proven with this version, so its half of the demo is skipped"
        exit 0
        ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/home/.local/lib/wireshark/plugins/$version/epan"
cp "$plugin" "$work/home/.local/lib/wireshark/plugins/$version/epan/harshark.so"
cp "tests/data/$name.pcapng" "$work/"
# Wireshark ignores personal plugins when root runs it.
as_user=()
if [ "$(id -u)" -eq 0 ]; then
    chmod -R a+rwX "$work"
    as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
echo "$ tshark -q -r tests/data/$name.pcapng -z har,target/demo/$name.tshark.har"
(cd "$work" && HOME=$work/home XDG_CONFIG_HOME=$work/home/.config "${as_user[@]}" \
    tshark -q -r "$name.pcapng" -z "har,$work/$name.har")
cp "$work/$name.har" "target/demo/$name.tshark.har"
python3 - "target/demo/$name.har" "target/demo/$name.tshark.har" <<'PY'
import json
import sys

ours, theirs = (json.load(open(path, encoding="utf-8"))["log"]["entries"] for path in sys.argv[1:])
if ours != theirs:
    sys.exit("the two HARs differ")
print(f"both HARs hold the same {len(ours)} entries")
PY
