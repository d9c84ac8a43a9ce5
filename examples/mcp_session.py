#!/usr/bin/env python3
"""A host in a hundred lines: starts the server with --sandbox and speaks MCP over stdio.

    cargo build --release
    python3 examples/mcp_session.py [path of the executable]

It initializes, lists the tools, places a call, follows it to its end and prints what happened.
It needs Python 3.8 and nothing else, and no account. The exit code is 1 if the call does not
reach its goal.
"""

import itertools
import json
import subprocess
import sys
from pathlib import Path

FINAL = {"completed", "busy", "failed", "no_answer", "canceled", "voicemail",
         "hung_up_by_agent", "timed_out"}


class Server:
    def __init__(self, command):
        # Logs go to stderr, which stays that of this script; stdout carries MCP alone.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, encoding="utf-8")
        self.ids = itertools.count(1)

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def request(self, method, params):
        number = next(self.ids)
        self.send({"id": number, "method": method, "params": params})
        # What comes before the answer is a notification, such as progress.
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("id") != number:
                continue
            if "error" in message:
                raise SystemExit(f"{method}: {message['error']['message']}")
            return message["result"]
        raise SystemExit(f"the server ended before it answered {method}")

    def call(self, tool, **arguments):
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError"):
            raise SystemExit(f"{tool}: {result['content'][0]['text']}")
        return result["structuredContent"]

    def close(self):
        # The end of its input tells the server to hang up and stop.
        self.process.stdin.close()
        return self.process.wait(timeout=10)


def main():
    root = Path(__file__).resolve().parent.parent
    binary = sys.argv[1] if len(sys.argv) > 1 else root / "target/release/openagent-messaging"
    server = Server([str(binary), "--sandbox"])

    about = server.request("initialize", {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "mcp_session.py", "version": "1"},
    })
    server.send({"method": "notifications/initialized"})
    print("server:", about["serverInfo"]["name"], about["serverInfo"]["version"])
    print("tools:", ", ".join(tool["name"] for tool in server.request("tools/list", {})["tools"]))

    placed = server.call(
        "phone_call_place",
        to="+14155550142",
        mission="Move the appointment of Maria Rossi from Thursday to next Tuesday.",
        caller_identity="Maria Rossi",
        success_criteria="A new date and time are confirmed.",
        idempotency_key="example-1",
    )
    print("placed:", placed["status"], "up to", placed["max_duration_seconds"], "s")

    call = {"status": placed["status"]}
    revision, status = placed["revision"], None
    while call["status"] not in FINAL:
        call = server.call("phone_call_status", call_id=placed["call_id"], wait=True,
                           since=revision, transcript="new")
        revision = call["revision"]
        if call["status"] != status:
            status = call["status"]
            print("status:", status)
        for line in call["transcript"]:
            print(f"  {line['role']}: {line['text']}")

    for note in call["notes"]:
        print("note:", note)
    print("outcome:", call["outcome"])
    print("summary:", call["summary"])
    code = server.close()
    return 0 if call["outcome"] == "success" and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
