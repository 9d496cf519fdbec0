"""The opening handshake (RFC 6455 4), both roles: Python's websockets and wsproto, and node's ws on node's own HTTP."""

import re

from differ import Outcome, Pair, drive, each, mutate, node

KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
PROTOCOLS = ["chat", "superchat"]
ALPHABET = [bytes([byte]) for byte in b"\r\n\t :,;=\"\\/@()aZ09-_\x00\x7f\x80\xff"] + [b"\r\n", b"\n", b"\r\n ", b": ", b", "]

REQUEST = {
    "Host": ["example.com", "example.com:80", "127.0.0.1", "[::1]:9000"],
    "Upgrade": ["websocket", "WebSocket", "WEBSOCKET"],
    "Connection": ["Upgrade", "upgrade", "keep-alive, Upgrade", "Upgrade,keep-alive"],
    "Sec-WebSocket-Key": [KEY],
    "Sec-WebSocket-Version": ["13"],
}
ODD = {
    "Host": ["", "a b", "example.com, b", "a@b", "a/b", "ex\xe4mple"],
    "Upgrade": ["", "websocket, h2c", "h2c, websocket", "h2c", "websocket/13", "websockets", " websocket ", ",websocket"],
    "Connection": ["", "close", "keep-alive", "Upgrade, close", ",Upgrade,", "upgrade;q=1", "\"Upgrade\""],
    "Sec-WebSocket-Key": ["", "AAAA", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25j!Q==", KEY + "=", "dGhlIHNhbXBsZSBub25jZSBsb25n", KEY[:12] + " " + KEY[12:]],
    "Sec-WebSocket-Version": ["", "12", "8", "14", "013", "13, 8", "13,13", "+13"],
    "Sec-WebSocket-Accept": ["", ACCEPT.lower(), ACCEPT[:-1], "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", ACCEPT + " x"],
}
RESPONSE = {
    "Upgrade": REQUEST["Upgrade"],
    "Connection": REQUEST["Connection"],
    "Sec-WebSocket-Accept": [ACCEPT],
}
OFFERS = ["chat", "superchat", "chat, superchat", "x, superchat", "x", "chat,chat", "", "ch at", "a=b", "Chat", ",chat"]
CHOICES = ["chat", "superchat", "chat", "chat", "x", "chat, superchat", "", "Chat"]
OTHERS = [("Origin", "http://example.com"), ("User-Agent", "a"), ("X", ""), ("X", "\xe4"), ("Cookie", "a=b; c"), ("Content-Length", "0"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("Accept", "a\tb")]


def head(random, first, fields, protocols, often=0.4):
    fields = [(name, random.choice(values)) for name, values in fields.items()]
    if random.random() < often:
        fields.append(("Sec-WebSocket-Protocol", random.choice(protocols)))
    if random.random() < 0.3:
        fields.append(random.choice(OTHERS))
    if random.random() < 0.5:
        random.shuffle(fields)
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        at = random.randrange(len(fields))
        name, value = fields[at]
        kind = random.randrange(5)
        if kind == 0:
            del fields[at]
        elif kind == 1:
            fields.insert(random.randint(0, len(fields)), (name, value))
        elif kind == 2:
            fields[at] = (name.lower() if random.random() < 0.5 else name.upper(), value)
        elif kind == 3:
            fields[at] = (name, random.choice(ODD.get(name, [value])))
        else:
            fields[at] = (name, random.choice((" ", "\t", "")) + value + random.choice((" ", "\t ", "")))
        if not fields:
            break
    data = (first + "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n").encode("latin-1")
    if random.random() < 0.3:
        data = mutate(random, data, ALPHABET)
    return data or b"H"


def request(random):
    first = "GET /chat HTTP/1.1"
    if random.random() < 0.1:
        first = random.choice(("POST /chat HTTP/1.1", "GET /chat HTTP/1.0", "GET /chat HTTP/1.2", "GET /chat HTTP/2.0", "GET  /chat HTTP/1.1", "get /chat HTTP/1.1", "GET chat HTTP/1.1", "GET * HTTP/1.1", "GET http://example.com/chat HTTP/1.1", "GET /chat", "GET /ch\xe4t HTTP/1.1", "CONNECT a:1 HTTP/1.1", "GET /a#b HTTP/1.1", "OPTIONS * HTTP/1.1"))
    return [head(random, first, REQUEST, OFFERS)]


def response(random, often=0.4):
    first = "HTTP/1.1 101 Switching Protocols"
    if random.random() < 0.1:
        first = random.choice(("HTTP/1.1 200 OK", "HTTP/1.0 101 Switching Protocols", "HTTP/1.1 101", "HTTP/1.1 101 ", "HTTP/1.1  101 A", "HTTP/2 101 A", "HTTP/1.1 100 Continue", "HTTP/1.1 1011 A", "HTTP/1.1 404 No", "http/1.1 101 A", "HTTP/1.1 101 \xe4", "HTTP/1.1 000 A"))
    return [head(random, first, RESPONSE, CHOICES, often)]


def escape(data):
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in data)


def server(driver, cases):
    out = []
    for tokens in drive(driver, ["handshake-server", "protocols=" + ",".join(PROTOCOLS), "origin=any"], [[escape(b"".join(case))] for case in cases]):
        if tokens[0] == "incomplete":
            end = ("incomplete",)
        elif tokens[0].startswith("101 "):
            chosen = re.search(r"\|?sec-websocket-protocol: ([^|]*)", tokens[0])
            end = ("accept", chosen[1] if chosen else "")
        else:
            end = ("refuse", tokens[0].split("|")[0])
        out.append(Outcome([], end))
    return out


def client(driver, cases):
    out = []
    for tokens in drive(driver, ["handshake-client", KEY, "protocols=" + ",".join(PROTOCOLS)], [[escape(b"".join(case))] for case in cases]):
        if tokens[0] == "incomplete":
            end = ("incomplete",)
        elif tokens[0].startswith("ok "):
            end = ("accept", re.search(r"protocol=(\S*)", tokens[0])[1])
        else:
            end = ("refuse", tokens[0])
        out.append(Outcome([], end))
    return out


def websockets_server(case):
    from websockets.server import ServerProtocol

    # The application chooses: here the first of the client's that the server has, or none, as the others do.
    choose = lambda _, offered: next((name for name in offered if name in PROTOCOLS), None)
    protocol = ServerProtocol(subprotocols=PROTOCOLS, select_subprotocol=choose)
    protocol.receive_data(b"".join(case))
    events = protocol.events_received()
    if events:
        answer = protocol.accept(events[0])
        if answer.status_code == 101:
            return Outcome([], ("accept", answer.headers.get("Sec-WebSocket-Protocol", "")))
        return Outcome([], ("refuse", str(protocol.handshake_exc), str(protocol.handshake_exc.__cause__)))
    if protocol.handshake_exc is not None:
        return Outcome([], ("refuse", str(protocol.handshake_exc), str(protocol.handshake_exc.__cause__)))
    return Outcome([], ("incomplete",))


def websockets_client(case):
    from websockets.client import ClientProtocol
    from websockets.protocol import State
    from websockets.uri import parse_uri

    protocol = ClientProtocol(parse_uri("ws://example.com/"), subprotocols=PROTOCOLS)
    protocol.key = KEY
    protocol.send_request(protocol.connect())
    protocol.receive_data(b"".join(case))
    if protocol.handshake_exc is not None:
        return Outcome([], ("refuse", str(protocol.handshake_exc), str(protocol.handshake_exc.__cause__)))
    if protocol.state is not State.CONNECTING:
        return Outcome([], ("accept", protocol.subprotocol or ""))
    return Outcome([], ("incomplete",))


def wsproto_server(case):
    from wsproto import ConnectionType, WSConnection
    from wsproto.events import Request
    from wsproto.utilities import RemoteProtocolError

    connection = WSConnection(ConnectionType.SERVER)
    try:
        connection.receive_data(b"".join(case))
        for event in connection.events():
            if isinstance(event, Request):
                return Outcome([], ("accept", next((name for name in event.subprotocols if name in PROTOCOLS), "")))
    except RemoteProtocolError as error:
        return Outcome([], ("refuse", str(error)))
    except Exception as error:
        return Outcome([], ("raises", type(error).__name__, str(error)))
    return Outcome([], ("incomplete",))


def wsproto_client(case):
    from wsproto import ConnectionType, WSConnection
    from wsproto.events import AcceptConnection, RejectConnection, Request
    from wsproto.utilities import RemoteProtocolError

    connection = WSConnection(ConnectionType.CLIENT)
    connection.send(Request(host="example.com", target="/", subprotocols=PROTOCOLS))
    connection.handshake._nonce = KEY.encode()
    try:
        connection.receive_data(b"".join(case))
        for event in connection.events():
            if isinstance(event, AcceptConnection):
                return Outcome([], ("accept", event.subprotocol or ""))
            if isinstance(event, RejectConnection):
                return Outcome([], ("refuse", str(event.status_code)))
    except RemoteProtocolError as error:
        return Outcome([], ("refuse", str(error)))
    except Exception as error:
        return Outcome([], ("raises", type(error).__name__, str(error)))
    return Outcome([], ("incomplete",))


def complete(data):
    return b"\r\n\r\n"


def taken(*names, sign=b""):
    """Pushline refuses it by one of these names, the peer takes it; `sign` is to be found in the case."""

    def predicate(case, mine, other):
        refused = mine.end[0] == "refuse" and mine.end[1].split(" ", 1)[1] in names
        return refused and other.end[0] == "accept" and re.search(sign, case, re.S | re.I) is not None

    return predicate


def refused(words, sign=b""):
    """The peer refuses in these words what pushline takes; `sign` is to be found in the case."""

    def predicate(case, mine, other):
        told = " ".join(str(word) for word in other.end[1:])
        return mine.end[0] == "accept" and other.end[0] == "refuse" and re.search(words, told) and re.search(sign, case, re.S | re.I)

    return predicate


def waits(*names):
    return lambda case, mine, other: mine.end[0] == "refuse" and mine.end[1].split(" ", 1)[1].startswith(names) and other.end[0] in ("open", "incomplete")


def raises(case, mine, other):
    return other.end[:2] == ("raises", "UnicodeDecodeError") and re.search(rb"[\x80-\xff]", case) is not None


HOST = {
    "no Host (RFC 9112 3.2: MUST be 400)": taken("MissingHost"),
    "more than one Host (RFC 9112 3.2: MUST be 400)": taken("DuplicateHost", sign=rb"\nHost:.*\nHost:"),
}
BAD_ORIGIN = {"an Origin that is none (RFC 6454 7.1)": taken("OriginNotAllowed", sign=rb"\nOrigin:")}
BAD_HOST = {"a Host that is none, or empty (RFC 9112 3.2: MUST be 400)": taken("BadHost", sign=rb"\nHost:")}
TARGET = {"a target that is no path, or `*` for GET (RFC 9112 3.2.1)": taken("BadTarget")}
NAMES = {"subprotocols that are empty, no tokens or twice the same (RFC 6455 4.1, 11.3.4)": taken("BadSubprotocols", sign=rb"sec-websocket-protocol:")}
BODY = {"a body is announced (RFC 6455 4.1: the handshake has none; what follows it would be frames)": taken("BodyAnnounced", sign=rb"content-length: *\t?0*[1-9]|transfer-encoding:")}
ORIGINS = {"more than one Origin (RFC 6454 7.3)": taken("DuplicateOrigin", sign=rb"\nOrigin:.*\nOrigin:")}
UPGRADES = rb"\nupgrade:[^\r]*,|\nupgrade:.*\nupgrade:"
VERSION = {"another version of HTTP (RFC 6455 4.2.1: 1.1 or higher)": taken("UnsupportedHttpVersion")}
LINES = {"a line that ends with LF alone (RFC 9112 2.2: MAY)": taken("BadLineEnd", "BadHttp", sign=rb"(?<!\r)\n")}
FOLDS = {"folded lines (RFC 9112 5.2: MUST be 400 or unfolded)": taken("BadFieldName", "BadHttp", sign=rb"\r\n[ \t]")}
DELETE = {"DEL in a value (RFC 9110 5.5: no field-vchar)": taken("BadFieldValue", "BadHttp", sign=rb"\x7f")}
RAISES = {"bytes from 128 up raise an exception of Python's, that no caller expects": raises}

CONNECTIONS = "of several Connection fields the last counts (RFC 9110 5.3: they are one list)"
FRAMING = "lengths and codings of a 101 are checked (RFC 9112 6.3: it has no body, whatever its fields say)"
TAB = "a tab behind a value counts as part of it (RFC 9110 5.5: it does not)"

SERVERS = {
    "websockets": {
        **HOST, **BAD_HOST, **TARGET, **NAMES, **BAD_ORIGIN,
        "control characters in the target (RFC 3986 2)": taken("BadRequestLine", sign=rb"^[^\n]*[\x00-\x0c\x0e-\x1f\x7f]|^[^\n]*\r[^\n]"),
        "several names in Upgrade are refused (RFC 6455 4.2.1: containing `websocket`)": refused("invalid Upgrade", UPGRADES),
        "Connection with a member that is no token is refused (RFC 9110 7.6.1: either)": refused("invalid Connection"),
    },
    "wsproto": {
        **{text: rule for text, rule in HOST.items() if "more" in text}, **BAD_HOST, **TARGET, **NAMES, **BAD_ORIGIN, **BODY, **ORIGINS, **VERSION, **LINES, **FOLDS, **DELETE, **RAISES,
        "a key that is not 16 bytes of base64 (RFC 6455 4.2.1)": taken("BadKey"),
        "more than one key (RFC 6455 11.3.1: MUST NOT)": taken("DuplicateKey"),
        "more than one version (RFC 6455 11.3.5: MUST NOT)": taken("BadWebSocketVersion", sign=rb"version:.*version:"),
        "Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1)": taken("BadTransferEncoding", sign=rb"HTTP/1.0"),
        "several names in Upgrade are refused (RFC 6455 4.2.1: containing `websocket`)": refused("Missing header, 'Upgrade", UPGRADES),
        CONNECTIONS: refused("Missing header, 'Connection", rb"\nconnection:.*\nconnection:"),
    },
    "ws": {
        **HOST, **BAD_HOST, **TARGET, **BODY, **ORIGINS, **BAD_ORIGIN, **VERSION, **LINES,
        "a request line without a version (RFC 9112 3)": taken("BadRequestLine", sign=rb"^[^ ]+ +[^ ]+\r\n"),
        "version 8, or what is 13 to JavaScript (RFC 6455 4.2.1: `13`)": taken("UnsupportedWebSocketVersion", sign=rb"version:[ \t]*(8|\+13|013)"),
        "more than one space in the request line (RFC 9112 3: a single one)": taken("BadRequestLine", sign=rb"^[^\r]*  "),
        "control characters in the target (RFC 3986 2)": taken("BadRequestLine", sign=rb"^[^\n]*[\x00-\x0c\x0e-\x1f\x7f]"),
        "a coding that is none, or in HTTP/1.0 (RFC 9112 6.1)": taken("BadTransferEncoding", sign=rb"transfer-encoding:"),
        "Content-Length twice is refused (RFC 9110 8.6: either)": refused("400", rb"(content-length):.*\1:"),
        TAB: refused("400|426", rb"\t *\r\n"),
        "empty members of Sec-WebSocket-Protocol are refused (RFC 9110 5.6.1.2: to be ignored)": refused("400", rb"protocol:[ \t]*,|protocol:[^\r]*,[ \t]*(,|\r)"),
        "several names in Upgrade are refused (RFC 6455 4.2.1: containing `websocket`)": refused("400|426", UPGRADES),
    },
}
CLIENTS = {
    "websockets": {
        "Connection with a member that is no token is refused (RFC 9110 7.6.1: either)": refused("invalid Connection"),
        "a refusal is told once its body is there": waits("UnexpectedStatus"),
        "no space behind the status (RFC 9112 4; pushline takes it, as others do)": refused("valid HTTP response", rb"^HTTP/1.1 101\r"),
        "empty members of Upgrade (RFC 9110 5.6.1.2: either)": taken("InvalidHeader(Upgrade)", sign=rb"upgrade: *\t?,|upgrade: *\t?websocket *,"),
    },
    "wsproto": {
        "more than one Sec-WebSocket-Accept (RFC 6455 11.3.3: MUST NOT)": taken("DuplicateHeader(Sec-WebSocket-Accept)"),
        "more than one Upgrade (RFC 6455 4.1: its value is `websocket`)": taken("DuplicateHeader(Upgrade)"),
        "more than one Sec-WebSocket-Protocol (RFC 6455 11.3.4: MUST NOT)": taken("DuplicateHeader(Sec-WebSocket-Protocol)"),
        "another version of HTTP (RFC 6455 4.1: 1.1)": taken("BadHttpVersion"),
        **LINES, **FOLDS, **DELETE, **RAISES,
        CONNECTIONS: refused("Missing header, 'Connection", rb"\nconnection:.*\nconnection:"),
        FRAMING: refused("", rb"transfer-encoding:|content-length:"),
    },
    "ws": {
        TAB: refused("101", rb"\t *\r\n"),
        "control characters in the reason (RFC 9112 4)": taken("BadHttp", sign=rb"^[^\r]*[\x00-\x08\x0a-\x1f\x7f]"),
        FRAMING: refused("Content-Length|Transfer-Encoding|Parse Error", rb"transfer-encoding:|content-length:"),
        "another version of HTTP (RFC 6455 4.1: 1.1)": taken("BadHttpVersion"),
        "no subprotocol, where the client offers some, is refused (RFC 6455 4.1: only one that was not offered)": refused("Server sent no subprotocol"),
    },
}


def pairs():
    for name, peer in (("websockets", each(websockets_server)), ("wsproto", each(wsproto_server)), ("ws", node("handshake-server"))):
        yield Pair(f"handshake-server, {name}", request, server, peer, SERVERS[name], complete)
    for name, peer in (("websockets", each(websockets_client)), ("wsproto", each(wsproto_client)), ("ws", node("handshake-client"))):
        chosen = response if name != "ws" else lambda random: response(random, 0.9)
        yield Pair(f"handshake-client, {name}", chosen, client, peer, CLIENTS[name], complete)
