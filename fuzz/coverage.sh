#!/usr/bin/env bash
# What the fuzz targets cover: `fuzz/coverage.sh [SECONDS [TARGET...]]`. Makes seeds of the tables, builds the targets (nightly), lets
# each look for SECONDS (default 15; 0: the corpus as it is) and prints a table: the edges of the crate covered and in all, in the
# functions that were entered, and the functions linked but not entered; fuzz/seeds.py's seeds and what was found stay in
# fuzz/corpus. Below it: the functions that no target entered, by file and line. The models (src/fuzzing) do not count.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-15}
shift $(($# < 1 ? $# : 1))
targets=("$@")
[[ $# -gt 0 ]] || mapfile -t targets < <(sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.toml | grep -v '^pushline-fuzz$')

python3 seeds.py > /dev/null
cargo +nightly fuzz build >&2
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
programs=target/$(rustc -vV | sed -n 's/^host: //p')/release
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    if [[ $seconds -gt 0 ]]; then
        timeout $((seconds + 120)) "$programs/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
            -artifact_prefix="$out/" "corpus/$target" > "$out/$target.run" 2>&1 ||
            { tail -n 20 "$out/$target.run"; cp "$out"/crash-* "$out"/timeout-* . 2> /dev/null || true; }
    fi
    timeout 600 "$programs/$target" -runs=0 -print_coverage=1 "corpus/$target" > "$out/$target.coverage" 2>&1
done

python3 - "$out" "${targets[@]}" << 'END'
import collections
import pathlib
import re
import sys

out = pathlib.Path(sys.argv[1])
root = str(pathlib.Path.cwd().parent)
entered, never, total = set(), collections.Counter(), [0, 0]
print("| target | edges covered | in all | % | functions not entered | runs |\n|---|--:|--:|--:|--:|--:|")
for target in sys.argv[2:]:
    covered = edges = 0
    here, missing = set(), set()
    for line in (out / f"{target}.coverage").read_text(errors="replace").splitlines():
        found = re.match(r"(UN)?COVERED_FUNC: hits: \d+ edges: (\d+)/(\d+) .* (/\S+):(\d+)$", line.strip())
        if not found or not found[4].startswith(f"{root}/src/") or "/src/fuzzing" in found[4]:
            continue
        name = f"{found[4][len(root) + 1:]}:{found[5]}"
        if found[1]:
            missing.add(name)
            never[name] = max(never[name], int(found[3]))
        else:
            here.add(name)
            covered += int(found[2])
            edges += int(found[3])
    missing -= here  # a function of several instances is entered by one of them
    entered |= here
    run = out / f"{target}.run"
    runs = re.search(r"Done (\d+) runs", run.read_text(errors="replace")) if run.exists() else None
    print(f"| {target} | {covered} | {edges} | {100 * covered / max(edges, 1):.1f} | {len(missing)} | {runs[1] if runs else '-'} |")
    total = [total[0] + covered, total[1] + edges]
print(f"| all | {total[0]} | {total[1]} | {100 * total[0] / max(total[1], 1):.1f} | {len(set(never) - entered)} | |")
print("\nEntered by no target:")
for name in sorted(set(never) - entered):
    print(f"  {name} ({never[name]} edges)")
END
