#!/usr/bin/env python3
"""Start-up time and idle memory of the release build, on Linux. Prints; with --at-most, fails if
it takes more memory.

    cargo build --release
    python3 benches/startup.py [--at-most MIB] [path of the executable]

Time is from the start of the process to the answer to `initialize`, the median of 20 runs; it
includes what Python needs to start a process. Memory is the resident set (VmRSS) half a second
after `tools/list` was answered.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 20

INITIALIZE = json.dumps({
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {},
               "clientInfo": {"name": "startup.py", "version": "1"}},
}) + "\n"
LIST = ('{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
        '{"jsonrpc":"2.0","id":2,"method":"tools/list"}\n')

# Calls are configured and the webhook port is bound; nothing is contacted before the first use.
ACCOUNT = {
    "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000000",
    "TWILIO_AUTH_TOKEN": "not-a-token",
    "TWILIO_FROM_NUMBER": "+14155550100",
    "OPENAI_API_KEY": "not-a-key",
    "OPENAGENT_PHONE_PUBLIC_URL": "https://calls.example.com",
    "OPENAGENT_PHONE_ALLOW_PREFIXES": "+1",
}

CASES = [
    ("no account", [], {}),
    ("SMS and calls set up", [], ACCOUNT),
    ("--sandbox", ["--sandbox"], {}),
]


def run(binary, arguments, environment, memory=False):
    began = time.perf_counter()
    process = subprocess.Popen([str(binary), *arguments], env=environment,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, bufsize=0)
    process.stdin.write(INITIALIZE.encode())
    answer = process.stdout.readline()
    took = time.perf_counter() - began
    if b'"result"' not in answer:
        sys.exit(f"no answer to initialize: {answer!r}")
    resident = None
    if memory:
        process.stdin.write(LIST.encode())
        process.stdout.readline()
        time.sleep(0.5)
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    process.stdin.close()
    process.wait(timeout=10)
    return took * 1000, resident


def main():
    root = Path(__file__).resolve().parent.parent
    words = sys.argv[1:]
    at_most = None
    if words[:1] == ["--at-most"]:
        at_most, words = float(words[1]), words[2:]
    binary = words[0] if words else root / "target/release/openagent-messaging"
    most = 0
    clean = {name: value for name, value in os.environ.items()
             if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    for name, arguments, settings in CASES:
        environment = {**clean, **settings}
        run(binary, arguments, environment)
        times = [run(binary, arguments, environment)[0] for _ in range(RUNS)]
        line = (f"{name}: initialize answered after {statistics.median(times):.1f} ms "
                f"(median of {RUNS}; {min(times):.1f} to {max(times):.1f})")
        if sys.platform == "linux":
            kilobytes = run(binary, arguments, environment, memory=True)[1]
            line += f", idle memory {kilobytes / 1024:.1f} MiB"
            most = max(most, kilobytes / 1024)
        print(line)
    if at_most is not None and most > at_most:
        sys.exit(f"more than {at_most} MiB: have the functions that run first lost their order (link/first.py)?")


if __name__ == "__main__":
    main()
