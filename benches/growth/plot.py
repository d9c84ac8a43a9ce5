#!/usr/bin/env python3
"""Draws the plots of docs/performance.md from the data that collect.py writes.

    python3 -m venv target/plots
    target/plots/bin/pip install -r benches/growth/requirements.txt
    target/plots/bin/python benches/growth/plot.py docs/performance/growth.json docs/performance
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  after the choice of the backend

# The same file from the same data: no dates, no random names.
matplotlib.rcParams["svg.hashsalt"] = "openagent-messaging"
matplotlib.rcParams["svg.fonttype"] = "none"
matplotlib.rcParams["font.size"] = 10


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    # One newline at the end, no blanks at the ends of lines: a text file like others.
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")


def calls(runs, folder):
    numbers = [run["calls"] for run in runs]
    figure, (cpu, latency, memory) = plt.subplots(1, 3, figsize=(12, 3.6))
    for who, style in (("product", "o-"), ("floor", "s--")):
        name = {"product": "program", "floor": "floor"}[who]
        cpu.plot(numbers, [run[who]["cpu_s_per_call_s"] * 1e3 for run in runs], style, label=name, markersize=4)
        latency.plot(numbers, [run[who]["latency_ms"]["inbound"]["p99"] for run in runs],
                     style, label=f"{name}, callee to model", markersize=4)
        latency.plot(numbers, [run[who]["latency_ms"]["outbound"]["p99"] for run in runs],
                     style, label=f"{name}, model to callee", markersize=4, alpha=0.5)
        memory.plot(numbers, [run[who]["rss_per_call_kib"] for run in runs], style, label=name, markersize=4)
    cpu.set(title="CPU per call", xlabel="calls", ylabel="ms of CPU per second of call", ylim=(0, None))
    latency.set(title="Latency, 99 of 100 frames", xlabel="calls", ylabel="ms", yscale="log")
    latency.axhline(20, color="grey", linewidth=0.8)
    memory.set(title="Memory per call", xlabel="calls", ylabel="KiB", yscale="log")
    for axes in (cpu, latency, memory):
        axes.grid(True, linewidth=0.3)
        axes.legend(fontsize=7)
    save(figure, folder / "calls.svg")


def polls(points, folder):
    lines = [point["lines"] for point in points]
    figure, axes = plt.subplots(figsize=(6, 3.6))
    axes.plot(lines, [point["full"] / 1e3 for point in points], "s--", label="all lines", markersize=4)
    axes.plot(lines, [point["new"] / 1e3 for point in points], "o-", label="the one new line", markersize=4)
    axes.set(title="A status poll", xlabel="lines of the transcript so far",
             ylabel="thousand instructions", yscale="log")
    axes.grid(True, linewidth=0.3)
    axes.legend()
    save(figure, folder / "polls.svg")


def main():
    data = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    calls(data["calls"], folder)
    polls(data["polls"], folder)


if __name__ == "__main__":
    main()
