"""Shared by all side-by-side runs: processes timed from outside, machine and versions, rounds that alternate, result lines.

A reader may question why peers run as whole processes too: our figure includes start, reading and writing, so theirs must.
What a peer measures inside itself is printed beside it, never instead of it.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "parity"))  # recorder.common: checkouts and repairs of the references


def arguments(description, **defaults):
    """Parser with what every script takes; each keyword becomes a flag with that default (its type is the default's)."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--cribble", default=str(ROOT / "target/release/cribble"), help="our binary, a release build")
    parser.add_argument("--data", default="bench_data", help="folder for generated data (made once, kept)")
    parser.add_argument("--out", default="bench_out", help="folder for runs and results.jsonl")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side, alternating")
    parser.add_argument("--peer", help=argparse.SUPPRESS)  # set by the script when it runs itself as the peer's process
    for name, value in defaults.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value) if value is not None else str, default=value)
    return parser


def machine():
    """Processor, cores, memory and system, in one line."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    kib = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    return f"{model}, {os.cpu_count()} cores, {kib / 2**20:.0f} GiB, {platform.system()} {platform.release()}"


def versions(binary, *packages):
    """Our version, our commit, Python's and the packages' versions."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    found["cribble"] = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout.strip() if Path(binary).exists() else "absent"
    found["commit"] = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return found


def run_process(command, threads, cwd=None, python_path=None):
    """Run one command. Returns {command, seconds, peak_rss_mb, stdout}; stops the script when it fails.

    Peak memory is the largest resident size of any one process of the command (the workers of a pool are not added up).
    """
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = {**os.environ, **limits, **({"PYTHONPATH": python_path} if python_path else {})}
    out, errors, usage = (Path("bench_out") / name for name in (".stdout", ".stderr", ".usage"))
    out.parent.mkdir(exist_ok=True)
    launcher = [sys.executable, "-S", str(Path(__file__).resolve().parent / "launch.py"), str(usage.resolve())]
    with open(out, "w") as stdout, open(errors, "w") as stderr:
        code = subprocess.run(launcher + [str(part) for part in command], stdout=stdout, stderr=stderr, cwd=cwd, env=environment).returncode
    if code != 0:
        raise SystemExit(f"failed with {code}: {' '.join(map(str, command))}\n{errors.read_text()[-4000:]}")
    kibibytes, seconds = usage.read_text().split()
    return {"command": " ".join(map(str, command)), "seconds": float(seconds), "peak_rss_mb": int(kibibytes) / 1024, "stdout": out.read_text()}


def last_json(text):
    """The last JSON object of a program's standard output, or None."""
    text = text.strip()
    try:
        return json.loads(text)
    except ValueError:
        for line in reversed(text.splitlines()):
            if line.startswith("{"):
                return json.loads(line)
    return None


def inside_of(text):
    """What a process measured inside itself: its JSON as it is, of our runs of steps only the seconds and the peak that they report."""
    found = last_json(text)
    if not found or "steps" not in (found.get("report") or {}):
        return found
    report = found["report"]
    return {"seconds": round(report["seconds"], 3), "steps": {step["step"]: round(step["seconds"], 3) for step in report["steps"]},
            "kept": report["selection"]["kept"], "peak_memory_mb": round(report["peak_memory_bytes"] / 2**20),
            "memory_limit_mb": round(report["memory_limit_bytes"] / 2**20)}


def alternate(rounds, sides):
    """Run each side `rounds` times, taking turns, so that a noisy minute hits both. `sides`: name -> function of the round."""
    results = {name: [] for name in sides}
    for turn in range(rounds):
        for name, run in sides.items():
            results[name].append(run(turn))
            print(f"  round {turn + 1} {name}: {results[name][-1]['seconds']:.2f} s", file=sys.stderr)
    return results


def spread(values):
    return f"{statistics.median(values):.3f} [{min(values):.3f}-{max(values):.3f}] x{len(values)}"


def opening(title, args, packages):
    """What every line of results.jsonl begins with (`table.py` finds it by script and options), printed as it is made."""
    facts = {"title": title, "script": Path(sys.argv[0]).stem, "options": {name: value for name, value in vars(args).items() if name != "peer"},
             "machine": machine(), "threads": args.threads, "versions": versions(args.cribble, *packages), "sides": {}}
    print(f"\n{title}\n{facts['machine']}; {args.threads} threads; {facts['versions']}")
    return facts


def append(args, facts):
    Path(args.out).mkdir(parents=True, exist_ok=True)
    with open(Path(args.out) / "results.jsonl", "a") as file:
        file.write(json.dumps(facts) + "\n")


def report(title, args, results, work, unit, quality, packages):
    """Print machine, versions, commands, times, rates, the ratio and the quality beside it; append one line to results.jsonl.

    A peer that prints `work_s`, its seconds without start and imports, gets a second ratio: to ours, or to all that our run reports.
    """
    facts = {**opening(title, args, packages), "work": work, "unit": unit}
    for name, runs in results.items():
        seconds = [run["seconds"] for run in runs]
        side = {"command": runs[0]["command"], "seconds": seconds, "peak_rss_mb": max(run["peak_rss_mb"] for run in runs),
                "inside": [inside_of(run["stdout"]) for run in runs], "quality": quality.get(name, {})}
        facts["sides"][name] = side
        print(f"{name}: {spread(seconds)} s, {work / statistics.median(seconds):,.0f} {unit}/s, peak {side['peak_rss_mb']:.0f} MB, {side['quality']}\n    {side['command']}")
        if name != "cribble":
            print(f"    inside its own process: {side['inside'][-1]}")
    ours = statistics.median(facts["sides"]["cribble"]["seconds"]) if "cribble" in facts["sides"] else None
    for name, side in facts["sides"].items():
        if ours and name != "cribble":
            side["ratio"] = statistics.median(side["seconds"]) / ours
            print(f"ratio: {name} takes {side['ratio']:.2f} times as long as cribble (medians)")
            if side["inside"][0] and "work_s" in side["inside"][0]:
                theirs = statistics.median(run["work_s"] for run in side["inside"])
                mine = statistics.median(run.get("work_s", run.get("seconds")) for run in facts["sides"]["cribble"]["inside"])
                side["inside_ratio"] = theirs / mine
                print(f"without start and imports: {theirs:.4g} s to {mine:.4g} s, {side['inside_ratio']:.2f} times")
    append(args, facts)


def sides_of(args, peer_name, peer, ours):
    """Both sides; only the peer where our binary does not exist yet (said aloud)."""
    if Path(args.cribble).exists():
        return {peer_name: peer, "cribble": ours}
    print(f"{args.cribble} is not there: only the peer runs", file=sys.stderr)
    return {peer_name: peer}


def self_command(script, args, *extra):
    """The command that runs `script` again as the peer's own process."""
    return [sys.executable, script, "--peer", "run", "--data", args.data, "--out", args.out, "--threads", args.threads, *extra]
