#!/usr/bin/env python3
"""Collects what docs/performance.md plots: how costs grow. Linux, two cores, valgrind.

    cargo build --release && cargo build --release --example load
    python3 benches/growth/collect.py docs/performance/growth.json [SECONDS]

By the number of calls: the load example, SECONDS (8) for each number. By the length of a call:
instructions of a status poll, from the instructions bench.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CALLS = [1, 10, 25, 50, 100, 200, 300, 400, 500, 600, 700, 800]


def load(calls, seconds):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [ROOT / "target/release/examples/load", "--calls", str(calls),
                   "--seconds", str(seconds), "--no-barge-in", "--json", report.name]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            print(f"{calls} calls: the run failed", file=sys.stderr)
            return None
        return json.load(report)


def main():
    target = Path(sys.argv[1])
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    runs, failed = [], []
    for calls in CALLS:
        run = load(calls, seconds)
        if run:
            runs.append(run)
            print(f"{calls} calls: {run['product']['cpu_s_per_call_s'] * 1e3:.3f} ms a second each, "
                  f"{run['cpu_ratio']:.3f} times the floor, "
                  f"p99 {run['product']['latency_ms']['inbound']['p99']} ms")
        else:
            failed.append(calls)
    polls = subprocess.run(["cargo", "bench", "--quiet", "--locked", "--bench", "instructions", "--", "--growth"],
                           cwd=ROOT, stdout=subprocess.PIPE, check=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    everything = {"calls": runs, "failed": failed, "polls": json.loads(polls.stdout)}
    target.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
