#!/usr/bin/env python3
"""Does a collector that reads nothing slow the sensor down? By turns with one that reads everything: what the sensor loses, and how long after a
frame the record that it completes arrives.

    tests/stalled.py PROGRAM CAPTURE [PAIRS] [FRAMES_A_SECOND] [FRAMES]

The capture (classic pcap, little-endian) should have many sessions with people typing (`inter` of `cargo bench --bench program`); the claims put all of
them where none can be, so that they raise alerts, and some thousand wait in the spool from the start. Among its frames are put small flows that end
with a reset: with --all-flows each is a record as soon as that frame was handled. Needs root, for a network namespace of its own, which is gone at the
end. Prints percentiles of both, and ends with 0 if no frame was dropped in either. A flow that was reset is told of some five seconds later, and the
sensor writes ten times a second: that is most of the first figures. The last is from its own metrics, without the five seconds.
"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone

PROGRAM, CAPTURE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
PAIRS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
RATE = sys.argv[4] if len(sys.argv) > 4 else "20000"
FRAMES = int(sys.argv[5]) if len(sys.argv) > 5 else 500_000
SPACE = f"kw-stalled-{os.getpid()}"
CLAIMS = """[sensor]
name = "tap"
place = "Seattle, US"
[[claim]]
identity = "everybody"
[[claim.match]]
client = ["0.0.0.0/0"]
[[claim.place]]
place = "Sydney, AU"
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def seconds(text):
    """Of RFC 3339 in UTC with nanoseconds."""
    whole, fraction = re.fullmatch(r"(.{19})\.(\d{9})Z", text).groups()
    return datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp() + int(fraction) / 1e9


def probe(number, flags):
    """A SYN or a reset of a flow of its own."""
    client = struct.pack(">BBBB", 10, 77, number >> 14 & 255, 1)
    ends = struct.pack(">HH", 20_000 + (number & 0x3FFF), 9)
    tcp = ends + struct.pack(">IIBBHHH", 1 + (flags == 4), 0, 0x50, flags, 1024, 0, 0)
    header = bytearray(struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), number & 0xFFFF, 0x4000, 64, 6, 0) + client + bytes([198, 51, 100, 9]))
    total = sum(struct.unpack(">10H", header))
    struct.pack_into(">H", header, 10, ~(total + (total >> 16)) & 0xFFFF)
    return bytes(12) + b"\x08\x00" + bytes(header) + tcp


def with_probes(path):
    """The capture's first frames, and a flow among each 20."""
    with open(CAPTURE, "rb") as source, open(path, "wb") as out:
        out.write(source.read(24))
        for number in range(FRAMES):
            head = source.read(16)
            if len(head) < 16:
                break
            out.write(head + source.read(struct.unpack("<I", head[8:12])[0]))
            if number % 20 == 0:
                for flags in (2, 4):
                    frame = probe(number // 20, flags)
                    out.write(head[:8] + struct.pack("<II", len(frame), len(frame)) + frame)


class Collector:
    """Accepts connections inside the namespace, and reads from them or does not."""

    def __init__(self, reads):
        code = (
            "import socket,sys,threading,time\n"
            "s=socket.socket();s.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,65536);s.bind(('127.0.0.1',0));s.listen();print(s.getsockname()[1],flush=True)\n"
            "def serve(c):\n"
            "    while READS and c.recv(65536): pass\n"
            "    time.sleep(3600)\n"
            "while True: threading.Thread(target=serve,args=(s.accept()[0],),daemon=True).start()\n"
        ).replace("READS", str(reads))
        command = ["ip", "netns", "exec", SPACE, sys.executable, "-c", code]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())


