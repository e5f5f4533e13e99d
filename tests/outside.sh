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
    options=()
    # A pcapng holds its secrets itself.
    if [ "${capture##*.}" != pcapng ] && [ -f "$shared/truth/$name/keys.log" ]; then
        options=(--keylog "$shared/truth/$name/keys.log")
    fi
    status=0
    "$bin" -q "$capture" "${options[@]}" -o "$work/$name.har" 2>"$work/$name.err" || status=$?
    if [ $status -le 1 ] && python3 "$shared/tools/compare_truth.py" "$shared/truth/$name/truth.json" "$work/$name.har" >"$work/$name.txt" 2>&1; then
        echo "outside: $name agrees with its ground truth"
    else
        echo "outside: $name DIFFERS (exit $status)"
        tail -n 30 "$work/$name.err" "$work/$name.txt" || true
        failed=1
    fi
done <tests/truths.txt

# The number of threads changes no byte.
differing=0
for capture in "$shared"/truth/*/capture.* "$shared"/corpus/captures/*; do
    "$bin" -q -j 1 "$capture" -o "$work/one" 2>/dev/null || true
    "$bin" -q -j 3 "$capture" -o "$work/three" 2>/dev/null || true
    cmp -s "$work/one" "$work/three" || { echo "outside: $capture DIFFERS with three threads"; differing=1; }
    rm -f "$work/one" "$work/three"
done
[ $differing -eq 0 ] && echo "outside: one thread and three give the same"
failed=$((failed | differing))

# Public captures: what is expected is found, and nothing crashes or writes an invalid HAR.
mkdir "$work/corpus" "$work/hostile"
python3 "$shared/tools/run_corpus.py" "$bin -q {capture} {keyopt:--keylog} -o {out}" --set "$shared/corpus" --work "$work/corpus" \
    --json "$work/corpus.json" >"$work/corpus.txt"
tail -n 4 "$work/corpus.txt"
tar xJf "$shared/corpus/malformed-dev.tar.xz" -C "$work/hostile"
python3 "$shared/tools/run_corpus.py" "$bin -q {capture} -o {out}" --set "$(dirname "$(find "$work/hostile" -name manifest.json | head -n 1)")" \
    --work "$work/corpus" --json "$work/hostile.json" >"$work/hostile.txt"
tail -n 1 "$work/hostile.txt"
# Each of them in less than 64 MiB.
python3 tests/peak.py "$bin" 64 "$work/hostile" || failed=1
python3 - "$work/corpus.json" "$work/hostile.json" <<'PY' || failed=1
import json
import sys

runs = [run for path in sys.argv[1:] for runs in json.load(open(path)).values() for run in runs]
bad = [run["file"] for run in runs if run["result"] not in ("ok", "clean-error")]
expected = sum(run["score"]["expected"] for run in runs if "score" in run)
matched = sum(run["score"]["matched"] for run in runs if "score" in run)
if bad:
    print("outside: no clean end:", *bad)
if matched < 0.99 * expected:
    print(f"outside: only {matched} of {expected} exchanges found")
sys.exit(bool(bad) or matched < 0.99 * expected)
PY
exit $failed
