"""Event streams (WHATWG HTML 9.2.6): npm's eventsource-parser, behind TextDecoder as its documentation has it."""

import re

from differ import Outcome, Pair, cuts, drive, mutate, node

LINES = [
    "data: a", "data:a", "data:  a", "data", "data:", "data: é😀", "event: e", "event:", "event", "event: message", "id: 1", "id:", "id", "id: é", "id: a\0b", "retry: 100", "retry:1", "retry: -1", "retry: +1", "retry: 1.5",
    "retry:", "retry: a", "retry: 007", "retry: 99999999999999999999999", "retry: ٣", ": comment", ":", ":a", "x: y", "datax: a", "Data: a", " data: a", "data : a", "data\0: a", "event: \0", "", "", "", "",
]
ALPHABET = [b"\r", b"\n", b"\r\n", b":", b" ", b"\0", b"\xef\xbb\xbf", b"\xff", b"\xc3", b"d", b"data", b"id", b"\t", b"\xf0\x9f"]


def generate(random):
    data = random.choice((b"", b"", b"", b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf"))
    end = random.choice(("\n", "\n", "\r\n", "\r", None))
    for _ in range(random.randint(1, 10)):
        data += (random.choice(LINES) + (end or random.choice(("\n", "\r\n", "\r")))).encode()
    if random.random() < 0.7:
        data += b"\n\n"
    if random.random() < 0.3:
        data = mutate(random, data, ALPHABET)
    return cuts(random, data or b":")


def ours(driver, cases):
    out = []
    for tokens in drive(driver, ["sse"], [[f">{read.hex()}" for read in case] for case in cases]):
        events, end = [], ("open",)
        for token in tokens:
            kind, *rest = token[1:].split(":")
            if kind == "event":
                kind, *texts = ("event", *(bytes.fromhex(text).decode() for text in rest))
                events.append((kind, *texts))
            elif kind == "retry":
                events.append((kind, int(rest[0])))
            elif kind == "comment":
                events.append((kind, bytes.fromhex(rest[0]).decode()))
            else:
                end = ("fail", 0, token)
        out.append(Outcome(events, end))
    return out


def theirs(cases):
    out = node("events")(cases)
    for outcome in out:
        outcome.events = [(kind, rest[0] or "message", *rest[1:]) if kind == "event" else (kind, *rest) for kind, *rest in outcome.events]
    return out


def alike(*kinds):
    """Whether nothing but these kinds differ, each of which does."""

    def events(outcome, left, here):
        out = []
        for kind, *rest in outcome.events:
            if kind == "comment" and "comment" in left and here:
                rest = [rest[0].removeprefix(" ")]
            if kind == "retry" and "retry" in left:
                rest = [min(rest[0], 1 << 53)]
            if kind == "event" and "id" in left:
                rest = [rest[0], rest[2]]
            out.append((kind, *rest))
        return out

    def same(case, mine, other, left):
        ours, theirs = events(mine, left, True), events(other, left, False)
        return ours == theirs or "end" in left and re.search(rb"\r[^\r\n]*\Z", case) and ours[: len(theirs)] == theirs and len(ours) == len(theirs) + 1

    def predicate(case, mine, other):
        fewer = [[left for left in kinds if left != kind] for kind in kinds] if len(kinds) < 4 else []
        if kinds == ("id",) and not any(line.startswith(b"id") for line in case.replace(b"\xef\xbb\xbf", b"").replace(b"\r", b"\n").split(b"\n")):
            return False
        return same(case, mine, other, kinds) and not any(same(case, mine, other, left) for left in fewer)

    return predicate


RULES = {
    "one space in front of a comment is left out (9.2.6: comments are ignored, either)": alike("comment"),
    "a reconnection time of more than 2^64 - 1 ms is told as a float (9.2.6; pushline saturates)": alike("retry"),
    "an id of a block without data is lost (9.2.6: it sets the last event ID)": alike("id"),
    "a CR at the end of a read waits for the next (9.2.6: it ends a line)": alike("end"),
    "several of these": alike("comment", "retry", "id", "end"),
}


def pairs():
    yield Pair("events, eventsource-parser", generate, ours, theirs, RULES)