def latency():
    """The sensor's own histogram, from when a record became known to when it was written: the 99.9th percentile, inside its bucket by proportion."""
    code = "import urllib.request;print(urllib.request.urlopen('http://127.0.0.1:9720/metrics').read().decode())"
    page = subprocess.run(["ip", "netns", "exec", SPACE, sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    found = re.findall(r'keywitness_record_latency_seconds_bucket\{le="([^"]*)"\} (\d+)', page)
    buckets = [(float(end), int(count)) for end, count in found]
    wanted, before = 0.999 * buckets[-1][1], (0.0, 0)
    for end, count in buckets:
        if count >= wanted:
            return 1000 * (before[0] + (min(end, 20.0) - before[0]) * (wanted - before[1]) / (count - before[1]))
        before = (end, count)


def arm(reads, folder):
    collector = Collector(reads)
    spool = os.path.join(folder, f"spool-{time.monotonic_ns()}")
    claims = os.path.join(folder, "claims.toml")
    for _ in range(3):
        subprocess.run([PROGRAM, "analyze", "-q", "--claims", claims, "--spool", spool, "-o", "/dev/null", CAPTURE], check=True)
    options = ["-i", "tap", "--as-root", "--claims", claims, "--format", "ndjson", "--all-flows", "--report-every", "1s", "--metrics", "9720"]
    alerts = ["--spool", spool, "--alert-wait", "1s", "--alert-to", f"tcp://127.0.0.1:{collector.port}?resend=1s"]
    command = ["ip", "netns", "exec", SPACE, PROGRAM, "live", *options, *alerts]
    sensor = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in sensor.stderr:
        if "capturing on" in line:
            break
    threading.Thread(target=sensor.stderr.read, daemon=True).start()
    lags, summary = [], {}

    def hear():
        for line in sensor.stdout:
            now = time.time()
            if '"10.77.' in line:
                lags.append(now - seconds(re.search(r'"end":"([^"]*)"', line)[1]))
            elif '"record":"summary"' in line:
                summary.update(json.loads(line))

    listener = threading.Thread(target=hear)
    listener.start()
    subprocess.run(["ip", "netns", "exec", SPACE, PROGRAM, "replay", os.path.join(folder, "frames.pcap"), "-i", "out", "--pps", RATE, "-q"], check=True)
    time.sleep(8)
    own = latency()
    sensor.terminate()
    listener.join()
    sensor.wait()
    collector.process.kill()
    status = json.loads(subprocess.run([PROGRAM, "spool", "status", spool, "--format", "ndjson"], capture_output=True, check=True).stdout)
    subprocess.run(["rm", "-r", spool], check=True)
    lags.sort()
    at = {name: 1000 * lags[min(len(lags) - 1, int(part * len(lags)))] for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))}
    at["p99.9 of the sensor's own"] = own
    dropped = sum(summary["dropped"].values())
    waiting = status["destinations"][0]["waiting"]
    print(
        f"{'reads ' if reads else 'stalls'}  {len(lags)} records, {summary['packets']} frames, {dropped} dropped, {summary['alerts']} alerts, "
        f"{waiting} wait; " + ", ".join(f"{name} {value:.1f} ms" for name, value in at.items()),
        flush=True,
    )
    return at, dropped


ip("netns", "add", SPACE)
try:
    ip("-n", SPACE, "link", "set", "lo", "up")
    ip("-n", SPACE, "link", "add", "out", "type", "veth", "peer", "name", "tap")
    for end in ("out", "tap"):
        ip("-n", SPACE, "link", "set", end, "addrgenmode", "none", "mtu", "9000", "up")
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "claims.toml"), "w", encoding="utf-8") as file:
            file.write(CLAIMS)
        with_probes(os.path.join(folder, "frames.pcap"))
        results = [(arm(True, folder), arm(False, folder)) for _ in range(PAIRS)]
finally:
    ip("netns", "del", SPACE)
for name in results[0][0][0]:
    ratios = sorted(stalls[0][name] / reads[0][name] for reads, stalls in results)
    print(f"{name}: stalled by reading, median of {PAIRS} pairs {ratios[len(ratios) // 2]:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
sys.exit(any(stalls[1] or reads[1] for reads, stalls in results))
