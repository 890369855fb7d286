#!/usr/bin/env bash
# Runs every fuzz target for a while, from seeds cut out of captures/: fuzz/run.sh [SECONDS [TARGET…]]
#
# Works on stable Rust: cargo-fuzz needs unstable compiler flags, which RUSTC_BOOTSTRAP=1 lets it use.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
shift || true

cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=${WSSCAN_FUZZ_TARGET_DIR:-$PWD/fuzz/target}

if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(cargo fuzz list); fi
python3 fuzz/seeds.py

# No sanitizer: the parsers hold no unsafe code, so panics, overflows and hangs are what there is to find. Without it
# building takes half the time and a target runs twice as often.
flags=(--sanitizer none --codegen-units 16)

# Everything is built before anything runs, so that a target that does not build is known at once.
cargo fuzz build "${flags[@]}"
for target in "${targets[@]}"; do
    echo "== fuzz $target, $seconds s"
    mkdir -p "fuzz/corpus/$target"
    cargo fuzz run "${flags[@]}" "$target" -- -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=16384 -verbosity=0 -print_final_stats=1 2>&1 |
        grep -vE '^(INFO|stat::(new|slowest))' || { echo "fuzz target $target found something; see fuzz/artifacts/$target" >&2; exit 1; }
done
