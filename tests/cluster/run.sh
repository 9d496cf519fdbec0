#!/usr/bin/env bash
# Two nodes of the chat example and a Redis, with a page for each transport, spread over both by a balancer that knows no
# stickiness. Installs what is missing, as root, from Debian; without a redis-server that can be installed it says so and
# passes. Exits non-zero on any failure.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

missing=()
command -v redis-server > /dev/null || missing+=(redis-server)
command -v "${CHROMIUM:-chromium}" > /dev/null || missing+=(chromium)
command -v node > /dev/null || missing+=(nodejs)
command -v npm > /dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    apt-get update
    # A failure is told below. The service is not to be started: the test starts its own.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}" || true
fi
if ! command -v redis-server > /dev/null; then
    echo "SKIPPED: there is no redis-server here, and it cannot be installed" >&2
    exit 0
fi

cd "$here/../.."
cargo build --all-features --example chat
program=$(cd "${CARGO_TARGET_DIR:-target}/debug/examples" && pwd)/chat
cd tests/browser
npm ci --no-audit --no-fund
cd "$here"
node cluster.mjs "$program"
