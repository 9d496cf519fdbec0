"""Frames (RFC 6455 5, RFC 7692 7), both roles: Python's websockets and wsproto, and node's ws."""

import codecs
import zlib

from differ import Outcome, Pair, cuts, drive, each, node, mutate

TEXTS = ["", "a", "Hello", "κόσμε", "😀", "x" * 125, "y" * 126, "é" * 200]
BROKEN = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xce", b"a\xf0\x9f", b"\x80"]
CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
NO_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
LIMIT = 16 << 20


def frame(random, opcode, payload, masked, fin=True, rsv=0, width=None):
    size = len(payload)
    width = width if width is not None else 7 if size < 126 else 16 if size < 65536 else 64
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = masked << 7
    if width == 7:
        head += bytes([bit | size])
    elif width == 16:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    if masked:
        mask = random.randbytes(4)
        return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + payload


def stream(random, masked, deflate):
    """Frames that a peer might send, most of them right."""
    if random.random() < 0.04:
        return random.randbytes(random.randint(1, 40))
    compress = zlib.compressobj(random.choice((0, 1, 9)), zlib.DEFLATED, -15)
    out, wrong = b"", random.random() < 0.5
    for _ in range(random.randint(1, 6)):
        odd = wrong and random.random() < 0.4
        kind = random.randrange(10)
        if kind < 5:
            text = random.random() < 0.6
            payload = random.choice(TEXTS).encode() * random.choice((1, 1, 1, 2)) if text else random.randbytes(random.choice((0, 1, 5, 125, 126, 300)))
            if odd and random.random() < 0.4:
                at = random.randint(0, len(payload))
                payload = payload[:at] + random.choice(BROKEN) + payload[at:]
            rsv = 0
            if deflate and random.random() < 0.7:
                payload = compress.compress(payload) + compress.flush(zlib.Z_SYNC_FLUSH)
                payload, rsv = payload[:-4], 4
                if odd and random.random() < 0.4:
                    payload = mutate(random, payload, [bytes([byte]) for byte in range(256)])
            at = sorted(random.randint(0, len(payload)) for _ in range(random.choice((0, 0, 0, 1, 2))))
            parts = [payload[a:b] for a, b in zip([0, *at], [*at, len(payload)])]
            for n, part in enumerate(parts):
                opcode = 0 if n else 1 if text else 2
                if odd and random.random() < 0.2:
                    opcode = random.choice((0, 1, 2))
                width = random.choice((16, 64)) if odd and random.random() < 0.1 else None
                out += frame(random, opcode, part, masked, n == len(parts) - 1, rsv if n == 0 else 0, width)
                if random.random() < 0.15:
                    out += frame(random, 9, b"between", masked)
        elif kind < 8:
            size = random.choice((0, 1, 4, 125)) if not odd else random.choice((0, 125, 126, 200))
            fin = not (odd and random.random() < 0.2)
            out += frame(random, random.choice((9, 10)), random.randbytes(size), masked, fin)
        elif kind == 8 and not odd:
            reason = random.choice(("", "bye", "κόσμε", "z" * 123)).encode()
            payload = b"" if random.random() < 0.2 else random.choice(CODES).to_bytes(2, "big") + reason
            out += frame(random, 8, payload, masked)
        elif kind == 8:
            payload = random.choice((b"\x03", random.choice(NO_CODES).to_bytes(2, "big"), b"\x03\xe8" + random.choice(BROKEN), bytes(126)))
            out += frame(random, 8, payload, masked, random.random() < 0.9)
        elif odd:
            rsv = random.choice((0, 1, 2, 4, 4, 7))
            out += frame(random, random.randrange(16), random.randbytes(random.choice((0, 2, 9))), masked ^ (random.random() < 0.3), True, rsv)
        elif not odd and wrong and random.random() < 0.3:
            size = random.choice((LIMIT, LIMIT + 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1))
            out += bytes([0x82, masked << 7 | 127]) + size.to_bytes(8, "big") + random.randbytes(4 if masked else 0)
    if wrong and random.random() < 0.15:
        out = mutate(random, out, [bytes([byte]) for byte in range(256)])
    return out or frame(random, 9, b"", masked)


