"""Prints what tests/archive.rs asks for, a row a session, as Spark reads it."""
import json
import sys

from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
spark.read.parquet(sys.argv[1]).createOrReplaceTempView("sessions")
rows = spark.sql("""
    SELECT session_id, string(day) AS day, unix_micros(start) AS start, server.port AS port, rtt.client.floor_ms AS floor_ms, midstream,
           keystrokes.interval_ms.p50 AS p50, get_json_object(details, '$.server_version') AS version,
           json_array_length(findings) AS findings
    FROM sessions""")
for row in rows.collect():
    print(json.dumps(row.asDict()))
