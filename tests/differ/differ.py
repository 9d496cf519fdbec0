#!/usr/bin/env python3
"""Differential runs: random cases to `examples/driver` and to other implementations, what each makes of them compared.

`differ.py DRIVER [CASES [SEED [PAIR...]]]`. A case is valid, mutated or random, and the same bytes, in the same reads, go to both. What is
compared: the events in order up to the first error, whether a head is taken or refused, the close code. Each kind of difference has a
rule with its reason, is counted, and stands in COMPARE.md; one that no rule explains is printed, and the exit status is 1.
MARKDOWN=1 prints the table that stands there. A rule that explained nothing is listed as `never`: what it says may not be so any more.
"""

import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent


# How a case ends that waits for more, and the rules that all pairs share.
WAITING = ("open", "incomplete")
LATER = "later: the peer refuses it as well, once more of it has come (no section names a time)"
EARLIER = "earlier: pushline refuses it as well, once more of it has come (no section names a time)"


class Outcome:
    """What one side made of a case: its events in order, then how it ended: `open`, `close`, `fail`, `accept`, ..."""

    def __init__(self, events, end):
        self.events = [tuple(event) for event in events]
        self.end = tuple(end)

    def __eq__(self, other):
        # Of a failure its code counts, not its words; of a refusal neither.
        kept = {"fail": 2, "refuse": 1}
        mine, theirs = (o.end[: kept.get(o.end[0], len(o.end))] for o in (self, other))
        return self.events == other.events and mine == theirs

    def __repr__(self):
        return f"{self.events} {self.end}"


def cuts(random, data):
    """The case in reads: whole, byte by byte, or cut at random."""
    if random.random() < 0.5 or len(data) < 2:
        return [data]
    if random.random() < 0.2 and len(data) < 300:
        return [data[at : at + 1] for at in range(len(data))]
    at = sorted(random.sample(range(1, len(data)), min(len(data) - 1, random.randint(1, 4))))
    return [data[a:b] for a, b in zip([0, *at], [*at, len(data)])]


def mutate(random, data, alphabet):
    """One to three bytes changed, dropped or put in."""
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        at = random.randint(0, len(data))
        kind = random.randrange(4)
        if kind == 0:
            data[at:at] = random.choice(alphabet)
        elif kind == 1:
            data[at : at + 1] = random.choice(alphabet)
        elif kind == 2:
            del data[at : at + random.choice((1, 1, 2, 4))]
        else:
            del data[at:]
    return bytes(data)


