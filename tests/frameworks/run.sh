#!/usr/bin/env bash
# The frameworks' own clients against the examples, in headless Chromium and Node. Installs what is missing as
# tests/browser/run.sh does. `run.sh [NAME ...]` runs only the frameworks named. Exits non-zero on any failure.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

missing=()
command -v "${CHROMIUM:-chromium}" > /dev/null || missing+=(chromium)
command -v node > /dev/null || missing+=(nodejs)
command -v npm > /dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        echo "please install: ${missing[*]}" >&2
        exit 1
    fi
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"
fi

cd "$here/../.."
# Each is the name of an example and of the script that drives it; the room is that of the chat.
frameworks=(sockjs cometd pushlet atmosphere room)
[ $# -gt 0 ] && frameworks=("$@")
for framework in "${frameworks[@]}"; do
    cargo build --all-features --example "${framework/room/chat}"
done
examples=$(cd "${CARGO_TARGET_DIR:-target}/debug/examples" && pwd)
(cd tests/browser && npm ci --no-audit --no-fund)
cd "$here"
npm ci --no-audit --no-fund
for framework in "${frameworks[@]}"; do
    echo "-- $framework"
    node "$framework.mjs" "$examples"
done
