#!/usr/bin/env bash
# The official Socket.IO and Engine.IO clients against the example: socket.io-client 4.8, 4.0 and 3.1 and engine.io-client in
# node, 4.8 in Chromium, python-socketio; what is on the wire, request by request; many clients at once; two nodes that share a
# Redis, where there is a redis-server; and our client against npm's socket.io. Installs what it needs here (npm, pip into venv/). LONG=1: with as many clients as are claimed.
# The last line is 'N passed, N failed'.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
cargo build --quiet --all-features --example socketio
cargo test --quiet --all-features --test socketio_client --no-run
program=$(cd "${CARGO_TARGET_DIR:-target}/debug/examples" && pwd)/socketio

cd "$here"
[[ -d node_modules ]] || npm ci --no-audit --no-fund --silent
[[ -d venv ]] || python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt

passed=0 failed=0 log=$(mktemp -d) pid= official=
trap 'kill $pid $official 2> /dev/null || true; rm -rf "$log"' EXIT

# OPTION...: the example, and where it is ($url).
serve() {
    if [[ -n $pid ]]; then
        kill "$pid"
        wait "$pid" 2> /dev/null || true
    fi
    : > "$log/server"
    "$program" --listen 127.0.0.1:0 "$@" > "$log/server" 2> "$log/errors" &
    pid=$!
    for _ in {1..100}; do
        url=$(head -n 1 "$log/server")
        [[ -z $url ]] || return 0
        sleep 0.05
    done
    return 1
}

# NAME COMMAND...: counts it.
try() {
    local name=$1
    shift
    if timeout 400 "$@" > "$log/out" 2>&1; then
        passed=$((passed + 1))
        printf 'passed: %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n' "$name"
        tail -n 30 "$log/out"
    fi
}

serve --ping-interval 300 --ping-timeout 200 --connect-timeout 1000
try "the wire" node wire.mjs "$url"
serve
try "socket.io-client 4.8" node clients.mjs "$url" 4
try "python-socketio" venv/bin/python client.py "$url"
try "clients upgrade at once" node load.mjs upgrade "$url"
serve --max-attachments 20 --max-payload 20000000
try "socket.io-client 4.0, 20 attachments, 10 MB" node clients.mjs "$url" 4.0 20 large
try "socket.io-client 3.1, 20 attachments, 10 MB" node clients.mjs "$url" 3 20 large
serve --recovery 60000
try "recovery" node recovery.mjs "$url"
try "cuts of random length" node load.mjs jitter "$url"
try "all come back at once" node load.mjs avalanche "$url"
if command -v redis-server > /dev/null; then
    try "two nodes at a Redis" node cluster.mjs "$program"
else
    echo "no redis-server: two nodes left out"
fi
port=$(node -e 's=require("net").createServer().listen(0,()=>{console.log(s.address().port);s.close()})')
serve --allow-origin "http://127.0.0.1:$port"
try "socket.io-client 4.8 in Chromium" node browser.mjs "$url" "$port"

# OPTION...: npm's socket.io, and where it is ($url).
reference() {
    : > "$log/reference"
    node server.mjs "$@" > "$log/reference" &
    official="$official $!"
    for _ in {1..100}; do
        url=$(head -n 1 "$log/reference")
        [[ -z $url ]] || return 0
        sleep 0.05
    done
    return 1
}
reference
export SOCKETIO_URL=$url/
reference 60000
export SOCKETIO_RECOVERY_URL=$url/
try "our client against npm's socket.io" bash -c 'cd ../.. && cargo test --quiet --all-features --test socketio_client -- --ignored'

printf '%s passed, %s failed\n' "$passed" "$failed"
[[ $failed == 0 ]]