def drive(driver, words, cases):
    """Each case, a list of lines, to the driver, afresh; the lines of its answers, one list a case."""
    process = subprocess.Popen([driver, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def write():
        for lines in cases:
            process.stdin.write("reset\n" + "".join(f"{line}\n" for line in lines))
        process.stdin.close()

    writer = threading.Thread(target=write)
    writer.start()
    answers = []
    for lines in cases:
        tokens = []
        for _ in range(len(lines) + 1):
            for token in process.stdout:
                if token == ".\n":
                    break
                tokens.append(token.rstrip("\n"))
        answers.append(tokens)
    writer.join()
    assert process.wait() == 0
    return answers


def node(kind):
    """A peer of peer.mjs: takes all cases at once."""

    def run(cases):
        text = "".join(json.dumps([read.hex() for read in reads]) + "\n" for reads in cases)
        done = subprocess.run(["node", HERE / "peer.mjs", kind], input=text, capture_output=True, text=True, check=True)
        if done.stderr:
            print(done.stderr[:2000], file=sys.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(cases), f"{len(answers)} answers of node to {len(cases)} cases"
        return [Outcome(answer["events"], answer["end"]) for answer in answers]

    return run


def each(peer):
    """A peer that takes a case at a time."""
    return lambda cases: [peer(reads) for reads in cases]


class Pair:
    """Two sides, the cases for both, and the rules that explain where they differ."""

    def __init__(self, name, generate, ours, theirs, rules, complete=None):
        """`complete` ends what a case has begun: where only pushline refuses it, the peer sees more, and may refuse it later."""
        self.name, self.generate, self.ours, self.theirs, self.rules = name, generate, ours, theirs, rules
        self.complete = complete

    def run(self, driver, count, seed):
        began = time.monotonic()
        rng = random.Random(f"{seed} {self.name}")
        cases = [self.generate(rng) for _ in range(count)]
        ours, theirs = self.ours(driver, cases), self.theirs(cases)
        ends = collections.Counter(mine.end[0] for mine in ours)
        different = [n for n in range(count) if ours[n] != theirs[n]]
        same, explained, unexplained = count - len(different), collections.Counter(), []

        late = [n for n in different if self.complete and theirs[n].end[0] in WAITING and ours[n].end[0] not in WAITING]
        for n in late:
            cases[n] = [*cases[n], self.complete(b"".join(cases[n]))]
        for n, again in zip(late, self.theirs([cases[n] for n in late])):
            theirs[n] = again
        early = [n for n in different if self.complete and ours[n].end[0] in WAITING and theirs[n].end[0] not in WAITING]
        for n in early:
            cases[n] = [*cases[n], self.complete(b"".join(cases[n]))]
        for n, again in zip(early, self.ours(driver, [cases[n] for n in early])):
            ours[n] = again
        for n in different:
            case, mine, other = cases[n], ours[n], theirs[n]
            if mine == other:
                explained[EARLIER if n in early else LATER] += 1
                continue
            for rule, why in self.rules.items():
                if why(b"".join(case), mine, other):
                    explained[rule] += 1
                    break
            else:
                unexplained.append((case, mine, other))
        kinds = ", ".join(f"{end} {count}" for end, count in ends.most_common())
        print(f"{self.name}: {count} cases, seed {seed}, {same} the same ({kinds}); {time.monotonic() - began:.0f} s")
        for rule, times in explained.most_common():
            print(f"    {times:6} {rule}")
        unused = [rule for rule in self.rules if rule not in explained] if count >= 20_000 else []
        for rule in unused:
            print(f"     never {rule}")
        unexplained.sort(key=lambda case: sum(map(len, case[0])))
        kinds = collections.Counter()
        for case, mine, other in unexplained:
            kind = f"{mine.end[:2]} {other.end[:2]}"
            kinds[kind] += 1
            if kinds[kind] > 2 or len(kinds) > 12:
                continue
            print(f"  UNEXPLAINED {[read if len(read) < 400 else read[:400] + b'...' for read in case]}\n    here  {mine}\n    there {other}")
        if unexplained:
            print(f"  {len(unexplained)} unexplained")
        self.explained = explained
        return not unexplained


def table(pairs, count):
    """The rows of COMPARE.md: pairs of a name and how often each rule explained a difference."""
    rows = collections.defaultdict(dict)
    for name, explained in pairs:
        kind, peer = name.split(", ")
        for rule, times in explained.items():
            words, _, section = rule.rpartition(" (")
            rows[peer, words, section.rstrip(")")][kind] = times
    print(f"| peer | what differs | by which section | who is right | in, of {count:,} each |\n|---|---|---|---|---|")
    for (peer, words, section), kinds in sorted(rows.items()):
        right = "pushline"
        if any(sign in section + words for sign in ("either", "no section", "no code", "no number", "MAY", "to its caller", "once its body", "saturates", "earlier:", "limits")):
            right = "either"
        if "pushline answers" in section or "pushline takes it" in section:
            right = "the peer"
        print(f"| {peer} | {words or section} | {section if words else ''} | {right} | {', '.join(f'{kind} {times}' for kind, times in kinds.items())} |")


def main():
    import events
    import frames
    import handshakes
    import http1

    given = sys.argv[1:4]
    driver, count, seed = given + ["", "20000", "1"][len(given) :]
    wanted = sys.argv[4:]
    pairs = [*frames.pairs(), *handshakes.pairs(), *http1.pairs(), *events.pairs()]
    pairs = [pair for pair in pairs if not wanted or any(word in pair.name for word in wanted)]
    good = [pair.run(driver, int(count), int(seed)) for pair in pairs]
    if "MARKDOWN" in os.environ:
        table([(pair.name, pair.explained) for pair in pairs], int(count))
    print(f"{sum(good)} passed, {len(good) - sum(good)} failed")
    sys.exit(0 if good and all(good) else 1)


if __name__ == "__main__":
    sys.modules["differ"] = sys.modules["__main__"]
    main()
