"""Heads and chunked bodies of HTTP/1.1 (RFC 9110, RFC 9112): Python's h11."""

import re

from differ import Outcome, Pair, cuts, drive, each, mutate
from handshakes import BAD_HOST, DELETE, FOLDS, HOST, LINES, TARGET, ALPHABET, complete, escape, refused, taken

FIELDS = [
    ("Host", ["example.com", "a:80", "", "a b", "[::1]"]),
    ("Content-Length", ["0", "5", "5", "05", "+5", "5, 5", "5,6", "-1", "", "18446744073709551616", "99999999999999999999999"]),
    ("Transfer-Encoding", ["chunked", "chunked", "Chunked", "gzip, chunked", "gzip", "chunked, gzip", "identity", "", "chunked, chunked"]),
    ("Connection", ["close", "keep-alive", "Upgrade"]),
    ("X", ["", "a", "a b", "a\tb", "\xe4", "\x7f", "a" * 300]),
    ("Accept", ["*/*", " a ", "\ta"]),
    ("Expect", ["100-continue"]),
    ("x-!#$%&'*+.^_`|~", ["a"]),
    ("X y", ["a"]), ("X ", ["a"]), ("", ["a"]), (" X", ["a"]), ("X\xe4", ["a"]), ("X(", ["a"]),
]
STARTS = ["GET / HTTP/1.1"] * 8 + [
    "POST /a?b=c HTTP/1.1", "HEAD * HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT a:443 HTTP/1.1", "PUT http://a/b HTTP/1.0", "X-Y / HTTP/1.1", "get / HTTP/1.1",
    "GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET /", "GET / HTTP/1.2", "GET / HTTP/2.0", "GET / HTTP/0.9", "GET / http/1.1", "GET / HTTP/1.10", "GET /\xe4 HTTP/1.1", "GET /\x7f HTTP/1.1",
    "GET /a b HTTP/1.1", "G(T / HTTP/1.1", "GET\t/ HTTP/1.1", "GET / HTTP/1.1\t", "GET /#a HTTP/1.1", "GET a HTTP/1.1", "GET /{}|^ HTTP/1.1", "POST * HTTP/1.1",
]
STATUSES = ["HTTP/1.1 200 OK"] * 8 + [
    "HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.0 404 Not Found", "HTTP/1.1 101 Switching Protocols", "HTTP/1.1 100 Continue", "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 999 A", "HTTP/1.1 099 A", "HTTP/1.1 000 A",
    "HTTP/1.1 600 A", "HTTP/1.1 2000 A", "HTTP/1.1 20 A", "HTTP/1.1  200 A", "HTTP/1.2 200 A", "HTTP/2.0 200 A", "HTTP/1 200 A", "http/1.1 200 A", "ICY 200 A", "HTTP/1.1 200 \xe4", "HTTP/1.1 200 \x7f", "HTTP/1.1 200 a\tb", "HTTP/1.1\t200 A", " HTTP/1.1 200 A", "HTTP/1.1 103 Early Hints", "HTTP/1.1 205 A",
]


def head(starts, host):
    def generate(random):
        fields = [("Host", "example.com")] if host and random.random() < 0.9 else []
        for _ in range(random.choice((0, 1, 1, 2, 3, 6))):
            name, values = random.choice(FIELDS if random.random() < 0.5 else FIELDS[:8])
            fields.append((name, random.choice(values[:2] if random.random() < 0.5 else values)))
        random.shuffle(fields)
        end = "\r\n" if random.random() < 0.97 else "\n"
        data = random.choice(starts) + end
        for name, value in fields:
            data += name + random.choice((": ", ": ", ": ", ":", ":\t", ":  ")) + value + random.choice(("", "", "", " ", "\t")) + ("\r\n" if random.random() < 0.99 else random.choice(("\n", "\r", "\r\r\n", "\r\n ")))
        data = (random.choice(("", "", "", "", "", "", "", "\r\n", "\n", "\r\n\r\n")) + data + "\r\n").encode("latin-1")
        if random.random() < 0.3:
            data = mutate(random, data, ALPHABET)
        return [data + random.choice((b"", b"", b"hello"))] if data else [b"G"]

    return generate