def complete(masked):
    """What ends the frame that a case stops in, and the message."""

    def rest(data):
        at, inside, out = 0, False, b""
        while at < len(data):
            head = data[at:]
            if len(head) == 1:
                out += bytes([masked << 7])
            head += out + bytes(16)
            size, wide = head[1] & 127, 2
            if size > 125:
                wide = 4 if size == 126 else 10
                size = int.from_bytes(head[2:wide], "big")
            wide += 4 * (head[1] >> 7)
            if head[0] & 15 < 8:
                inside = not head[0] >> 7
            at += wide + size
            if size > 1 << 20:
                return out + bytes(max(0, wide - len(data)))
        out += bytes(at - len(data) - len(out))
        if inside:
            out += bytes([0x80, masked << 7]) + bytes(4 * masked)
        return out

    return rest


def generate(role, deflate):
    return lambda random: cuts(random, stream(random, role == "server", deflate))


def ours(role, deflate):
    words = ["ws", role, f"max_message={LIMIT}", f"max_frame={LIMIT}"] + (["pmd=1"] if deflate else [])

    def run(driver, cases):
        return [read(tokens) for tokens in drive(driver, words, [[f">{read.hex()}" for read in reads] for reads in cases])]

    def read(tokens):
        events, end = [], ("open",)
        for token in tokens:
            if token.startswith("<"):
                kind, *rest = token[1:].split(":")
                if kind == "close":
                    end = ("close", int(rest[0]), rest[1])
                elif kind == "fail":
                    end = ("fail", int(rest[0]))
                else:
                    events.append((kind, rest[0]))
        return Outcome(events, end)

    return run


class Assembled:
    """Messages of frames, as those who use a state machine put them together."""

    def __init__(self):
        self.events, self.parts, self.kind = [], [], None

    def part(self, kind, payload, fin):
        self.kind = kind or self.kind
        self.parts.append(payload)
        if fin:
            payload, self.parts = b"".join(self.parts), []
            if self.kind == "text":
                payload.decode()
            self.events.append((self.kind, payload.hex()))


def websockets(role, deflate):
    from websockets.client import ClientProtocol
    from websockets.exceptions import ConnectionClosed
    from websockets.extensions.permessage_deflate import PerMessageDeflate
    from websockets.frames import Opcode
    from websockets.protocol import State
    from websockets.server import ServerProtocol
    from websockets.uri import parse_uri

    def run(reads):
        if role == "server":
            protocol = ServerProtocol(state=State.OPEN, max_size=LIMIT)
        else:
            protocol = ClientProtocol(parse_uri("ws://example.com/"), state=State.OPEN, max_size=LIMIT)
        if deflate:
            protocol.extensions = [PerMessageDeflate(False, False, 15, 15)]
        got = Assembled()
        for read in reads:
            protocol.receive_data(read)
            for event in protocol.events_received():
                if event.opcode is Opcode.PING:
                    got.events.append(("ping", event.data.hex()))
                elif event.opcode is Opcode.PONG:
                    got.events.append(("pong", event.data.hex()))
                elif event.opcode is not Opcode.CLOSE:
                    kind = {Opcode.TEXT: "text", Opcode.BINARY: "binary", Opcode.CONT: None}[event.opcode]
                    try:
                        got.part(kind, bytes(event.data), event.fin)
                    except UnicodeDecodeError:
                        return Outcome(got.events, ("fail", 1007))
            if protocol.parser_exc is not None:
                return Outcome(got.events, ("fail", protocol.close_sent.code, str(protocol.parser_exc)))
            if protocol.close_rcvd is not None:
                closed = protocol.close_rcvd
                return Outcome(got.events, ("close", int(closed.code), closed.reason.encode().hex()))
        return Outcome(got.events, ("open",))

    return each(run)


def wsproto(role, deflate):
    from wsproto.extensions import PerMessageDeflate
    from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

    def run(reads):
        extensions = []
        if deflate:
            extension = PerMessageDeflate()
            extension._enabled = True
            extensions = [extension]
        protocol = FrameProtocol(client=role == "client", extensions=extensions)
        got = Assembled()
        control = {Opcode.PING: "ping", Opcode.PONG: "pong"}
        for read in reads:
            protocol.receive_bytes(read)
            try:
                for event in protocol.received_frames():
                    if event.opcode in control:
                        got.events.append((control[event.opcode], event.payload.hex()))
                    elif event.opcode is Opcode.CLOSE:
                        code, reason = event.payload
                        return Outcome(got.events, ("close", int(code), (reason or "").encode().hex()))
                    else:
                        payload = event.payload.encode() if isinstance(event.payload, str) else bytes(event.payload)
                        kind = "text" if event.opcode is Opcode.TEXT else "binary"
                        got.part(kind, payload, event.message_finished)
            except ParseFailed as error:
                return Outcome(got.events, ("fail", int(error.code), str(error)))
            except Exception as error:
                return Outcome(got.events, ("raises", type(error).__name__, str(error)))
        return Outcome(got.events, ("open",))

    return each(run)


