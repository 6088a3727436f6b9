#!/usr/bin/env bash
# Installs what the interop tests need into ignored folders, then runs the whole suite.
# Arguments go to the test runner: tests/run.sh interop
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

say() { printf '== %s\n' "$*" >&2; }

need() {
  command -v "$1" >/dev/null || {
    say "$1 is missing: the interop tests need $2. Without them: cargo test"
    exit 1
  }
}

# Runs a command unless the stamp says that it ran for the same bytes of the named file.
once() {
  local stamp=$1 file=$2
  shift 2
  if [ -f "$stamp" ] && cmp -s "$stamp" "$file"; then return; fi
  "$@"
  cp "$file" "$stamp"
}

install_venv() {
  say "installing the Python SDK and VADER into tests/interop/.venv"
  rm -rf tests/interop/.venv
  python3 -m venv tests/interop/.venv
  tests/interop/.venv/bin/python -m pip install --quiet --disable-pip-version-check \
    -r tests/interop/requirements.txt
}

install_npm() {
  say "installing npm packages into $1/node_modules"
  npm ci --prefix "$1" --no-audit --no-fund --loglevel=error
}

need cargo "Rust"
need python3 "Python 3.10 or later with venv"
need npm "Node 20 or later with npm"

once tests/interop/.venv/installed.txt tests/interop/requirements.txt install_venv
for folder in tests/interop contracts; do
  once "$folder/node_modules/.installed.json" "$folder/package-lock.json" install_npm "$folder"
done
# The lock file names the binary for Linux on x64; elsewhere npm picks the one that fits.
if [ ! -x tests/interop/node_modules/.bin/anvil ]; then
  say "installing anvil for this platform"
  npm install --prefix tests/interop --no-save --no-package-lock --no-audit --no-fund \
    --loglevel=error @foundry-rs/anvil@1.7.1
fi
if [ ! -f tests/interop/.data/reviews.csv ]; then
  say "extracting the review snippets into tests/interop/.data"
  tests/interop/.venv/bin/python tests/interop/vader_data.py tests/interop/.data/reviews.csv
fi

# Under this, a missing tool is a failure and not a test that says that it did not run.
export OGFLOW_INTEROP=1
if cargo nextest --version >/dev/null 2>&1; then
  if [ $# -eq 0 ]; then cargo test --doc; fi
  cargo nextest run --profile ci "$@"
else
  say "cargo-nextest is not installed: running cargo test"
  cargo test "$@"
fi