def ours_head(kind):
    def run(driver, cases):
        out = []
        for tokens in drive(driver, ["http1", kind], [[escape(b"".join(case))] for case in cases]):
            if tokens[0] == "incomplete":
                out.append(Outcome([], ("incomplete",)))
            elif tokens[0].startswith("error "):
                out.append(Outcome([], ("refuse", tokens[0][6:])))
            else:
                fields = [token[6:].split(": ", 1) for token in tokens if token.startswith("field ")]
                # h11 tells the coding in lower case.
                fields = [(name.lower(), value.lower() if name.lower() == "transfer-encoding" else value) for name, value in fields]
                events = [("start", tokens[0][3:]), *fields]
                body = next(token[5:] for token in tokens if token.startswith("body "))
                out.append(Outcome(events, ("accept", body)))
        return out

    return run


def driver_escape(data):
    """As the driver escapes what it prints."""
    short = {13: "\\r", 10: "\\n", 9: "\\t", 0: "\\0", 92: "\\\\"}
    return "".join(short.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in data)


def h11_head(kind):
    import h11
    from h11._connection import _body_framing

    def run(case):
        connection = h11.Connection(h11.SERVER if kind == "request" else h11.CLIENT)
        if kind == "response":
            connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
            connection.send(h11.EndOfMessage())
        try:
            connection.receive_data(b"".join(case))
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            return Outcome([], ("refuse", str(error)))
        if event is h11.NEED_DATA:
            return Outcome([], ("incomplete",))
        version = "HTTP/" + event.http_version.decode()
        if kind == "request":
            start = f"{event.method.decode()} {event.target.decode()} {version}"
            framing, parameters = _body_framing(event.method, event)
        elif isinstance(event, h11.InformationalResponse):
            start = f"{event.status_code} {version}"
            framing, parameters = "content-length", (0,)
        else:
            start = f"{event.status_code} {version}"
            framing, parameters = _body_framing(b"GET", event)
        body = {"chunked": "chunked", "http/1.0": "until-close", "content-length": f"length {(parameters or (0,))[0]}"}[framing]
        events = [("start", start)] + [(name.decode(), driver_escape(value)) for name, value in event.headers]
        return Outcome(events, ("accept", body))

    return run


def same_length(run):
    """No body and one of no bytes are the same to h11."""

    def alike(driver, cases):
        out = run(driver, cases)
        for outcome in out:
            if outcome.end == ("accept", "none"):
                outcome.end = ("accept", "length 0")
        return out

    return alike


def chunks(random):
    data, wrong = b"", random.random() < 0.5
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        payload = random.randbytes(random.choice((1, 2, 15, 16, 17, 255, 300)))
        size = f"{len(payload):x}".encode()
        size = random.choice((size, size.upper(), b"0" + size, b"0000" + size)) if random.random() < 0.4 else size
        if random.random() < 0.2:
            size += random.choice((b";a", b";a=b", b' ; a = "b c"', b";", b";a;b=1", b"\t;a", b' ;a="\\""'))
        if wrong and random.random() < 0.3:
            size = random.choice((b"", b"0x5", b"+5", b"-1", size + b" ", b" " + size, b"g", b"5 5", size + b";\x00", size + b";a\nb", size + b';"', size + b"a;=", b"f" * 16, b"1" + b"0" * 16, b"0" * 17 + size, b"0" * 30 + size, size + b";" + b"a" * 1100))
        end = b"\r\n" if not wrong or random.random() < 0.9 else random.choice((b"\n", b"\r", b"", b"\r\n\r\n", b"x\r\n"))
        data += size + b"\r\n" + payload + end
    data += random.choice((b"0\r\n", b"0\r\n", b"0\r\n", b"000\r\n", b"0;a=b\r\n", b"0\n" if wrong else b"0\r\n", b"" if wrong else b"0\r\n"))
    for _ in range(random.choice((0, 0, 0, 1, 2))):
        name, value = random.choice((("X", "a"), ("A-B", ""), ("X", "\xe4"), ("Etag", '"a"')))
        if wrong and random.random() < 0.4:
            name, value = random.choice((("X y", "a"), ("", "a"), ("X", "a\x00"), (" X", "b"), ("X ", "b"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("Host", "a"), ("Trailer", "x"), ("Authorization", "x"), ("X", "\x7f")))
        data += f"{name}: {value}".encode("latin-1") + (b"\r\n" if not wrong or random.random() < 0.9 else b"\n")
    data += b"\r\n" + random.choice((b"", b"", b"GET "))
    if wrong and random.random() < 0.4:
        data = mutate(random, data, ALPHABET)
    return cuts(random, data or b"0")


def ours_chunked(driver, cases):
    out = []
    for tokens in drive(driver, ["chunked"], [[f">{read.hex()}" for read in case] for case in cases]):
        data, trailers, end = "", [], ("open",)
        for token in tokens:
            kind, _, rest = token[1:].partition(":")
            if kind == "data":
                data += rest
            elif kind == "trailer":
                name, value = rest.split(":")
                trailers.append((bytes.fromhex(name).decode().lower(), value))
            elif kind == "end":
                end = ("end",)
            elif kind == "fail":
                end = ("fail", 0, rest)
        out.append(Outcome([("data", data), *trailers], end))
    return out


def h11_chunked(case):
    import h11

    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.next_event()
    data, trailers, end = "", [], ("open",)
    try:
        for read in case:
            connection.receive_data(read)
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Data):
                    data += event.data.hex()
                elif isinstance(event, h11.EndOfMessage):
                    trailers = [(name.decode(), value.hex()) for name, value in event.headers]
                    end = ("end",)
                    break
            if end == ("end",):
                break
    except h11.RemoteProtocolError as error:
        end = ("fail", 0, str(error))
    return Outcome([("data", data), *trailers], end)


