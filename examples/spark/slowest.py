#!/usr/bin/env python3
"""The slowest URLs of a folder of captures, with the work spread over Spark's workers.

usage: slowest.py FOLDER [--by files|shards] [--workers N] [--harshark COMMAND] [--out FOLDER] [--most N] [--json]

Each task runs one harshark, which writes one Parquet file; Spark reads all of them as one table.

  --by files   each file is a task: right when no connection spans two files
  --by shards  each task reads all files and keeps its share of the connections: right for rotated captures

On a cluster, FOLDER and --out lie on storage that all workers see, harshark is installed on each, and the master comes from
spark-submit. Without one, Spark runs on this machine.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from pyspark import SparkConf
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

ENDINGS = (".pcap", ".pcapng", ".cap", ".gz", ".zst", ".lz4")


def captures(folder):
    """The captures of a folder, in the order of their names."""
    return sorted(str(path) for path in Path(folder).iterdir() if path.suffix in ENDINGS)


def shard(index, count):
    """How harshark writes the share of worker `index`, counted from 0, of `count`."""
    return f"{index + 1}/{count}"


def tasks(files, by, workers):
    """What each task hands to harshark, behind the name of its output."""
    if by == "files":
        return [(f"file-{index:04}", [file]) for index, file in enumerate(files)]
    return [(f"shard-{index:04}", [*files, "--shard", shard(index, workers)]) for index in range(workers)]


def convert(task, harshark, out):
    """Runs one harshark. Its output gets its name when it is whole, so a task that Spark repeats does no harm."""
    name, words = task
    path = f"{out}/{name}.parquet"
    done = subprocess.run([harshark, "-q", *words, "--format", "parquet", "-o", path], stderr=subprocess.PIPE, text=True)
    # 1: the capture is damaged; what could be read is written.
    if done.returncode > 1:
        raise RuntimeError(f"harshark {' '.join(words)}: {done.stderr}")
    return path


def table(spark, folder, by, workers, harshark, out):
    """One table of all entries of the captures in a folder."""
    work = tasks(captures(folder), by, workers)
    if not work:
        raise SystemExit(f"{folder}: no captures")
    paths = spark.sparkContext.parallelize(work, len(work)).map(lambda task: convert(task, harshark, out)).collect()
    return spark.read.parquet(*paths)


def slowest(entries, most=10):
    """The slowest entries; those that are equally slow in a fixed order."""
    return entries.orderBy(F.desc("time"), "url", "started").select("url", "time", "status", "host").limit(most)


def session(workers):
    """Spark as it was submitted, else on this machine."""
    builder = SparkSession.builder.appName("harshark").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.session.timeZone", "UTC")
    if not SparkConf().contains("spark.master"):
        builder = builder.master(f"local[{workers}]")
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def main():
    parser = argparse.ArgumentParser(description="The slowest URLs of a folder of captures")
    parser.add_argument("folder")
    parser.add_argument("--by", choices=["files", "shards"], default="files")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--harshark", default="harshark")
    parser.add_argument("--out")
    parser.add_argument("--most", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print one JSON text a line instead of a table")
    args = parser.parse_args()
    spark = session(args.workers)
    with tempfile.TemporaryDirectory() as temporary:
        entries = table(spark, args.folder, args.by, args.workers, args.harshark, args.out or temporary).cache()
        found = slowest(entries, args.most)
        if args.json:
            print(*found.toJSON().collect(), sep="\n")
        else:
            print(f"{entries.count()} entries")
            found.show(args.most, truncate=False)
    spark.stop()


if __name__ == "__main__":
    main()
