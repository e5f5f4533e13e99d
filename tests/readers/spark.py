#!/usr/bin/env python3
"""The example in examples/spark finds what one run over all captures finds.

usage: spark.py HARSHARK CAPTURE...
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "spark" / "slowest.py"
WORKERS = 3


def rank(rows):
    """All entries, slowest first, without the members that are null."""
    rows = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return sorted(rows, key=lambda row: (-row["time"], row["url"], row.get("status", 0)))


def run(harshark, folder, by, out):
    """What the example prints, from the slowest on."""
    words = [sys.executable, EXAMPLE, folder, "--by", by, "--workers", str(WORKERS), "--harshark", harshark, "--out", out]
    done = subprocess.run([*words, "--json", "--most", "100000"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"readers: the example failed:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    harshark, given = str(Path(sys.argv[1]).resolve()), [Path(path).resolve() for path in sys.argv[2:]]
    help_text = subprocess.run([harshark, "--help"], check=True, capture_output=True, text=True).stdout
    parts = {"files": len(given)}
    if "--shard" in help_text:
        parts["shards"] = WORKERS
    else:
        print("readers: this harshark has no --shard: only files are spread")
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "captures"
        folder.mkdir()
        for capture in given:
            (folder / capture.name).symlink_to(capture)
        single = Path(name) / "single.parquet"
        subprocess.run([harshark, "-q", *sorted(folder.iterdir()), "--format", "parquet", "-o", single], check=True)
        wanted = rank(pq.read_table(single, columns=["url", "time", "status", "host"]).to_pylist())
        for by, count in parts.items():
            out = Path(name) / by
            out.mkdir()
            found = run(harshark, folder, by, out)
            is_ordered = [row["time"] for row in found] == [row["time"] for row in wanted]
            if is_ordered and rank(found) == wanted and len(list(out.iterdir())) == count:
                print(f"readers: Spark, {count} {by}: {len(found)} entries as in one run, the slowest {found[0]['url']}")
            else:
                failed = True
                print(f"readers: Spark by {by} DIFFERS from one run: {len(found)} entries of {len(wanted)}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
