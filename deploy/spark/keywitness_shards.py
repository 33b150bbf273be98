#!/usr/bin/env python3
"""Analyse an archive of captures on a Spark cluster: `keywitness analyze --shard` is the map, `keywitness correlate` the reduce.

    spark-submit keywitness_shards.py --shards 64 --claims claims.toml --output results.ndjson /archive/day1.pcap /archive/day2.pcap

Every executor must have the program and see the captures under the same paths. The results are those of one `keywitness analyze`
of the same captures in the same order. Options behind `--` go to `analyze`, such as `-- --report-every 5m`.
"""

import argparse
import json
import subprocess
import sys
import tempfile

from pyspark.sql import SparkSession

# What begins a shard, what was observed, what ends it.
FIRST, MIDDLE, LAST = 0, 1, 2


def observe(program, options, captures, number, shards):
    """The lines of one shard, each with its place in the order of all."""
    words = [program, "analyze", "--emit", "observations", "--shard", f"{number}/{shards}", *options, "--", *captures]
    with tempfile.TemporaryFile() as complaints, subprocess.Popen(words, stdout=subprocess.PIPE, stderr=complaints) as run:
        for line in run.stdout:
            yield place(line), line
        # 3: an input could not be read to its end; the summary says which.
        if run.wait() not in (0, 3):
            complaints.seek(0)
            raise RuntimeError(f"shard {number}: {complaints.read().decode(errors='replace')}")


def place(line):
    parsed = json.loads(line)
    if "observation" in parsed:
        key = parsed["observation"]["key"]
        return MIDDLE, key["frame"], key["time"], key["session"], key["sequence"]
    return (FIRST if "shard" in parsed else LAST), 0, 0, 0, 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="+")
    parser.add_argument("--shards", type=int, default=8, help="1 to 256")
    parser.add_argument("--claims", help="claims file, where the driver runs")
    parser.add_argument("--keystrokes", action="store_true", help="a record for each keystroke too")
    parser.add_argument("--output", default="results.ndjson")
    parser.add_argument("--program", default="keywitness", help="where the program is")
    words, options = sys.argv[1:], []
    if "--" in words:
        at = words.index("--")
        words, options = words[:at], words[at + 1 :]
    args = parser.parse_args(words)
    keystrokes = ["--keystrokes"] if args.keystrokes else []
    program, shards, captures, options = args.program, args.shards, args.captures, options + keystrokes

    spark = SparkSession.builder.appName("keywitness").getOrCreate()
    numbers = spark.sparkContext.parallelize(range(1, shards + 1), shards)
    lines = numbers.flatMap(lambda number: observe(program, options, captures, number, shards)).sortByKey().values()

    words = [program, "correlate", "--format", "ndjson", "-o", args.output, *keystrokes]
    words += ["--claims", args.claims] if args.claims else []
    with subprocess.Popen(words, stdin=subprocess.PIPE) as run:
        # One partition after the other, in order: the driver holds one of them at a time.
        for line in lines.toLocalIterator():
            run.stdin.write(line)
        run.stdin.close()
        status = run.wait()
    spark.stop()
    sys.exit(status)


if __name__ == "__main__":
    main()
