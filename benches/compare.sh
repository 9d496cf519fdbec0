#!/bin/sh
# Runs all comparisons with other crates but the chunked bodies' and the frameworks' and writes what they say into COMPARE.md,
# between its two markers. Takes half an hour on an idle machine, after the builds; QUICK=1 a tenth of that, with
# figures to match.
set -eu
cd "$(dirname "$0")/.."
if [ "${QUICK:-}" ]; then tables=8 handshake=20 echo_rounds=1 sse=5; else tables=48 handshake=200 echo_rounds=7 sse=60; fi
out=$(mktemp)
trap 'rm -f "$out" "$out.md"' EXIT

peers() { # BINARY ARGUMENT...
    bin=$1
    shift
    (cd benches/peers && cargo run -q --release --bin "$bin" -- "$@") >>"$out"
}
section() { # TITLE COMMAND; prose on standard input
    printf '\n## %s\n\n```sh\ncd %s\n```\n\n' "$1" "$2" >>"$out"
    cat >>"$out"
    echo >>"$out"
}

printf '## WebSocket, in memory\n\n' >>"$out"
peers pushline-peers --markdown --processes 4 --rounds "$tables"

section Handshake "benches/peers && cargo run --release --bin handshake -- --processes 4 --rounds $handshake" <<EOF
The 608 bytes that a browser sends, in memory, and the 101 that answers them. fastwebsockets and yawc leave it to hyper.

EOF
peers handshake --processes 4 --rounds "$handshake"

section 'Echo over loopback' "benches/peers && cargo run --release --bin echo -- --rounds $echo_rounds" <<EOF
32 connections with some messages in flight on each. The server's thread has a CPU of its own and tokio's current-thread
runtime (the blocking ones: a thread a connection); its CPU time is counted, the minimum of interleaved rounds. Batched: what
has arrived is answered with one flush, at most 32 messages; pushline does so by itself. The last two rows are no crates: a loop by hand
over tokio that knows frames only, and the bytes sent back as they are.

EOF
peers echo --rounds "$echo_rounds"

section 'Echo over TLS and over HTTP/2' "benches/peers && cargo run --release --bin secure -- --rounds $echo_rounds" <<EOF
As above, 32 sockets over the same rustls 0.23 (ring, TLS 1.3), and over the same hyper 1 as streams of four connections of
HTTP/2 without TLS (RFC 8441); each crate with a flush a message. The opening is not counted.

EOF
peers secure --rounds "$echo_rounds"

section 'Idle connections' 'benches/peers && cargo run --release --bin idle' <<EOF
A server in a process of its own, a spawned task a connection: accept, then next and send. What its resident set grew by.

EOF
peers idle

section 'Event streams' "benches/peers-sse && cargo run --release -- $sse" <<EOF
Events of a language model's stream (176 bytes), of one digit (9), of 64 lines (4 KiB), with every field and CR LF (108). What
each crate makes of every event is compared by count and hash first. sse-stream 0.3.0, sse-core 0.2.3, eventsource-stream 0.2.3,
sse-codec 0.3.3, axum 0.8.9.

EOF
(cd benches/peers-sse && cargo run -q --release -- "$sse") >>"$out"

awk -v out="$out" '
    /<!-- end of benches\/compare.sh -->/ { inside = 0 }
    !inside { print }
    /<!-- begin of benches\/compare.sh -->/ { inside = 1; print ""; while ((getline line < out) > 0) print line; print "" }
' COMPARE.md >"$out.md"
cp "$out.md" COMPARE.md
