#!/usr/bin/env bash
# Checks against ground truths and public captures, when they lie beside the checkout in ../shared. Says so when they do not.
set -euo pipefail
cd "$(dirname "$0")/.."
shared=${HARSHARK_SHARED:-../shared}
bin=$PWD/target/release/harshark
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ ! -d "$shared/truth" ]; then
    echo "outside: no $shared/truth: ground truths skipped"
    exit 0
fi
failed=0
while read -r name; do
    capture=$(echo "$shared/truth/$name"/capture.*)
    status=0
    "$bin" -q "$capture" -o "$work/$name.har" || status=$?
    if [ $status -le 1 ] && python3 "$shared/tools/compare_truth.py" "$shared/truth/$name/truth.json" "$work/$name.har" >"$work/$name.txt" 2>&1; then
        echo "outside: $name agrees with its ground truth"
    else
        echo "outside: $name DIFFERS (exit $status)"
        tail -n 30 "$work/$name.txt" || true
        failed=1
    fi
done <tests/truths.txt
exit $failed
