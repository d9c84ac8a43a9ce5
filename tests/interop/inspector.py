"""The MCP inspector, by the steps that the README shows."""

import json
import re
import subprocess
from pathlib import Path

from common import PATIENCE, PLACE, PROGRAM, check, report, same

# npm's opinion of the user's settings, and our own log.
NOT_A_FINDING = re.compile(r"^npm warn|Z +(INFO|WARN) .*openagent_messaging")

SHOWN = "target/release/openagent-messaging"


def steps():
    """The commands of the first shell block after the marker."""
    readme = Path("README.md").read_text()
    block = re.search(r"<!-- inspector-steps -->\n```sh\n(.*?)```", readme, re.DOTALL).group(1)
    return block.replace("\\\n", " ").strip().splitlines()


def run(step):
    """Runs a step as it is written; gives what it printed, and what else it said."""
    command = step.replace(SHOWN, PROGRAM)
    ran = subprocess.run(
        # Where npx finds that version installed, and need not ask for it.
        ["bash", "-euo", "pipefail", "-c", command], cwd=Path(PLACE, "lib"), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE,
    )
    said = [line for line in ran.stderr.splitlines() if not NOT_A_FINDING.search(line)]
    same(f"exit code of: {step}", ran.returncode, 0)
    try:
        return json.loads(ran.stdout), said
    except json.JSONDecodeError:
        check(False, f"{step}\nprinted no result: {ran.stdout}{ran.stderr}")
        return {}, said


def is_answer(answer, fields):
    check(not answer.get("isError"), f"an error: {answer.get('content')}")
    content = answer.get("structuredContent", {})
    same("fields of the result", sorted(content), sorted(fields))


listing, sending, calling = steps()
listed, findings = run(listing)
tools = [tool["name"] for tool in listed.get("tools", [])]
check("phone_call_place" in tools, f"tools: {tools}")
same("findings of the inspector", "\n".join(findings), "")
sent, _ = run(sending)
is_answer(sent, ["sid", "status", "to", "from", "segments"])
placed, _ = run(calling)
is_answer(placed, ["call_id", "status", "twilio_sid", "max_duration_seconds", "revision", "hint"])

# The newest revision of the protocol, which the inspector speaks when it is told to.
modern, findings = run(f"{listing} --protocol-era modern")
same("tools in the newest revision", modern.get("tools"), listed.get("tools"))
report(f"{len(tools)} tools, no findings")