def decodes(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


class Inflate:
    """The data of all messages, and whether a block was marked as the last (RFC 7692 7.2.3.4), behind which others follow."""

    def __init__(self):
        self.stream, self.window, self.final = zlib.decompressobj(-15), b"", False

    def read(self, data):
        out = b""
        while True:
            out += self.stream.decompress(data)
            self.window = (self.window + out)[-32768:]
            if not self.stream.eof:
                return out
            self.final, data = True, self.stream.unused_data
            self.stream = zlib.decompressobj(-15, zdict=self.window)
            if not data:
                return out


def fault(data, masked, deflate, seen=None):
    """The first fault of a stream of frames, as the RFCs order what is read: a name of its own, by no peer's code. `seen` is told
    of blocks marked as last, and of control frames between the fragments of a compressed message."""
    seen = set() if seen is None else seen
    at, kind, compressed, text, inflate = 0, None, False, None, Inflate()
    while at + 2 <= len(data) or (at + 1 == len(data)):
        head = data[at:]
        fin, rsv, opcode = head[0] >> 7, head[0] >> 4 & 7, head[0] & 15
        if rsv & 3 or rsv & 4 and (not deflate or opcode not in (1, 2)):
            return "reserved bit"
        if opcode not in (0, 1, 2, 8, 9, 10):
            return "reserved opcode"
        if opcode >= 8 and not fin:
            return "control in fragments"
        if opcode == 0 and kind is None or opcode in (1, 2) and kind is not None:
            return "order of fragments"
        if len(head) < 2:
            return None
        if head[1] >> 7 != masked:
            return "mask"
        size, wide = head[1] & 127, 2
        if opcode >= 8 and size > 125:
            return "long control"
        if size > 125:
            wide = 4 if size == 126 else 10
            if wide == 10 and len(head) > 2 and head[2] >> 7:
                return "length of 64 bits"
            if len(head) < wide:
                return None
            size = int.from_bytes(head[2:wide], "big")
            if size < (126 if wide == 4 else 65536):
                return "length not minimal"
            if size > LIMIT:
                return "too large"
        mask, wide = head[wide : wide + 4] if masked else bytes(4), wide + 4 * masked
        payload = bytes(byte ^ mask[n % 4] for n, byte in enumerate(head[wide : wide + size]))
        at += wide + size
        if opcode < 8:
            if kind is None:
                kind, compressed, text = opcode, rsv & 4, codecs.getincrementaldecoder("utf-8")()
            over = fin and at <= len(data)
            if compressed:
                try:
                    payload = inflate.read(payload + (b"\0\0\xff\xff" if over else b""))
                except zlib.error:
                    return "deflate"
                finally:
                    seen |= {"final"} if inflate.final else set()
            try:
                if kind == 1:
                    text.decode(payload, final=over)
                    # Python takes the first two bytes of a surrogate before it refuses the third.
                    begun = text.getstate()[0]
                    if begun and not any(decodes(begun + bytes([byte]) * n) for byte in (0x80, 0xBF) for n in (1, 2, 3)):
                        return "UTF-8"
            except UnicodeDecodeError:
                return "UTF-8"
            if over and compressed:
                # A whole message ends with a block (RFC 7692 7.2.1): what comes next is read as the next block.
                try:
                    if inflate.stream.copy().decompress(b"\0\1\0\xfe\xffM") != b"M":
                        return "broken off"
                except zlib.error:
                    return "broken off"
            if fin:
                kind = None
        elif kind is not None and compressed:
            seen.add("between")
        if opcode == 8 and at <= len(data):
            code = int.from_bytes(payload[:2], "big")
            if len(payload) == 1:
                return "close of one byte"
            if payload and not (code in CODES or 3000 <= code < 5000):
                return "close code"
            try:
                payload[2:].decode()
            except UnicodeDecodeError:
                return "close reason"
            return None
    return None


EATEN = "an uncompressed block that lacks four bytes takes those that are appended (RFC 7692 7.2.1: they end an empty block)"
FINAL = "what follows a block marked as the last is lost, or read without the window (RFC 7692 7.2.3.4)"
BETWEEN = "a message is taken as uncompressed behind a control frame between its fragments (RFC 7692 6.1)"
READS_ON = "it reads on behind a bad frame until its own error is told, if deflate is on (RFC 6455 7.1.7: MUST NOT)"
WHOLE = "a message is inflated once it is whole (RFC 7692 7.2.2: either)"
BOTH = "of several faults of one frame another is told (no section orders them)"
BROKEN_OFF = "compressed data that break off within a block are taken (RFC 7692 7.2.1: a message ends with a block)"


def rules(peer, role, deflate):
    """Each takes the case, what pushline made of it, what the peer did."""

    def rule(names, code, also=lambda mine, other: True):
        def predicate(case, mine, other):
            found = fault(case, role == "server", deflate)
            begins = other.events[: len(mine.events)] == mine.events
            return found in names.split(", ") and mine.end == ("fail", code) and begins and also(mine, other)

        return predicate

    failed = lambda mine, other: other.end[0] == "fail"
    minimal = rule("length not minimal, long control", 1002)
    bits = rule("length of 64 bits", 1002, lambda mine, other: other.end[:2] == ("fail", 1009))
    late = rule("UTF-8", 1007, failed)
    def also(what):
        def predicate(case, mine, other):
            seen = set()
            fault(case, role == "server", deflate, seen)
            return what in seen

        return predicate

    eaten = lambda case, mine, other: mine.end == ("fail", 1007) and any(event[1].endswith("0000ffff") for event in other.events[len(mine.events) :])
    order = "close code, long control, control in fragments, order of fragments, mask, reserved bit"
    both = rule(order, 1002, lambda mine, other: other.end[0] == "fail" and other.end[1] != 1002 and mine.events == other.events)
    on = rule("order of fragments, mask, reserved bit, reserved opcode, control in fragments, long control", 1002)
    whole = rule("deflate, UTF-8", 1007, lambda mine, other: other.end == ("open",))
    inflates = rule("deflate", 1007, lambda mine, other: other.end[:2] == ("fail", 1002) and mine.events == other.events)
    off = rule("broken off", 1007)
    if peer == "websockets":
        return {
            "a length not in the fewest bytes is taken (RFC 6455 5.2: MUST)": minimal,
            "a length with its top bit set is 1009, not 1002 (RFC 6455 5.2: the bit MUST be 0)": bits,
            "text is checked once the frame or message is whole; what is wrong behind it is told first (RFC 6455 8.1)": late,
            BOTH: both,
            **({BROKEN_OFF: off, EATEN: eaten, FINAL: also("final"), "data that do not inflate are 1002, not 1007 (RFC 7692 7.2.2 names no code)": inflates} if deflate else {}),
        }
    if peer == "ws":
        return {
            "a length not in the fewest bytes is taken (RFC 6455 5.2: MUST)": minimal,
            "a length with its top bit set is 1009, not 1002 (RFC 6455 5.2: the bit MUST be 0)": bits,
            "text is checked once the message is whole; what is wrong in between is told first (RFC 6455 8.1)": late,
            **({READS_ON: on, WHOLE: whole, BROKEN_OFF: off, BOTH: both, EATEN: eaten, FINAL: also("final")} if deflate else {}),
        }
    return {
        "1014 in a close frame is refused (RFC 6455 7.4.2: registered codes are valid)": lambda case, mine, other: other.end[1:] == (1002, "CLOSE with unknown reserved code")
        and (mine.end[:2] == ("close", 1014) or mine.end == ("fail", 1007) and fault(case, role == "server", deflate) == "close reason"),
        "text is checked once more of it is there; what is wrong in between is told first (RFC 6455 8.1)": late,
        "there is no limit of length: it waits (RFC 6455 10.4)": rule("too large", 1009),
        **({BROKEN_OFF: off, BOTH: both, BETWEEN: also("between"), EATEN: eaten, FINAL: also("final")} if deflate else {}),
    }


def pairs():
    for deflate in (False, True):
        for role in ("server", "client"):
            for name, peer in (("websockets", websockets), ("wsproto", wsproto), ("ws", None)):
                suffix = "-deflate" if deflate else ""
                theirs = peer(role, deflate) if peer else node(f"frames-{role}{suffix}")
                yield Pair(f"frames-{role}{suffix}, {name}", generate(role, deflate), ours(role, deflate), theirs, rules(name, role, deflate), complete(role == "server"))
