#!/usr/bin/env python3
"""How time and memory of the whole job (`whole.py`'s recipe) grow with the rows, and one run under a ceiling of memory.

Prints a straight line through seconds over rows by least squares, how far the runs lie from it, and the exponent of rows^x. The first side
of the results is the smallest size. Quality: rows left by dedup and rows kept, of each size; the peak against the ceiling.
"""

import json
import shutil
import statistics
import sys
from pathlib import Path

import numpy as np

import common
import gen_embeddings
import whole


def fit(rows, seconds):
    """Least squares: {seconds per million rows, seconds at none, largest deviation, exponent}."""
    millions = np.array(rows) / 1e6
    slope, start = np.polyfit(millions, seconds, 1)
    line = slope * millions + start
    deviation = float(np.abs(line / seconds - 1).max())
    return {"seconds_per_million_rows": round(float(slope), 3), "seconds_at_none": round(float(start), 3), "largest_deviation": round(deviation, 4),
            "exponent": round(float(np.polyfit(np.log(millions), np.log(seconds), 1)[0]), 3)}


def main():
    parser = common.arguments(__doc__, sizes="500000,1000000,2000000,4000000", d=512, cells="auto", k=500, iterations=20, epsilon=0.05, fraction=0.3, temperature=0.1,
                              memory="2G", memory_rows=0)
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    if len(set(sizes)) < 3:
        parser.error("--sizes: three or more; any line goes through two")
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)

    def side(rows, *flags):
        def once(_):
            data = gen_embeddings.ensure(rows, args.d, 1, args.data)
            run, written = out / "growth_run", out / f"growth_{rows}.toml"
            # All sizes train on as many rows: what grows is what is paid for each row.
            written.write_text(whole.recipe(args, data, min(sizes)))
            shutil.rmtree(run, ignore_errors=True)
            ran = common.run_process([args.cribble, "run", written, "--out", run, "--threads", args.threads, *flags, "--json"], args.threads)
            shutil.rmtree(run, ignore_errors=True)
            return ran

        return once

    sides = {f"{rows} rows": side(rows) for rows in sizes}
    ceiling_rows = args.memory_rows or max(sizes)
    ceiling = f"{ceiling_rows} rows, --memory {args.memory}"
    sides[ceiling] = side(ceiling_rows, "--memory", args.memory)
    results = common.alternate(args.rounds, sides)
    facts = common.opening(f"growth of the whole job, d={args.d}, {args.cells} cells, k={args.k}", args, ["numpy"])
    for name, runs in results.items():
        reports = [json.loads(run["stdout"])["report"] for run in runs]
        steps = {step["kind"]: round(statistics.median(report["steps"][at]["seconds"] for report in reports), 3) for at, step in enumerate(reports[0]["steps"])}
        facts["sides"][name] = {"command": runs[0]["command"], "seconds": [run["seconds"] for run in runs], "peak_rss_mb": max(run["peak_rss_mb"] for run in runs),
                                "inside": [common.inside_of(run["stdout"]) for run in runs],
                                "quality": {"left_by_dedup": reports[0]["steps"][0]["kept"], "kept": reports[0]["selection"]["kept"]}}
        print(f"{name}: {common.spread(facts['sides'][name]['seconds'])} s, peak {facts['sides'][name]['peak_rss_mb']:.0f} MB, {steps}, {facts['sides'][name]['quality']}")
        print(f"    {runs[0]['command']}")
    medians = [statistics.median(run["seconds"] for run in results[f"{rows} rows"]) for rows in sizes]
    facts["fit"] = fit(sizes, medians)
    facts["ceiling"] = {"side": ceiling, "limit_mb": common.inside_of(results[ceiling][0]["stdout"])["memory_limit_mb"], "peak_mb": facts["sides"][ceiling]["peak_rss_mb"]}
    print(f"line through {len(sizes)} sizes: {facts['fit']}\nunder the ceiling: {facts['ceiling']}")
    common.append(args, facts)


if __name__ == "__main__":
    sys.exit(main())
