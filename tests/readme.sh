#!/usr/bin/env bash
# Runs every command of README.md's `sh` blocks, in order, in a copy of the tracked files.
# `tests/run.sh` is left out: whoever calls this runs it, too. With README_DEBUG=1 `--release` is left out as
# well: what the commands show is the same, and a debug build is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
profile=release
if [ -n "${README_DEBUG:-}" ]; then profile=debug; fi
export PATH="$CARGO_TARGET_DIR/$profile:$PATH"

# The lines between ```sh and ```; a block is one script, so that `cd` holds until its end.
awk '/^```sh$/ { inside = 1; number += 1; next }
     /^```$/   { inside = 0; next }
     inside && $0 != "tests/run.sh" && $0 !~ /^git clone / {
       print > (folder "/" sprintf("%03d", number) ".sh")
     }' folder="$copy" README.md
if [ "$profile" = debug ]; then sed -i 's/^cargo run --release /cargo run /' "$copy"/[0-9][0-9][0-9].sh; fi

shopt -s nullglob
ran=0
for script in "$copy"/[0-9][0-9][0-9].sh; do
  printf '== README.md:\n' >&2
  sed 's/^/     $ /' "$script" >&2
  (cd "$copy" && bash -euo pipefail "$script")
  ran=$((ran + 1))
done
[ "$ran" -gt 0 ] || { echo "README.md has no sh block" >&2; exit 1; }
printf '== %s blocks of README.md ran\n' "$ran" >&2