LENGTHS = {
    "a length of 2^64 and more (RFC 9110 8.6: none that overflows)": taken("BadContentLength", sign=rb"content-length:[ \t]*[0-9]{20}"),
    "Content-Length beside Transfer-Encoding (RFC 9112 6.3: ought to be an error)": taken("AmbiguousLength"),
    "Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1: faulty)": taken("BadTransferEncoding", sign=rb"HTTP/1\.0"),
    "the same length several times is told as it came, not once (RFC 9110 8.6: either)": lambda case, mine, other: mine.end == other.end
    and [event for event in mine.events if event[0] != "content-length"] == [event for event in other.events if event[0] != "content-length"]
    and re.search(rb"content-length:[ \t]*(\d+)[ \t]*(,|\r\n.*content-length:)[ \t]*\1[ \t]*\r", case, re.S | re.I),
    "the same length with zeros in front is another (RFC 9112 6.3: either)": refused("conflicting Content-Length", rb"content-length:[^\r]*\b0\d"),
    "empty members of Transfer-Encoding are refused (RFC 9110 5.6.1.2: to be ignored)": refused("Only Transfer-Encoding|multiple Transfer-Encoding", rb"transfer-encoding:[ \t]*(\r|,)"),
}
VERSIONS = {"HTTP/2.0, or 0.9, written as 1.1 is (RFC 9110 2.5: 505)": taken("UnsupportedHttpVersion", sign=rb"HTTP/[02-9]"), "HTTP/1.2, which is none, is taken as 1.1 (RFC 9110 2.5: SHOULD; pushline answers 505)": taken("UnsupportedHttpVersion", sign=rb"HTTP/1\.[2-9]")}
REQUESTS = {
    **VERSIONS, **TARGET, **LINES, **FOLDS, **DELETE, **HOST, **BAD_HOST, **LENGTHS,
    "an empty line before the request is refused (RFC 9112 2.2: SHOULD be ignored)": refused("", rb"^[\r\n]"),
}
RESPONSES = {
    **VERSIONS, **LINES, **FOLDS, **DELETE, **LENGTHS,
    "lengths and codings of 1xx, 204 and 304 are checked (RFC 9112 6.3: these have no body, whatever their fields say)": refused("Content-Length|Transfer-Encoding", rb"^HTTP/1.. (1..|204|304)"),
    "101 is refused, since none was asked for (RFC 9110 7.8; pushline leaves that to its caller)": refused("", rb"^HTTP/1.. 101"),
    "control characters in the reason (RFC 9112 4)": taken("BadStatusLine", sign=rb"^[^\r]*[\x00-\x08\x0a-\x1f\x7f]"),
}

