#!/usr/bin/env bash
# Differential runs: random, mutated and valid frames, handshakes, heads, chunked bodies and event streams to examples/driver and to
# Python's websockets, wsproto and h11, node's ws and eventsource-parser. `run.sh [CASES [SEED [PAIR...]]]`: so many cases for each
# pair (20,000), those of a seed (1), of the pairs whose names have the words. Installs the peers here (npm, pip into venv/); not part of
# .ci/run. Each kind of difference has a rule, its reason and count; exits with 1 on one that no rule explains. COMPARE.md lists the rules.
# The last line is 'N passed, N failed'.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
cargo build --quiet --all-features --example driver
driver=$(cd "${CARGO_TARGET_DIR:-target}/debug/examples" && pwd)/driver

cd "$here"
[[ -d node_modules ]] || npm ci --no-audit --no-fund --silent
[[ -d venv ]] || python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
exec venv/bin/python differ.py "$driver" "${1:-20000}" "${2:-1}" "${@:3}"
