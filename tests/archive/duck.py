"""Prints what tests/archive.rs asks for, a row a session, as DuckDB reads it. Ends with 77 where there is no DuckDB (`pip install duckdb`)."""
import json
import sys

try:
    import duckdb
except ImportError:
    print("no duckdb")
    sys.exit(77)

files = sys.argv[1] + "/*/*.parquet"
db = duckdb.connect()
types = dict(db.execute("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet(?))", [files]).fetchall())
assert types["start"] == "TIMESTAMP WITH TIME ZONE" and types["day"] == "DATE" and types["details"] == "JSON", types
assert types["duration_ms"] == "DOUBLE" and types["client"].startswith("STRUCT(ip VARCHAR"), types

# A day that is asked for is the only one that is opened.
one = db.execute("SELECT min(day) FROM read_parquet(?)", [files]).fetchone()[0]
plan = db.execute(f"EXPLAIN ANALYZE SELECT sum(duration_ms) FROM read_parquet(?) WHERE day = DATE '{one}'", [files]).fetchone()[1]
assert "Total Files Read: 1" in plan, plan

rows = db.execute("""
    SELECT session_id, day::VARCHAR, epoch_us("start"), server.port, rtt.client.floor_ms, midstream, keystrokes.interval_ms.p50,
           details->>'server_version', json_array_length(findings)
    FROM read_parquet(?)""", [files])
names = ["session_id", "day", "start", "port", "floor_ms", "midstream", "p50", "version", "findings"]
for row in rows.fetchall():
    print(json.dumps(dict(zip(names, row))))
