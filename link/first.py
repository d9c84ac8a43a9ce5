#!/usr/bin/env python3
"""Writes link/first.ld: which functions run before an agent asks for anything.

    LINK_UNORDERED=1 cargo build --profile profiling
    python3 link/first.py

A program's memory is counted in pages, and Linux maps sixteen at once: functions that lie apart cost
64 KiB each, functions that lie together nothing more than themselves. So the linker puts those that run
at the start, until `tools/list` is answered, side by side. valgrind tells which ones these are. It knows the names of
functions only where they usually stand, so the program is linked without this order first.

Names lose what changes from build to build: hashes, counters, versions, and where in a name another
name is repeated. A name that is missing, or fits nothing any more, costs memory and nothing else. Linux,
valgrind.
"""

import collections
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/profiling/openagent-messaging"
TARGET = ROOT / "link/first.ld"

# The start runs about a thousand.
FEWEST = 500

HEAD = """/* Functions that run until an agent has its list of tools, side by side: see link/first.py, which
   writes this file, and build.rs, which hands it to the linker. */
"""

sys.path.insert(0, str(ROOT / "benches"))
from startup import CASES, INITIALIZE, LIST  # noqa: E402  the same starts that are measured


def executed(arguments, environment):
    """Mangled names of the program's functions that ran."""
    with tempfile.NamedTemporaryFile(suffix=".callgrind") as out:
        command = ["valgrind", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={out.name}",
                   str(PROGRAM), *arguments]
        process = subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", **environment},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, bufsize=0)
        process.stdin.write((INITIALIZE + LIST).encode())
        for _ in range(2):
            json.loads(process.stdout.readline())
        process.stdin.close()
        process.wait(60)
        return names(Path(out.name).read_text(encoding="utf-8"))


def names(profile):
    """Of all functions in a profile, those of the program itself: "(7) name", or "(7)" again later."""
    known, found, ours = {"ob": {}, "fn": {}}, set(), False
    for line in profile.splitlines():
        entry = re.match(r"c?(ob|fn)=\((\d+)\)(?: (.*))?$", line)
        if not entry:
            continue
        kind, number, name = entry.groups()
        name = known[kind].setdefault(number, name)
        if line.startswith("ob="):
            ours = name == str(PROGRAM)
        elif line.startswith("fn=") and ours:
            found.add(re.sub(r"'\d+$", "", name))
    return found


def pattern(name):
    """The section of a function, also if the compiler has put it among the unlikely ones."""
    name = re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", name)
    name = re.sub(r"B[0-9A-Za-z]*_", "B*_", name)
    name = re.sub(r"17h[0-9a-f]{16}E.*", "17h*", name)
    name = re.sub(r"aws_lc_\d+_\d+_\d+_", "aws_lc_*_", name)
    name = re.sub(r"\.\d+$", ".*", name)
    return f"*(.text*.{name.replace('$', '?')})"


def write(found):
    """Those that stand for one function first: the others bring functions along that do not run."""
    listed = subprocess.run(["nm", str(PROGRAM)], stdout=subprocess.PIPE, check=True).stdout.decode()
    everything = collections.Counter(pattern(line.split()[-1]) for line in listed.splitlines()
                                     if line.split()[-2] in "tTwW")
    wanted = {pattern(name) for name in found if re.fullmatch(r"[A-Za-z_.][\w.$]*", name)}
    if len(wanted) < FEWEST:
        sys.exit(f"{len(wanted)} functions have a name: was the program built with LINK_UNORDERED?")
    lines = sorted(wanted, key=lambda line: (everything[line], line))
    body = "\n".join(f"    {line}" for line in lines)
    TARGET.write_text(f"{HEAD}SECTIONS\n{{\n  .text.first :\n  {{\n{body}\n  }}\n}}\nINSERT BEFORE .text;\n",
                      encoding="utf-8")
    print(f"{len(found)} functions, {len(lines)} lines")


def main():
    write(set().union(*(executed(arguments, environment) for _, arguments, environment in CASES)))


if __name__ == "__main__":
    main()
