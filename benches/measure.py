#!/usr/bin/env python3
"""Measures everything that docs/performance.md states, and writes the figures into it.

    python3 benches/measure.py            # all of it: about 25 minutes on a quiet machine, with the builds
    python3 benches/measure.py load tls   # some of it: build startup load tls allocations growth micro
    python3 benches/measure.py --seconds 4 load    # shorter runs, for a look

Linux, two cores, nothing else running; taskset, valgrind, and for the plots a virtual environment that
is made in target/plots. Text between `<!-- NAME -->` and `<!-- end -->` is replaced by what the
commands printed; the JSON of every run stays in docs/performance/.
"""

import datetime
import json
import os
import platform
import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/performance.md"
DATA = ROOT / "docs/performance"
LOAD = ROOT / "target/release/examples/load"
BINARY = ROOT / "target/release/openagent-messaging"

# Calls, and seconds of conversation for each of program and floor.
LOADS = [(50, 20), (200, 20), (400, 12)]
TLS_CALLS = 100
TLS_SECONDS = 10
GROWTH_SECONDS = 6
TLS = [
    ("no TLS", []),
    ("TLS 1.3, AES-256-GCM, sessions resumed", ["--tls"]),
    ("the same, never resumed", ["--tls", "--no-resumption"]),
    ("AES-128-GCM", ["--cipher", "aes128"]),
    ("ChaCha20-Poly1305", ["--cipher", "chacha20"]),
    ("AES-256-GCM, records of at most 256 bytes", ["--tls", "--record", "256"]),
    ("AES-256-GCM, deltas of 200 ms", ["--tls", "--delta-ms", "200"]),
    ("no TLS, deltas of 200 ms", ["--delta-ms", "200"]),
    # How far two equal runs differ.
    ("no TLS, once more", []),
]


def run(*command):
    print("$", *command, flush=True)
    done = subprocess.run([str(word) for word in command], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    text = done.stdout.decode()
    print(text, flush=True)
    return text


def put(name, text):
    """Replaces what stands between the two marks."""
    page = PAGE.read_text(encoding="utf-8")
    block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not block.search(page):
        sys.exit(f"docs/performance.md has no place for {name}")
    PAGE.write_text(block.sub(lambda found: found[1] + text.strip() + "\n" + found[2], page), encoding="utf-8")


def load(name, calls, seconds, *more):
    report = DATA / f"{name}.json"
    DATA.mkdir(parents=True, exist_ok=True)
    table = run(LOAD, "--calls", calls, "--seconds", seconds, "--json", report, *more)
    return table, json.loads(report.read_text(encoding="utf-8"))


def build():
    run("cargo", "build", "--release", "--locked")
    run("cargo", "build", "--release", "--locked", "--example", "load")
    with open("/proc/cpuinfo", encoding="ascii") as cpuinfo:
        model = next(line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name"))
    compiler = run("rustc", "--version").strip()
    size = BINARY.stat().st_size / 1e6
    put("machine", f"Measured on {datetime.date.today()}: {model}, {os.cpu_count()} cores, "
        f"Linux {platform.release().split('-')[0]}, {compiler}. "
        f"The executable has {size:.1f} MB.")


def startup():
    put("startup", "```text\n" + run("python3", "benches/startup.py").strip() + "\n```")


def loads():
    tables = [load(f"load-{calls}", calls, seconds)[0] for calls, seconds in LOADS]
    put("load", "\n".join(tables))


def tls():
    rows = ["| model's leg | CPU per call, ms a second | times the floor | CPU to set a call up, ms "
            "| handshakes: full, resumed |",
            "|---|---|---|---|---|"]
    for number, (name, options) in enumerate(TLS):
        _, report = load(f"tls-{number}", TLS_CALLS, TLS_SECONDS, "--no-barge-in", *options)
        shakes = report.get("tls")
        shakes = f"{shakes['full']}, {shakes['resumed']}" if shakes else "–"
        cpu = report["product"]["cpu_s_per_call_s"] * 1e3
        set_up = report["product"]["set_up_cpu_ms"]
        rows.append(f"| {name} | {cpu:.3f} | {report['cpu_ratio']:.3f} | {set_up:.2f} | {shakes} |")
    put("tls", "\n".join(rows))


def allocations():
    run("cargo", "build", "--release", "--locked", "--example", "counted")
    _, report = load("allocations", 50, 10, "--allocations", "--no-barge-in")
    each = report["product"]["allocations_per_frame"]
    put("allocations", f"{each:.3f} a frame at 50 calls, over both directions, everything in the process "
        "included.")


def growth():
    run("python3", "benches/growth/collect.py", DATA / "growth.json", GROWTH_SECONDS)
    place = ROOT / "target/plots"
    if not place.exists():
        venv.create(place, with_pip=True)
    run(place / "bin/pip", "install", "--quiet", "-r", "benches/growth/requirements.txt")
    run(place / "bin/python", "benches/growth/plot.py", DATA / "growth.json", DATA)
    everything = json.loads((DATA / "growth.json").read_text(encoding="utf-8"))
    runs = everything["calls"]

    def slowest(report):
        return max(report["product"]["latency_ms"][way]["p99"] for way in ("inbound", "outbound"))

    kept = 0
    for report in runs:
        if slowest(report) > 20:
            break
        kept = report["calls"]
    rows = ["| calls | CPU per call, ms a second | times the floor | slower p99, ms | stand-ins busy |",
            "|---|---|---|---|---|"]
    for report in runs:
        cpu = report["product"]["cpu_s_per_call_s"] * 1e3
        rows.append(f"| {report['calls']} | {cpu:.3f} | {report['cpu_ratio']:.3f} | {slowest(report):.2f} | "
                    f"{report['stand_ins_busy']:.2f} |")
    rows += [f"| {calls} | the run failed | | | |" for calls in everything["failed"]]
    rows.append("")
    rows.append(f"Up to {kept} calls in this table, 99 of 100 frames take less than 20 ms.")
    put("growth", "\n".join(rows))


def micro():
    text = run("cargo", "bench", "--quiet", "--locked", "--bench", "micro")
    # Without what each allocates, which is told as lines without a name.
    text = "\n".join(line.rstrip(" │") for line in text.splitlines() if re.search(r"─ \w|^micro", line))
    put("micro", "```text\n" + text.strip() + "\n```")
    text = run("cargo", "bench", "--quiet", "--locked", "--bench", "instructions")
    put("instructions", "```text\n" + text.strip() + "\n```")


PARTS = {"build": build, "startup": startup, "load": loads, "tls": tls, "allocations": allocations,
         "growth": growth, "micro": micro}


def main():
    words = sys.argv[1:]
    if words[:1] == ["--seconds"]:
        seconds = int(words[1])
        LOADS[:] = [(calls, seconds) for calls, _ in LOADS]
        globals().update(TLS_SECONDS=seconds, GROWTH_SECONDS=seconds)
        words = words[2:]
    wanted = words or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        sys.exit(f"parts are {', '.join(PARTS)}, not {', '.join(unknown)}")
    for name in wanted:
        PARTS[name]()


if __name__ == "__main__":
    main()
