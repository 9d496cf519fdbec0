#!/usr/bin/env python3
"""Makes seeds for the fuzz targets from the rows of tests/cases: fuzz/corpus/TARGET/NAME, where cargo fuzz looks for them.

The bytes in front of a row are what its target takes as limits and cuts: see src/fuzzing. A row of more than 4 KiB is left out.
"""

import hashlib
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"s": b" ", b"0": b"\0", b"\\": b"\\"}


def unescape(text: str) -> bytes:
    """Undoes the escapes of tests/common: \\r \\n \\t \\0 \\\\ \\s \\xHH \\*{TEXT,N}."""

    def one(match: re.Match) -> bytes:
        if match[1]:
            return bytes([int(match[1], 16)])
        if match[2] is not None:
            return unescape(match[2].decode()) * int(match[3])
        return ESCAPES.get(match[4], match[4])

    return re.sub(rb"\\(?:x([0-9a-fA-F]{2})|\*\{(.*?),(\d+)\}|(.))", one, text.encode(), flags=re.S)


def rows(name: str):
    for line in (ROOT / "tests/cases" / name).read_text().split("\n"):
        if line and not line.startswith(("#", "id\t")):
            yield line.split("\t")


def driven(name: str, command: str):
    """The bytes that the rows of a driver's table feed to a command."""
    for row in rows(name):
        if len(row) >= 4 and row[2].startswith(command):
            yield unescape(row[3].split(" && ")[0])


def seeds():
    for row in rows("chunked.tsv"):
        for limits in (b"\xff\xff\xff\xff\xff\x07", b"\x04\x08\x10\x10\x20\x01"):
            yield "chunked_decode", limits + unescape(row[2])
    for row in rows("sse-eventsource.tsv"):
        yield "sse_decode", b"\xff\xff\xff\x05" + unescape(row[3].replace("|", ""))
        yield "sse_owned", b"\xff\xff\xff\x05" + unescape(row[3].replace("|", ""))
    for row in rows("extra-sse.tsv"):
        yield "sse_decode", b"\x20\x10\x10\x01" + unescape(row[3].replace("|", ""))
    for data in driven("extra-heads.tsv", "http1 request"):
        yield "http1_head", b"\x04\x01" + data
    for data in driven("extra-heads.tsv", "http1 response"):
        yield "http1_head", b"\x05\x01" + data
    for data in driven("extra-handshake.tsv", "handshake-server"):
        yield "handshake_request", b"\x00" + data
        yield "http1_head", b"\x04\x03" + data
    for data in driven("extra-negotiation.tsv", "pmd"):
        yield "negotiation", b"\x00\x0f\x0f" + data
        yield "handshake_request", b"\x02" + data
    for row in rows("json.tsv"):
        text = row[0].replace("<TAB>", "\t").replace("<LF>", "\n").replace("<US>", "\x1f")
        yield "json", text.encode()
    for row in rows("socketio-packets.tsv"):
        yield "socketio_packet", row[0].encode()
        yield "socketio_client_packets", b'0{"sid":"a","pid":"b"}\n' + row[0].encode() + b"\n>bytes\n</"
    # Open, a message each way, and the upgrade to its end.
    yield "socketio_client", bytes([0, 1, 0, 2, 1 | 8 << 3, 4 | 1 << 3, 5 | 9 << 3, 1 | 3 << 3, 0, 5 | 1 << 3, 0])
    yield "socketio_client", bytes([2, 4 | 1 << 3, 5, 0, 5 | 4 << 3, 7])
    for row in rows("bayeux-channels.tsv"):
        yield "bayeux_channels", row[0].encode()
    for row in rows("rfc6455-checklist.tsv"):
        for digits in re.findall(r"\b(?:[0-9a-f]{2}){2,14}\b", row[4] if len(row) > 4 else ""):
            yield "ws_header", bytes.fromhex(digits)


def main():
    counts = {}
    for target, data in seeds():
        if len(data) <= 4096:
            directory = ROOT / "fuzz/corpus" / target
            directory.mkdir(parents=True, exist_ok=True)
            (directory / hashlib.sha1(data).hexdigest()).write_bytes(data)
            counts.setdefault(target, set()).add(data)
    for target, data in sorted(counts.items()):
        print(f"{target}: {len(data)} seeds")


if __name__ == "__main__":
    main()
