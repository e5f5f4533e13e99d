#!/usr/bin/env python3
"""DuckDB, Polars and PyArrow read what harshark writes, and find in it what the HARs hold.

usage: readers.py HARSHARK CAPTURE...

Each reader counts the entries, finds the ten slowest and joins them with a table of hosts: from Parquet and from lines of
JSON, of all captures together.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.json as pj

# A table of one's own, to join with.
TEAMS = {"app.test": "front", "api.test": "back", "cdn.test": "edge", "shop.example": "shop"}


def convert(harshark, captures, folder):
    """Writes every capture in every format."""
    for capture in captures:
        for form in ("har", "ndjson", "parquet"):
            out = folder / f"{capture.stem}.{form}"
            subprocess.run([harshark, "-q", capture, "--format", form, "-o", out], check=True)


def rank(rows):
    """The ten slowest of (url, time, status); those without a response have no status."""
    rows = [(url, float(time), None if status is None else int(status)) for url, time, status in rows]
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:10]


def total(rows):
    """Entries and milliseconds by team."""
    return {team: (int(count), round(float(time), 3)) for team, count, time in rows}


def from_hars(folder):
    """What the readers must find: plain Python over the HARs."""
    entries = [entry for path in folder.glob("*.har") for entry in json.loads(path.read_bytes())["log"]["entries"]]
    slowest = rank((e["request"]["url"], e["time"], e["response"]["status"] or None) for e in entries)
    teams = {}
    for entry in entries:
        team = TEAMS[urlsplit(entry["request"]["url"]).hostname]
        count, time = teams.get(team, (0, 0.0))
        teams[team] = (count + 1, time + entry["time"])
    return len(entries), slowest, total((team, *both) for team, both in teams.items())


def with_duckdb(folder):
    """Both forms in SQL; all types are inferred."""
    base = duckdb.connect()
    base.execute("create table teams (host varchar, team varchar)")
    base.executemany("insert into teams values (?, ?)", list(TEAMS.items()))
    base.execute(f"create view parquet as select url, time, status, host from '{folder}/*.parquet'")
    base.execute(rf"""
        create view ndjson as
        select request.url as url, time, nullif(response.status, 0) as status,
               regexp_extract(request.url, '^[a-z]+://([^/:?]*)', 1) as host
        from read_json_auto('{folder}/*.ndjson')""")
    for form in ("parquet", "ndjson"):
        count = base.sql(f"select count(*) from {form}").fetchall()[0][0]
        slowest = base.sql(f"select url, time, status from {form} order by time desc, url limit 10").fetchall()
        teams = base.sql(f"select team, count(*), sum(time) from {form} join teams using (host) group by team").fetchall()
        yield form, (count, rank(slowest), total(teams))


def with_polars(folder):
    """Lines need the types of what is asked for: Polars takes types from the first file and the first lines."""
    asked = {
        "time": pl.Float64,
        "request": pl.Struct({"url": pl.String}),
        "response": pl.Struct({"status": pl.Int64}),
    }
    url = pl.col("request").struct.field("url")
    status = pl.col("response").struct.field("status")
    lines = pl.scan_ndjson(sorted(folder.glob("*.ndjson")), schema=asked).select(
        "time", url=url, host=url.str.extract(r"^[a-z]+://([^/:?]*)"), status=pl.when(status != 0).then(status)
    )
    teams = pl.LazyFrame({"host": list(TEAMS), "team": list(TEAMS.values())})
    for form, table in (("parquet", pl.scan_parquet(folder / "*.parquet")), ("ndjson", lines)):
        count = table.select(pl.len()).collect().item()
        slowest = table.sort("time", "url", descending=[True, False]).select("url", "time", "status").head(10)
        joined = table.join(teams, on="host").group_by("team").agg(pl.len(), pl.col("time").sum())
        yield form, (count, rank(slowest.collect().rows()), total(joined.collect().rows()))


def with_pyarrow(folder):
    """Tables in memory."""
    parquet = ds.dataset([str(path) for path in folder.glob("*.parquet")]).to_table(["url", "time", "status", "host"])
    asked = pa.schema(
        [
            ("time", pa.float64()),
            ("request", pa.struct([("url", pa.string())])),
            ("response", pa.struct([("status", pa.int64())])),
        ]
    )
    options = pj.ParseOptions(explicit_schema=asked, unexpected_field_behavior="ignore")
    lines = pa.concat_tables(pj.read_json(path, parse_options=options) for path in folder.glob("*.ndjson"))
    url = pc.struct_field(lines["request"], "url")
    status = pc.struct_field(lines["response"], "status")
    host = pc.struct_field(pc.extract_regex(url, r"^[a-z]+://(?P<host>[^/:?]*)"), "host")
    status = pc.if_else(pc.equal(status, 0), None, status)
    lines = pa.table({"url": url, "time": lines["time"], "status": status, "host": host})
    teams = pa.table({"host": list(TEAMS), "team": list(TEAMS.values())})
    for form, table in (("parquet", parquet), ("ndjson", lines)):
        slowest = table.sort_by([("time", "descending"), ("url", "ascending")]).slice(0, 10).to_pylist()
        joined = table.join(teams, "host", join_type="inner").group_by("team").aggregate([("url", "count"), ("time", "sum")])
        yield form, (
            table.num_rows,
            rank((row["url"], row["time"], row["status"]) for row in slowest),
            total((row["team"], row["url_count"], row["time_sum"]) for row in joined.to_pylist()),
        )


def main():
    harshark, captures = sys.argv[1], [Path(path) for path in sys.argv[2:]]
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        convert(harshark, captures, folder)
        wanted = from_hars(folder)
        for reader, read in (("DuckDB", with_duckdb), ("Polars", with_polars), ("PyArrow", with_pyarrow)):
            for form, found in read(folder):
                if found == wanted:
                    print(f"readers: {reader} reads {form}: {found[0]} entries, the slowest {found[1][0][0]}")
                else:
                    failed = True
                    print(f"readers: {reader} DIFFERS on {form}:\n  wanted {wanted}\n  found  {found}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
