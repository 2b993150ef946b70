#!/usr/bin/env python3
"""The table of what was asked and what was measured, as markdown, from the lines that the other scripts append to results.jsonl.

    python bench/table.py [results.jsonl ...] > table.md

Of each row the newest measurement at the size asked for is shown; where there is none, the largest smaller one, and its size is said. Of the
two ratios (whole processes; without start and imports) the smaller counts. A row without a measurement says so. Nothing is measured here.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Row:
    """One line. `same`: options that a measurement must have to count at all; `size`: those that make it the size asked for."""

    work: str
    peer: str
    script: str
    asked: float
    size: dict
    same: dict = field(default_factory=dict)
    side: str = ""  # the peer's side in the facts; the first that is not ours if empty
    quality: tuple = ()
    at_most: bool = False  # the measure is our time as a multiple of the side's


ROWS = [
    Row("k-means 1M × 512, k = 500, all assigned", "faiss.Kmeans", "kmeans", 5, {"n": 1_000_000, "d": 512}, {"k": 500}, quality=("mean_cosine",)),
    Row("k-means 1M × 512, k = 5000, all assigned", "faiss.Kmeans", "kmeans", 5, {"n": 1_000_000, "d": 512}, {"k": 5000}, quality=("mean_cosine",)),
    Row("assignment of 1M × 512 to 500", "faiss IndexFlatIP", "assign", 5, {"rows": 1_000_000, "d": 512}, {"k": 500}, quality=("labels_that_differ", "worse_than_the_other")),
    Row("assignment of 1M × 512 to 5000", "faiss IndexFlatIP", "assign", 5, {"rows": 1_000_000, "d": 512}, {"k": 5000}, quality=("labels_that_differ", "worse_than_the_other")),
    Row("mini-batch pass 300k × 512, k = 1300", "scikit-learn partial_fit", "minibatch", 4, {"rows": 300_000, "d": 512}, {"k": 1300}, quality=("mean_cosine", "mean_squared_distance")),
    Row("SemDeDup 300k × 512, k = 100", "its step in torch", "semdedup_step", 12, {"rows": 300_000, "d": 512}, {"k": 100}, quality=("removed", "removals_that_differ")),
    Row("SemDeDup 300k × 512, k = 500", "its step in torch", "semdedup_step", 12, {"rows": 300_000, "d": 512}, {"k": 500}, quality=("removed", "removals_that_differ")),
    Row("duplicates across borders 300k × 512, ε 0.05", "ourselves inside cells only", "borders", 2, {"rows": 300_000, "d": 512}, quality=("pair_recall", "row_recall"), at_most=True),
    Row("quotas, k = 50,000", "OSQP", "quotas", 50, {"k": 50_000}, {"step": False}, "OSQP", ("sum_minus_target", "exact")),
    Row("the whole job 1M × 512", "faiss + SemDeDup + DBP", "whole", 6, {"rows": 1_000_000, "d": 512}, quality=("target", "rows", "planted_pairs_left_whole")),
    Row("reshard 30% of 2 GB of tars", "resharder.py", "reshard", 10, {"shards": 20, "per_shard": 5000}, side="resharder.py", quality=("requested", "samples")),
    Row("the same, as a part of the speed of a copy", "`cp` of the bytes kept", "reshard", 0.7, {"shards": 20, "per_shard": 5000}, side="cp", quality=("bytes", "as_part_of_our_writing")),
    Row("the same, when `cp` waits for the disk as we do", "`cp` and `sync`", "reshard", 0.7, {"shards": 20, "per_shard": 5000}, side="cp, synced", quality=("bytes", "as_part_of_our_writing")),
    Row("score filter, 2M metadata rows", "baselines.py", "metadata", 8, {"files": 20, "rows": 100_000}, quality=("rows", "same_bytes")),
]


def load(paths):
    """All facts that name their script, in the order in which they were written."""
    lines = [line for path in paths if Path(path).exists() for line in Path(path).read_text().splitlines() if line.strip()]
    return [facts for facts in map(json.loads, lines) if "script" in facts and "options" in facts]


def matches(options, wanted):
    return all(options.get(name) == value for name, value in wanted.items())


def choose(row, facts):
    """(the facts to show, whether they are of the size asked for), or None."""
    fitting = [one for one in facts if one["script"] == row.script and matches(one["options"], row.same) and {"cribble", row.side or "cribble"} <= set(one["sides"]) and len(one["sides"]) > 1]
    full = [one for one in fitting if matches(one["options"], row.size)]
    if full:
        return full[-1], True
    return (max(reversed(fitting), key=lambda one: one["work"]), False) if fitting else None


def measured(row, facts):
    """(the measure, the peer's side): how many times as long the peer takes, or with `at_most` how many times as long we do."""
    name = row.side or next(name for name in facts["sides"] if name != "cribble")
    side = facts["sides"][name]
    if row.at_most:
        return 1 / side["ratio"], side
    return min(side["ratio"], side.get("inside_ratio", side["ratio"])), side


def words(value):
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else f"{value:.6g}" if isinstance(value, float) else str(value)


def qualities(row, side, ours):
    """`name peer / ours` for what both have, the only one where one has it; then both peaks of memory."""
    parts = []
    for key in row.quality:
        found = [words(quality[key]) for quality in (side["quality"], ours["quality"]) if key in quality]
        if found:
            parts.append(f"{key.replace('_', ' ')} {' / '.join(found)}")
    return "; ".join([*parts, f"memory {side['peak_rss_mb']:,.0f} / {ours['peak_rss_mb']:,.0f} MB"])


def line(row, facts):
    """(the line of the table, the facts that it shows or None)."""
    asked = f"≤ {row.asked:g}×" if row.at_most else f"{row.asked:g}×"
    chosen = choose(row, facts)
    if not chosen:
        return f"| {row.work} | {row.peer} | {asked} | not measured | |", None
    shown, full = chosen
    value, side = measured(row, shown)
    text = f"{value:.2f}×"
    if full:
        met = value <= row.asked if row.at_most else value >= row.asked
        text = f"**{text}**" if met else f"{text}, short"
    else:
        text += " (smaller: " + ", ".join(f"{name} {words(shown['options'].get(name))}" for name in row.size) + ")"
    return f"| {row.work} | {row.peer} | {asked} | {text} | {qualities(row, side, shown['sides']['cribble'])} |", shown


def growth(facts):
    """What the newest growth run found, as lines."""
    runs = [one for one in facts if one["script"] == "growth"]
    if not runs:
        return ["", "Growth with the rows: not measured."], None
    found, ceiling = runs[-1]["fit"], runs[-1]["ceiling"]
    lines = ["", "| run | seconds | peak memory |", "|---|---|---|"]
    lines += [f"| {name} | {sorted(side['seconds'])[len(side['seconds']) // 2]:.1f} | {side['peak_rss_mb']:,.0f} MB |" for name, side in runs[-1]["sides"].items()]
    lines += ["", f"Line: {found['seconds_per_million_rows']:g} s a million rows + {found['seconds_at_none']:g} s, runs within {100 * found['largest_deviation']:.1f}% of it; "
              f"time grows as rows^{found['exponent']:g}. Under a ceiling of {ceiling['limit_mb']:,} MB the peak was {ceiling['peak_mb']:,.0f} MB ({ceiling['side']})."]
    return lines, runs[-1]


def main():
    """The table, the growth, and where and how both were measured."""
    if any(argument.startswith("-") for argument in sys.argv[1:]):
        return __doc__
    facts = load(sys.argv[1:] or ["bench_out/results.jsonl"])
    print("| work | peer | at least | measured | quality (peer / Cribble) |\n|---|---|---|---|---|")
    used = []
    for row in ROWS:
        text, shown = line(row, facts)
        print(text)
        used.append(shown)
    lines, shown = growth(facts)
    print("\n".join(lines))
    used = [one for at, one in enumerate([*used, shown]) if one and one not in [*used, shown][:at]]
    if not used:
        return None
    print("\nMeasured on:\n")
    for machine in dict.fromkeys(f"{one['machine']}; {one['threads']} threads" for one in used):
        print(f"- {machine}")
    print("\n```")
    for one in used:
        print(f"# {one['title']} (medians of {len(next(iter(one['sides'].values()))['seconds'])}; {', '.join(f'{name} {version}' for name, version in one['versions'].items())})")
        for name, side in one["sides"].items():
            print(f"{name}: {side['command']}")
    print("```")


if __name__ == "__main__":
    sys.exit(main())
