#!/usr/bin/env python3
"""Reads `cargo metadata` from its input: every crate that a user of pushline links must have a licence that may be linked
into anything."""
import json
import re
import sys

ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0",
    "Unicode-3.0", "Unlicense", "Zlib",
    "Apache-2.0 WITH LLVM-exception",
}


def is_allowed(expression):
    """An SPDX expression of names, AND, OR and parentheses; the old `A/B` is `A OR B`."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR ").replace(" WITH ", "+WITH+"))

    def either():
        value = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            value = both() or value
        return value

    def both():
        value = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            value = one() and value
        return value

    def one():
        token = tokens.pop(0)
        if token == "(":
            value = either()
            tokens.pop(0)
            return value
        return token.replace("+WITH+", " WITH ") in ALLOWED

    return either() and not tokens


assert is_allowed("MIT OR GPL-3.0") and not is_allowed("MIT AND GPL-3.0") and is_allowed("(MIT OR X) AND ISC")
metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
seen, todo = set(), [metadata["resolve"]["root"]]
while todo:
    name = todo.pop()
    if name in seen:
        continue
    seen.add(name)
    for dependency in nodes[name]["deps"]:
        # The development dependencies are nobody's but ours.
        if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
            todo.append(dependency["pkg"])
bad = [packages[name] for name in seen if not is_allowed(packages[name]["license"] or "none")]
for package in bad:
    print(f"{package['name']} {package['version']}: {package['license']}")
print(f"{len(seen)} crates, {len(bad)} with a licence that is not on the list")
sys.exit(bool(bad) or len(seen) < 20)
