#!/usr/bin/env bash
# Lets real readers (DuckDB, Polars, PyArrow, Spark) read what harshark writes. Says so when they cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:-target/release/harshark}
# What the machine has of its own, or what pip brings into a folder that `make clean` takes away.
venv=target/readers
python=$venv/bin/python
wanted=$(cat tests/readers/requirements.txt examples/spark/requirements.txt)
if ! command -v python3 >/dev/null; then
    echo "readers: no python3: skipped"
    exit 0
fi
if [ "$(cat $venv/installed 2>/dev/null)" != "$wanted" ]; then
    rm -rf $venv
    mkdir -p target
    if ! python3 -m venv $venv >$venv.log 2>&1 ||
        ! $python -m pip install -q --disable-pip-version-check wheel >>$venv.log 2>&1 ||
        ! $python -m pip install -q --disable-pip-version-check -r tests/readers/requirements.txt -r examples/spark/requirements.txt >>$venv.log 2>&1; then
        tail -n 3 $venv.log
        echo "readers: pip cannot install them: skipped"
        exit 0
    fi
    echo "$wanted" >$venv/installed
fi
$python tests/readers/readers.py "$bin" tests/data/*.pcapng
if ! command -v java >/dev/null; then
    echo "readers: no java: Spark skipped"
    exit 0
fi
$python tests/readers/spark.py "$bin" tests/data/*.pcapng
