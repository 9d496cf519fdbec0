#!/usr/bin/env bash
# Runs the Autobahn suite against this crate, in both roles. Without arguments: groups 1 to 7, 9 and 10, strictly.
#
#   tests/autobahn/run.sh [server|client|both] [--adapter blocking|tokio] [--out DIR] [options of ./autobahn ...]
#
# The reports go to tests/autobahn/out/SERVER-EXAMPLE and tests/autobahn/out/autobahn_client. The first run builds the
# suite in ~/.cache (x86_64 Debian; see ./autobahn help).
set -euo pipefail
cd "$(dirname "$0")/../.."

roles=both adapter=blocking out=$PWD/tests/autobahn/out options=()
while (( $# )); do
    case $1 in
        server|client|both) roles=$1; shift ;;
        --adapter) adapter=${2:?--adapter blocking or tokio}; shift 2 ;;
        --out) out=${2:?--out DIR}; shift 2 ;;
        *) options+=("$1"); shift ;;
    esac
done
[[ $adapter == blocking || $adapter == tokio ]] || { echo "run.sh: no adapter $adapter" >&2; exit 2; }
(( ${#options[@]} )) || options=(--cases core,9 --strict)

suite=tests/autobahn/autobahn
server=echo_$adapter
# This crate optimised, and overflow checked, on the dependencies as the tests have built them.
cargo build --quiet --all-features --config profile.dev.package.pushline.opt-level=3 --example "$server" --example autobahn_client
target=${CARGO_TARGET_DIR:-target}/debug/examples
status=0

if [[ $roles != client ]]; then
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$suite" server-under-test "ws://127.0.0.1:$port" --start "$target/$server --listen 127.0.0.1:$port" \
        --agent "$server" --out "$out/$server" "${options[@]}" || status=$?
fi
if [[ $roles != server ]]; then
    "$suite" client-under-test --cmd "$target/autobahn_client {url} {agent}" \
        --agent autobahn_client --out "$out/autobahn_client" "${options[@]}" || status=$?
fi
exit "$status"
