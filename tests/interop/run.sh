#!/usr/bin/env bash
# Echoes messages over loopback between this crate and others, compressed: node's ws and Python's websockets in both
# roles, Chromium as a client; with what each agrees to by default, without context takeover, with windows of 9 bits and
# of 15. Either end asks for it in turn. Over TLS as well, in both roles. Installs the peers here (npm, pip into venv/); Chromium must be there.
# The last line is 'N passed, N failed'.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
cargo build --quiet --all-features --example echo_tokio --example echo_client --example wss
programs=$(cd "${CARGO_TARGET_DIR:-target}/debug/examples" && pwd)

cd "$here"
npm ci --no-audit --no-fund --silent
[[ -d venv ]] || python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt

passed=0 failed=0 log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

# NAME COMMAND...: counts it.
try() {
    local name=$1
    shift
    if "$@" > "$log/out" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n' "$name"
        tail -n 15 "$log/out"
    fi
}

# The options of our examples that stand for a variant.
options() {
    case $1 in
        nct) echo --no-context-takeover ;;
        9 | 15) echo "--window-bits $1" ;;
    esac
}

# FILE: waits for the one port that a program says it listens on, whatever stands around it.
port() {
    local _
    for _ in {1..300}; do
        if grep -qE '[0-9]{4,}' "$1"; then
            grep -oE '[0-9]{4,5}$' "$1" | head -n 1
            return
        fi
        sleep 0.1
    done
    return 1
}

node="node peer.mjs" python="venv/bin/python peer.py"

# OUR VARIANT, THEIR VARIANT, EXPECTED, CLIENTS...: our server.
server() {
    local ours=$1 theirs=$2 expected=$3 pid at
    shift 3
    : > "$log/server"
    # shellcheck disable=SC2046
    "$programs/echo_tokio" --listen 127.0.0.1:0 $(options "$ours") > "$log/server" 2> "$log/errors" &
    pid=$!
    at=$(port "$log/server")
    for peer in "$@"; do
        try "server ($ours), $peer ($theirs)" timeout 90 $peer "ws://127.0.0.1:$at/" "$theirs" "$expected"
    done
    kill $pid
    wait $pid 2> /dev/null || true
}

# OUR VARIANT, THEIR VARIANT, EXPECTED: our client.
client() {
    local pid peer at
    for peer in "$node" "$python"; do
        : > "$log/peer"
        timeout 90 $peer server "$2" "$3" > "$log/peer" 2> "$log/peer-errors" &
        pid=$!
        at=$(port "$log/peer")
        # shellcheck disable=SC2046
        try "client ($1), $peer server ($2)" timeout 90 "$programs/echo_client" "ws://127.0.0.1:$at/" $(options "$1")
        try "what $peer server ($2) saw of client ($1)" wait_for $pid
    done
}

# What a peer in the background had to say.
wait_for() { wait "$1" || { cat "$log/peer-errors"; return 1; }; }

for variant in default nct 9 15; do
    server "$variant" default "$variant" "$node client" "$python client" "$node chromium"
    client "$variant" default "$variant"
    if [[ $variant != default ]]; then
        server default "$variant" "$variant" "$node client" "$python client"
        client default "$variant" "$variant"
    fi
done
# Over TLS: our server makes its certificate itself, theirs get one.
: > "$log/server"
"$programs/wss" --listen 127.0.0.1:0 --cert "$log/ours.der" > "$log/server" 2> "$log/errors" &
pid=$!
at=$(port "$log/server")
for peer in "$node client" "$python client"; do
    CA="$log/ours.der" try "TLS server, $peer" timeout 90 $peer "wss://127.0.0.1:$at/ws" default none
done
kill $pid
wait $pid 2> /dev/null || true

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=peer \
    -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -addext 'basicConstraints=critical,CA:FALSE' \
    -keyout "$log/key.pem" -out "$log/cert.pem" 2> "$log/errors"
openssl x509 -in "$log/cert.pem" -outform der -out "$log/theirs.der"
for peer in "$node" "$python"; do
    : > "$log/peer"
    CERT="$log/cert.pem" KEY="$log/key.pem" timeout 90 $peer server default default > "$log/peer" 2> "$log/peer-errors" &
    pid=$!
    at=$(port "$log/peer")
    try "TLS client, $peer server" timeout 90 "$programs/echo_client" "wss://localhost:$at/" --ca "$log/theirs.der"
    try "what $peer server saw of our TLS client" wait_for $pid
done
printf '%s passed, %s failed\n' "$passed" "$failed"
[[ $failed == 0 ]]
