#!/usr/bin/env bash
# Installs the Debian package and starts the sensor from it: tests/deb.sh PACKAGE.deb
#
# In a mount namespace with an overlay over the system and a network namespace of its own: nothing of it stays. Needs root, dpkg and the package's
# dependencies (libpcap0.8). There is no systemd in it: what the unit says is done by hand.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${IN_NAMESPACE:-}" ]; then
    [ -f "${1:-}" ] || { echo "usage: tests/deb.sh PACKAGE.deb" >&2; exit 2; }
    deb=$(readlink -f "$1")
    unshare --mount --net true 2>/dev/null || { echo "skipped: no namespaces here"; exit 0; }
    exec env IN_NAMESPACE=1 unshare --mount --net bash "$0" "$deb"
fi

fail() { echo "failed: $*" >&2; [ ! -f "$root/log" ] || tail -20 "$root/log" >&2; exit 1; }
wait_for() { # WHAT COMMAND…
    local what=$1
    shift
    for _ in $(seq 200); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    fail "$what did not come to pass"
}

mount --make-rprivate /
work=$(mktemp -d)
mount -t tmpfs -o size=256m tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
root=$work/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$root" || { echo "skipped: no overlays here"; exit 0; }
for folder in proc sys dev; do mount --rbind "/$folder" "$root/$folder"; done
mount -t tmpfs tmpfs "$root/run"
cp "$1" "$root/package.deb"
cp pcaps/ssh-far.pcap "$root/far.pcap"
ip link set lo up
ip link add out type veth peer name tap
ip link set out up
ip link set tap up
inside() { chroot "$root" "$@"; }

# No trace of another version.
inside dpkg --purge keywitness >/dev/null 2>&1 || true
inside dpkg --install /package.deb >"$work/dpkg" 2>&1 || { cat "$work/dpkg" >&2; fail "dpkg"; }
inside getent passwd keywitness | grep -q ':/usr/sbin/nologin$' || fail "the user"
expect() { [ "$(inside stat -c '%A %U %G' "$2")" = "$1" ] || fail "$2: $(inside stat -c '%A %U %G' "$2")"; }
expect 'drwxr-x--- root keywitness' /etc/keywitness
expect '-rw-r----- root keywitness' /etc/keywitness/keywitness.toml
expect 'drwx------ keywitness keywitness' /var/lib/keywitness
expect 'drwxr-x--- keywitness keywitness' /var/log/keywitness
expect '-rwxr-xr-x root root' /usr/bin/keywitness
for file in /usr/share/bash-completion/completions/keywitness /usr/share/zsh/vendor-completions/_keywitness \
    /usr/share/man/man1/keywitness-live.1.gz /usr/share/man/man1/keywitness-spool-status.1.gz /usr/share/doc/keywitness/siem.md \
    /usr/share/doc/keywitness/examples/receivers/rsyslog.conf /usr/share/doc/keywitness/schema/alert.json; do
    [ -s "$root$file" ] || fail "$file is missing"
done
inside bash -n /usr/share/bash-completion/completions/keywitness || fail "completions"
unit=$(find "$root/usr/lib/systemd/system" "$root/lib/systemd/system" -name keywitness.service 2>/dev/null | head -1)
[ -n "$unit" ] || fail "no unit"

# It does not start before it knows its interface, and says what is missing.
start=$(sed -n 's/^ExecStart=//; T; s/ *\$KEYWITNESS_OPTIONS//; p' "$unit")
# shellcheck disable=SC2206,SC2054 # words of a command line
as_the_unit=(chroot "$root" setpriv --reuid keywitness --regid keywitness --init-groups --bounding-set -all,+net_raw --inh-caps -all,+net_raw
    --ambient-caps -all,+net_raw --no-new-privs sh -c 'umask 0077; exec "$@"' sh $start)
status=0
"${as_the_unit[@]}" 2>"$root/log" || status=$?
[ "$status" = 2 ] && grep -q -- '--interface <IFACE>' "$root/log" || fail "without an interface: status $status"

sed -i 's/^#interface = .*/interface = ["tap"]/; s|^#claims = .*|claims = "/etc/keywitness/claims.toml"|; s/^learn = true/learn = false/' \
    "$root/etc/keywitness/keywitness.toml"
sed 's|203.0.113.8/30|203.0.113.0/24|' "$root/usr/share/doc/keywitness/examples/claims.toml.example" >"$root/etc/keywitness/claims.toml"
inside chown root:keywitness /etc/keywitness/claims.toml
inside chmod 640 /etc/keywitness/claims.toml
"${as_the_unit[@]}" 2>"$root/log" &
sensor=$!
trap 'kill "$sensor" 2>/dev/null || true' EXIT
get() { exec 3<>/dev/tcp/127.0.0.1/9720 && printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3 && cat <&3; }
ready() { get /readyz | grep -q '^ok'; }
wait_for "readiness" ready
inside keywitness replay /far.pcap -i out --topspeed -q || fail "replay"
records=$root/var/log/keywitness/records.ndjson
wait_for "a session" grep -q '"record":"session"' "$records"
counted() { get /metrics | grep -q '^keywitness_spool_accepted_total 1$'; }
wait_for "an alert in the spool" counted
if command -v logrotate >/dev/null; then # as the unit's user; there is no systemd to ask for the sensor
    inside logrotate --force --state /run/logrotate /etc/logrotate.d/keywitness || fail "logrotate"
    [ ! -e "$records" ] || fail "nothing was rotated"
    records=$(ls "$records"-*)
fi
kill -HUP "$sensor"
audited() { grep -q '"event":"reload"' "$root/var/lib/keywitness/audit.ndjson"; }
wait_for "a reload" audited
kill -TERM "$sensor"
status=0
wait "$sensor" || status=$?
[ "$status" = 0 ] || fail "status $status"
grep -q '"record":"alert"' "$records" || fail "no alert"
expect '-rw------- keywitness keywitness' /var/log/keywitness/records.ndjson
grep -q '"record":"summary"' "$root/var/log/keywitness/records.ndjson" || fail "the new file"
inside keywitness spool status /var/lib/keywitness/spool | grep -q '1 alerts' || fail "the spool"

inside dpkg --remove keywitness >/dev/null 2>&1 || fail "dpkg --remove"
[ -s "$records" ] && [ -s "$root/etc/keywitness/keywitness.toml" ] || fail "removing took records or configuration"
inside dpkg --purge keywitness >/dev/null 2>&1 || fail "dpkg --purge"
[ ! -e "$root/var/lib/keywitness" ] && [ ! -e "$root/etc/keywitness/keywitness.toml" ] || fail "purging left something"
echo "the package was installed, ran, and went"
