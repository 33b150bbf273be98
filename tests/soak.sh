#!/usr/bin/env bash
# A soak: captures are replayed over a veth pair into the sensor, for minutes or days, and nothing may be lost or grow.
#
#   tests/soak.sh [MINUTES] [FRAMES_A_SECOND] [CAPTURE...]
#
# By default 30 minutes of 20,000 frames a second, of the capture `mix` that `cargo bench --bench program` makes (found in
# target/bench-captures), else of those in pcaps/. KEYWITNESS names the program (by default target/release/keywitness), and
# SOAK_OPTIONS holds more options for the sensor. Needs root, for a network namespace of its own, which is gone at the end.
#
# Ends with 0 only if every frame that was sent was captured and analysed, none was dropped, and the sensor's resident memory
# in the last quarter of the time was at most a tenth (and 8 MiB) above that in the second quarter.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-30} rate=${2:-20000}
shift $(($# < 2 ? $# : 2))
program=${KEYWITNESS:-target/release/keywitness}
captures=("$@")
if [ ${#captures[@]} -eq 0 ]; then
    captures=(target/bench-captures/mix*.pcap)
    [ -e "${captures[0]}" ] || captures=(pcaps)
fi
[ -x "$program" ] || { echo "$program is not there: cargo build --release" >&2; exit 2; }

space=kw-soak-$$
folder=$(mktemp -d)
sensor=
clean_up() {
    [ -z "$sensor" ] || kill -9 "$sensor" 2>/dev/null || true
    ip netns del "$space" 2>/dev/null || true
    rm -rf "$folder"
}
trap clean_up EXIT

ip netns add "$space"
ip -n "$space" link set lo up
ip -n "$space" link add out type veth peer name tap
for end in out tap; do
    ip -n "$space" link set "$end" addrgenmode none
    ip -n "$space" link set "$end" mtu 9000 up
done

# shellcheck disable=SC2086 # several options
ip netns exec "$space" "$program" -v live --as-root -i tap --format ndjson ${SOAK_OPTIONS:-} \
    2>"$folder/log" > >(exec grep '"record":"summary"' >"$folder/summary") &
sensor=$!
for _ in $(seq 100); do
    grep -q "capturing on" "$folder/log" && break
    kill -0 "$sensor" || { cat "$folder/log" >&2; exit 2; }
    sleep 0.1
done

# Resident memory in KiB, and processor time in hundredths of a second.
resident() { awk '/^VmRSS:/ { print $2 }' "/proc/$sensor/status"; }
processor() { awk '{ print $14 + $15 }' "/proc/$sensor/stat"; }
sent() { ip netns exec "$space" cat /sys/class/net/out/statistics/tx_packets; }

begun=$(date +%s)
end=$((begun + minutes * 60))
send() {
    while [ "$(date +%s)" -lt "$end" ]; do
        ip netns exec "$space" timeout --signal=INT $((end - $(date +%s) + 1)) \
            "$program" replay "${captures[@]}" -i out --pps "$rate" --progress never >>"$folder/sender" 2>&1 || true
    done
}
send &
sender=$!

echo "seconds resident_mib processor_percent"
before=$(processor) last=$begun
while kill -0 "$sender" 2>/dev/null; do
    sleep 5
    kill -0 "$sensor" 2>/dev/null || { echo "the sensor has ended" >&2; cat "$folder/log" >&2; exit 1; }
    now=$(date +%s) used=$(processor) memory=$(resident)
    echo "$((now - begun)) $memory" >>"$folder/samples"
    if [ $(((now - begun) / 30)) -ne $(((last - begun) / 30)) ]; then
        echo "$((now - begun)) $((memory / 1024)) $(((used - before) / (now - last)))"
        before=$used last=$now
    fi
done
wait "$sender" || true
total=$(processor)
sleep 1
kill -TERM "$sensor"
wait "$sensor" || { echo "the sensor ended with $?" >&2; cat "$folder/log" >&2; exit 1; }
sensor=
for _ in $(seq 100); do [ -s "$folder/summary" ] && break; sleep 0.1; done

field() { grep -o "\"$1\":[0-9]*" "$folder/summary" | head -1 | cut -d: -f2; }
sent=$(sent)
captured=$(field packets)
lost=$(grep -o '"dropped":{[^}]*}' "$folder/summary" | grep -o ':[0-9]*' | tr -d : | awk '{ sum += $1 } END { print sum + 0 }')
most() { awk -v from="$1" -v to="$2" -v all=$((minutes * 60)) \
    '$1 >= all * from && $1 < all * to && $2 > most { most = $2 } END { print most + 0 }' "$folder/samples"; }
second=$(most 0.25 0.5) fourth=$(most 0.75 1.1)
echo "sent $sent, captured $captured, dropped $lost; resident $((second / 1024)) MiB, at the end $((fourth / 1024)) MiB;" \
    "processor $((total / minutes / 60)) % of one"
cat "$folder/summary"

[ "$sent" -gt 0 ] || { echo "nothing was sent" >&2; cat "$folder/sender" >&2; exit 1; }
[ "$sent" -eq "$captured" ] && [ "$lost" -eq 0 ] || { echo "frames were lost" >&2; cat "$folder/log" >&2; exit 1; }
[ "$fourth" -le $((second + second / 10 + 8192)) ] || { echo "memory grew" >&2; exit 1; }