SIZE = rb"[0-9a-fA-F]+"
EXTENSION = rb"""[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*=[ \t]*(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?"""


def fault(data):
    """The first fault of a chunked body (RFC 9112 7.1), by a grammar of its own."""
    at, size = 0, None
    while size != 0:
        end = data.find(b"\n", at)
        if end < 0:
            return None
        line = data[at:end]
        if not line.endswith(b"\r"):
            return "LF"
        line = line[:-1]
        if re.fullmatch(SIZE + rb"[ \t]+", line):
            return "blank"
        if not re.fullmatch(SIZE + rb"(?:" + EXTENSION + rb")*", line):
            return "extension" if re.match(SIZE + rb"[ \t]*;", line) else "size"
        size = int(re.match(SIZE, line)[0], 16)
        if size >= 1 << 63:
            return "huge"
        at = end + 1 + size
        if size and data[at : at + 2] != b"\r\n"[: max(0, len(data) - at)]:
            return "end of data"
        at += 2 * (size > 0)
    while at < len(data):
        end = data.find(b"\n", at)
        if end < 0:
            return None
        if data[end - 1 : end] != b"\r":
            return "LF"
        line, at = data[at : end - 1], end + 1
        if not line:
            return None
        if not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*", line):
            return "fold" if line[:1] in b" \t" else "trailer"
    return None


def strays(kind):
    """Pushline stops at this fault, the peer goes on."""

    def predicate(case, mine, other):
        return mine.end[0] == "fail" and fault(case) == kind and other.events[0][1].startswith(mine.events[0][1])

    return predicate


FORBIDDEN = {"host", "content-length", "transfer-encoding", "trailer", "authorization"}
CHUNKED = {
    "a line that ends with LF alone (RFC 9112 2.2: MAY)": strays("LF"),
    "blanks behind a size without an extension (RFC 9112 7.1)": strays("blank"),
    "an extension without a name, or with control characters (RFC 9112 7.1.1)": strays("extension"),
    "folded trailers (RFC 9112 5.2)": strays("fold"),
    "trailers with control characters (RFC 9110 5.5)": strays("trailer"),
    "a size of 2^63 and more (RFC 9112 7.1: overflow)": strays("huge"),
    "blanks before `;` are refused (RFC 9112 7.1.1: BWS)": lambda case, mine, other: other.end[0] == "fail"
    and mine.events[0][1].startswith(other.events[0][1])
    and re.search(SIZE + rb"[ \t]+;", case),
    "fields that no trailer may hold are handed on (RFC 9110 6.5.1)": lambda case, mine, other: mine.end == other.end == ("end",)
    and mine.events == [event for event in other.events if event[0] not in FORBIDDEN],
    "Transfer-Encoding and Content-Length in a trailer are checked as if they were none (RFC 9110 6.5.1)": lambda case, mine, other: mine.end == ("end",)
    and other.end[0] == "fail"
    and re.search("Transfer-Encoding|Content-Length", other.end[2]),
    "extensions of more than 1 KiB, a limit of pushline's (RFC 9112 7.1.1)": lambda case, mine, other: mine.end == ("fail", 0, "ExtensionTooLong") and re.search(rb";[^\n]{1020}", case),
    "a size of more than 16 digits is refused, of pushline's limits (RFC 9112 7.1 names no number; here it is 20)": lambda case, mine, other: mine.end == ("fail", 0, "SizeTooLong") and re.search(rb"[0-9a-fA-F]{17}", case),
    "20 digits of a size at most are taken (RFC 9112 7.1 names no number)": lambda case, mine, other: other.end[0] == "fail" and re.search(rb"0{17}", case),
}


def pairs():
    yield Pair("http1-request, h11", head(STARTS, True), same_length(ours_head("request")), each(h11_head("request")), REQUESTS, complete)
    yield Pair("http1-response, h11", head(STATUSES, False), same_length(ours_head("response")), each(h11_head("response")), RESPONSES, complete)
    yield Pair("chunked, h11", chunks, ours_chunked, each(h11_chunked), CHUNKED, lambda data: b"\r\n\r\n")
