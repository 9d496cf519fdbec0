"""Python websockets as a peer: `peer.py client URL VARIANT EXPECTED` or `peer.py server VARIANT EXPECTED`.

VARIANT is what it offers or wishes; EXPECTED is what must have been agreed: see agreed(). A server prints its port, echoes
one connection and ends. Over TLS a client trusts the certificate in the file (DER) that CA names, and a server has that of
CERT and KEY (PEM).
"""

import asyncio
import os
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

LENGTHS = [0, 1, 125, 126, 4096, 70 * 1024]

WISHES = {
    "default": {},
    "nct": {"server_no_context_takeover": True, "client_no_context_takeover": True},
    "9": {"server_max_window_bits": 9, "client_max_window_bits": 9},
    "15": {"server_max_window_bits": 15, "client_max_window_bits": 15},
}


def agreed(value, expected):
    """Whether the Sec-WebSocket-Extensions value of the answer is what is expected."""
    parameters = dict((part.strip().split("=") + [""])[:2] for part in value.split(";"))
    if expected == "none" or "permessage-deflate" not in parameters:
        return expected == "none" and value == ""
    flags = [f"{side}_no_context_takeover" in parameters for side in ("server", "client")]
    bits = [int(parameters.get(f"{side}_max_window_bits") or 15) for side in ("server", "client")]
    return {
        "default": not any(flags) and bits == [15, 15],
        "nct": all(flags),
        "9": bits == [9, 9],
        "15": bits == [15, 15],
    }[expected]


def check(connection, expected):
    value = connection.response.headers.get("Sec-WebSocket-Extensions", "")
    if not agreed(value, expected):
        raise SystemExit(f"agreed on {value!r}")


async def client(url, variant, expected):
    factory = ClientPerMessageDeflateFactory(**{"client_max_window_bits": True, **WISHES[variant]})
    tls = None
    if url.startswith("wss:"):
        with open(os.environ["CA"], "rb") as file:
            tls = ssl.create_default_context(cadata=file.read())
    async with connect(url, extensions=[factory], max_size=None, ssl=tls) as connection:
        check(connection, expected)
        for length in LENGTHS * 2:
            text = ("a\u00e9\u20ac\U0001f600 and so on; " * (length // 8 + 1))[:length]
            data = bytes(((n * 2654435761) >> 24) & 0x9F for n in range(length))
            for message in (text, data):
                await connection.send(message)
                echo = await connection.recv()
                if echo != message:
                    raise SystemExit(f"{length}: {len(echo)} came back")


async def server(variant, expected):
    done = asyncio.get_running_loop().create_future()

    async def echo(connection):
        try:
            check(connection, expected)
            async for message in connection:
                await connection.send(message)
            done.set_result(None)
        except BaseException as error:
            done.set_exception(RuntimeError(str(error)))

    factory = ServerPerMessageDeflateFactory(**WISHES[variant])
    tls = None
    if "CERT" in os.environ:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(os.environ["CERT"], os.environ["KEY"])
    async with serve(echo, "127.0.0.1", 0, extensions=[factory], max_size=None, ssl=tls) as listener:
        print(listener.sockets[0].getsockname()[1], flush=True)
        await asyncio.wait_for(done, 60)


mode, *arguments = sys.argv[1:]
asyncio.run({"client": client, "server": server}[mode](*arguments))
