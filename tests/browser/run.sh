#!/usr/bin/env bash
# Builds the chat example and drives its page in headless Chromium. Installs what is missing: Chromium and Node from
# Debian (as root), playwright-core from npm. Leaves screenshots in out/. Exits non-zero on any failure.
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
cargo build --all-features --example chat
program=${CARGO_TARGET_DIR:-target}/debug/examples/chat
program=$(cd "$(dirname "$program")" && pwd)/chat

cd "$here"
npm ci --no-audit --no-fund
cd ../..
cargo build --all-features --example sse_server --example llm_proxy --example hyper_echo --example wss
# Here there is an engine to read the escaped texts.
NODE=node cargo test --quiet --all-features --test comet_script
cd "$here"
node sse.mjs "$(dirname "$program")"
node h2.mjs "$(dirname "$program")/hyper_echo"
node wss.mjs "$(dirname "$program")/wss"
node tls.mjs "$program"
node chat.mjs "$program"
