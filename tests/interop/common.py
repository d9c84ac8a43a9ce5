"""What the parts share: where things are, and how one of them fails."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import traceback

PROGRAM = os.environ["INTEROP_PROGRAM"]
HELPER = os.environ["INTEROP_HELPER"]
PLACE = os.environ["INTEROP_PLACE"]

# What has to happen does so within this many seconds, on any machine. It is waited for.
PATIENCE = 60

_differences = []


def check(holds, what):
    """Notes what differed, and goes on, so that one run tells everything."""
    if not holds:
        _differences.append(what)
    return bool(holds)


def same(what, found, expected):
    return check(found == expected, f"{what}: {found!r} instead of {expected!r}")


def report(summary):
    """Ends the part."""
    if _differences:
        print("\n".join(dict.fromkeys(_differences)))
        sys.exit(1)
    print(summary)


def play(main):
    """Runs a part to its end, which is its summary."""
    try:
        report(asyncio.run(main()))
    except Exception as error:
        for one in leaves(error):
            # Where it was in the part, and what it was.
            place = [line for line in traceback.format_exception(one) if "tests/interop" in line and "common.py" not in line][-1:]
            check(False, "".join([*place, f"{type(one).__name__}: {one}"]).rstrip())
        report(None)


async def together(*tasks):
    """All at once; if one of them fails, the others end as well."""
    async with asyncio.TaskGroup() as group:
        begun = [group.create_task(task) for task in tasks]
    return [task.result() for task in begun]


async def soon(what, task):
    try:
        return await asyncio.wait_for(task, PATIENCE)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None


def leaves(error):
    """Task groups wrap what went wrong in them, several times over."""
    inner = getattr(error, "exceptions", None)
    return [leaf for one in inner for leaf in leaves(one)] if inner else [error]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def stand_ins():
    """A carrier and a model on loopback; gives the settings that lead the program to them."""
    helper = subprocess.Popen([HELPER, "stand-ins"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(helper.stdout.readline())
    finally:
        helper.stdin.close()
        code = helper.wait(PATIENCE)
        # It has said on stderr what it complains of.
        check(code == 0, "the stand-ins complain of what they were sent")


def settings_for_calls(stand_ins, port):
    """Settings of a program that may call the United States and Canada."""
    return stand_ins | {
        "OPENAGENT_PHONE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "OPENAGENT_PHONE_PORT": str(port),
        "OPENAGENT_PHONE_ALLOW_PREFIXES": "+1",
    }
