#!/usr/bin/env bash
# The figures of the README's benchmark section, measured on this machine: benches/run.sh
# Needs what tests/run.sh installs. Builds with optimisation; nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x tests/interop/.venv/bin/python ] || { echo "run tests/run.sh once: it installs what this needs" >&2; exit 1; }
cargo build --release --locked
exec tests/interop/.venv/bin/python benches/run.py "${CARGO_TARGET_DIR:-target}/release/ogflow" "$@"
