#!/usr/bin/env bash
# Makes the Debian package: deploy/package.sh [FOLDER]. Needs the Rust toolchain, libpcap-dev and cargo-deb (cargo install cargo-deb --locked).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-${CARGO_TARGET_DIR:-target}/debian}
target=${CARGO_TARGET_DIR:-target}

cargo build --release --locked
program=$target/release/keywitness

# Completions and manual pages come from the program itself; Cargo.toml names them where cargo-deb finds them.
made=$target/release/package
rm -rf "$made" && mkdir -p "$made/man" "$made/completions"
"$program" completions bash >"$made/completions/keywitness"
"$program" completions zsh >"$made/completions/_keywitness"
"$program" completions fish >"$made/completions/keywitness.fish"
page() { "$program" man "$@" | gzip -9n >"$made/man/$(IFS=-; echo "keywitness${*:+-$*}").1.gz"; }
page
for command in analyze live judge claims 'claims check' spool 'spool status' replay doctor schema completions man; do
    # shellcheck disable=SC2086 # a command of two words is two words
    page $command
done

mkdir -p "$out"
cargo deb --no-build --output "$out"
