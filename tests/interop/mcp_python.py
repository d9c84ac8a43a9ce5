"""The official Python client speaks MCP with the program: every tool, progress, cancellation,
errors, resources; in the newest revision, and in two that begin with `initialize`."""

import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
import threading

import jsonschema
import mcp.client.session
from mcp import Client, MCPError, StdioServerParameters, stdio_client

from common import (
    HELPER, PROGRAM, check, free_port, play, same, settings_for_calls, soon, stand_ins, together,
)

NEWEST = "2026-07-28"
WITH_HANDSHAKE = ["2025-06-18", "2025-11-25"]

# Rings for a minute; and somebody who talks.
NOBODY, SOMEBODY = "+14155550002", "+14155550142"

# How long a tool is asked to wait; and in which time it ends if that is cancelled. Far less, so that
# a wait that ran to its own end is not taken for one that was cancelled.
LONG, SHORT = 50, 15

# What results are. Hosts are listed less: not what is required, nor the choices and the formats.
IN_FULL = json.loads(subprocess.run([HELPER, "schemas"], stdout=subprocess.PIPE, check=True).stdout)

# Without the package that knows it, a format would be passed over in silence.
FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER
assert "date-time" in FORMATS.checkers, "rfc3339-validator is missing"

# One at a time, because which revision is offered is a setting of the whole client.
CONNECTING = asyncio.Lock()


class Host:
    """One connection, and what was seen on it."""

    def __init__(self, client, revision, log):
        self.client, self.revision, self.log = client, revision, log
        self.tools, self.called = {}, set()

    async def learn(self):
        same("revision", self.client.protocol_version, self.revision)
        same("server name", self.client.server_info.name, "openagent-messaging")
        check("phone_call_place" in (self.client.instructions or ""), "instructions do not tell how to call")
        for tool in (await self.client.list_tools()).tools:
            self.tools[tool.name] = tool
            check(tool.title and tool.description and tool.annotations, f"{tool.name} is not described in full")
            for name, schema in (("input", tool.input_schema), ("output", tool.output_schema)):
                try:
                    jsonschema.Draft202012Validator.check_schema(schema)
                except jsonschema.SchemaError as error:
                    check(False, f"{tool.name}: {name} schema: {error.message}")
                same(f"{tool.name}: type of the {name} schema", schema.get("type"), "object")
                if name == "input":
                    same(f"{tool.name}: unknown arguments", schema.get("additionalProperties"), False)

    async def call(self, name, arguments=None, **more):
        """A call that succeeds; its result, which is as the tool's schema says, listed and in full."""
        self.called.add(name)
        jsonschema.validate(arguments or {}, self.tools[name].input_schema)
        result = await soon(name, self.client.call_tool(name, arguments or {}, **more))
        text = result.content[0].text
        if result.is_error:
            raise AssertionError(f"{name} failed: {text}")
        for schema in (self.tools[name].output_schema, closed(IN_FULL[name]["output"])):
            found = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
            for error in found.iter_errors(result.structured_content):
                check(False, f"{name}: result{error.json_path.removeprefix('$')}: {error.message}")
        same(f"{name}: the text", json.loads(text), result.structured_content)
        return result.structured_content

    async def fails(self, name, arguments, why):
        """A call whose result says what was wrong; not an error of the protocol."""
        self.called.add(name)
        result = await soon(name, self.client.call_tool(name, arguments))
        check(result.is_error, f"{name} with {arguments} should fail")
        text = result.content[0].text
        check(why in text, f"{name} with {arguments} fails with {text!r}, without a word of {why!r}")

    async def refused(self, name, arguments, code):
        """A fault of the protocol."""
        try:
            await soon(name, self.client.session.call_tool(name, arguments))
        except MCPError as error:
            same(f"{name}: code of the error", error.error.code, code)
        else:
            check(False, f"{name} with {arguments} should be an error of the protocol")

    async def place(self, to, **more):
        order = {"to": to, "mission": "Move the appointment of Maria Rossi to next week.", **more}
        return await self.call("phone_call_place", order)

    async def follow(self, placed, until):
        """Waits from change to change until `until` says that it is enough."""
        since, lines = placed["revision"], []
        while True:
            asked = {"call_id": placed["call_id"], "wait": True, "since": since, "transcript": "new"}
            now = await self.call("phone_call_status", asked)
            since = now["revision"]
            lines += now["transcript"]
            if until(now):
                return now, lines


class Log(threading.Thread):
    """The program's stderr. A line that it waits for is an event like any other."""

    def __init__(self):
        super().__init__(daemon=True)
        read, self.write = os.pipe()
        self.lines, self.news = [], threading.Condition()
        self.reading = os.fdopen(read)
        self.start()

    def run(self):
        for line in self.reading:
            with self.news:
                self.lines.append(line)
                self.news.notify_all()

    def wait_for(self, words, seconds):
        with self.news:
            return self.news.wait_for(lambda: any(words in line for line in self.lines), seconds)


@contextlib.asynccontextmanager
async def connected(revision, arguments=(), settings=None):
    """The program in `revision`, started by the client. What is not MCP on its stdout is noted."""
    log = Log()
    env = {**os.environ, **(settings or {}), "RUST_LOG": "info,rmcp=debug"}
    server = StdioServerParameters(command=PROGRAM, args=list(arguments), env=env)

    async def look(message):
        check(not isinstance(message, Exception), f"not MCP on stdout: {message!r}")

    async with contextlib.AsyncExitStack() as stack:
        stderr = stack.enter_context(os.fdopen(log.write, "w"))
        # "auto" is a host that knows nothing of the server, and asks.
        mode = "auto" if revision == NEWEST else "legacy"
        client = Client(stdio_client(server, errlog=stderr), mode=mode, message_handler=look)
        async with CONNECTING:
            # The client offers only the newest that it knows; an older one offers its own newest.
            if revision != NEWEST:
                mcp.client.session.LATEST_HANDSHAKE_VERSION = revision
            await stack.enter_async_context(client)
        yield Host(client, revision, log)


def closed(schema):
    """Admits no field that `schema` does not name, unless it says that there are others: a provider's."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return shut | {keyword: closed(value) for keyword, value in schema.items()}


async def every_tool(host, picture):
    """All but the calls."""
    status = await host.call("status")
    same("phone is ready", status["phone"]["voice_ready"], True)
    sent = await host.call("sms_send", {"to": SOMEBODY, "text": "Good morning", "idempotency_key": "one"})
    again = await host.call("sms_send", {"to": SOMEBODY, "text": "Good morning", "idempotency_key": "one"})
    same("the same key sends once", again["sid"], sent["sid"])
    same("sid", (await host.call("sms_status", {"sid": sent["sid"]}))["sid"], sent["sid"])
    web = "https://files.invalid/a.png"
    await host.call("sms_send_file", {"to": SOMEBODY, "url": web, "text": "A picture"})
    await host.call("telegram_send_message", {"chat_id": "42", "text": "*Hi*", "parse_mode": "MarkdownV2"})
    await host.call("telegram_send_file", {"chat_id": "42", "path": picture, "caption": "A picture"})
    await host.call("telegram_send_file", {"chat_id": "42", "url": web, "type": "document"})
    await host.call("discord_send_message", {"channel_id": "42", "text": "Hi"})
    await host.call("discord_send_file", {"channel_id": "42", "path": picture, "text": "A picture"})
    await host.call("discord_send_file", {"channel_id": "42", "url": web})
    await host.call("whatsapp_send_message", {"phone": "+393331234567", "text": "Hi"})
    await host.call("whatsapp_send_file", {"phone": "+393331234567", "path": picture})
    await host.call("whatsapp_send_file", {"phone": "+393331234567", "url": web, "filename": "a.png"})


async def errors(host):
    await host.fails("sms_send", {"to": "12", "text": "Hi"}, "is not a phone number")
    await host.fails("sms_send", {"to": SOMEBODY, "text": "Hi", "colour": "red"}, "colour")
    await host.fails("phone_call_place", {"to": SOMEBODY}, "mission")
    await host.fails("phone_call_status", {"call_id": "no such call"}, "call")
    await host.fails("telegram_send_message", {"chat_id": "404", "text": "Hi"}, "chat")
    await host.refused("no_such_tool", {}, -32602)


async def a_quiet_call(host):
    """Progress and cancellation of a wait; then a hang-up."""
    placed = await host.place(NOBODY)
    ringing, _ = await host.follow(placed, lambda now: now["status"] == "ringing")
    wait = {
        "call_id": placed["call_id"], "wait": True, "since": ringing["revision"], "wake_on": "final",
        "timeout_seconds": LONG,
    }
    told = asyncio.Event()
    reports = []

    async def progress(so_far, total, message):
        reports.append((so_far, total, message))
        told.set()

    waiting = asyncio.create_task(
        host.client.call_tool("phone_call_status", wait, progress_callback=progress)
    )
    await soon("a report of progress", told.wait())
    so_far, total, message = reports[0]
    check(0 < so_far < LONG and total == LONG and message, f"progress: {reports[0]}")
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    ended = await asyncio.to_thread(host.log.wait_for, "dropping response for cancelled request", SHORT)
    check(ended, f"the cancelled wait did not end within {SHORT} s")

    last = asyncio.create_task(host.call("phone_call_status", wait))
    over = await host.call("phone_call_hangup", {"call_id": placed["call_id"]})
    same("status after a hang-up", over["status"], "hung_up_by_agent")
    same("status for who waited", (await last)["status"], "hung_up_by_agent")


async def a_conversation(host):
    """Placed, instructed, followed to its outcome, listed, read as a resource, deleted."""
    placed = await host.place(
        SOMEBODY, caller_identity="Maria Rossi", language="en-GB", success_criteria="A new day.",
        max_duration_seconds=120, idempotency_key="a conversation",
    )
    call_id = {"call_id": placed["call_id"]}
    same("status", placed["status"], "initiated")
    await host.call("phone_call_instruct", {**call_id, "text": "Thursday is fine, too."})
    await host.fails("phone_call_answer", {**call_id, "question_id": "1", "text": "Yes"}, "question")
    over, lines = await host.follow(placed, lambda now: now["outcome"])
    same("status", over["status"], "completed")
    same("outcome", over["outcome"], "success")
    same("error", over["error"], None)
    same("notes", over["notes"], ["Tuesday at ten works for us."])
    roles = {line["role"] for line in lines}
    check({"agent", "caller"} <= roles, f"who speaks in the transcript: {roles}")
    listed = await host.call("phone_call_list", {"limit": 5, "status": "completed"})
    same("calls listed", [call["call_id"] for call in listed["calls"]], [placed["call_id"]])
    uris = [str(resource.uri) for resource in (await host.client.list_resources()).resources]
    uri = next((uri for uri in uris if placed["call_id"] in uri), None)
    if check(uri, f"the call is not among the resources: {uris}"):
        read = await host.client.read_resource(uri)
        same("the call as a resource", json.loads(read.contents[0].text)["call_id"], placed["call_id"])
    same("deleted", await host.call("phone_call_delete", call_id), {"deleted": True})
    await host.fails("phone_call_status", call_id, "call")


async def a_question(revision):
    """The agent on the line asks its host, who answers: with a callee who has a question."""
    with stand_ins() as settings:
        async with connected(revision, settings=settings_for_calls(settings, free_port())) as host:
            await host.learn()
            placed = await host.place(SOMEBODY)
            now, _ = await host.follow(placed, lambda now: now["pending_question"])
            question = now["pending_question"]
            answer = {"call_id": placed["call_id"], "question_id": question["id"], "text": "Mornings only."}
            await host.call("phone_call_answer", answer)
            over, lines = await host.follow(now, lambda now: now["outcome"])
            same("outcome after a question", over["outcome"], "success")
            said = " ".join(line["text"] for line in lines if line["role"] == "agent")
            check("Mornings only." in said, f"the callee never learned the answer: {said}")
            return host.called


async def everything(revision, picture):
    async with connected(revision, ["--sandbox"]) as host:
        await host.learn()
        await every_tool(host, picture)
        await together(errors(host), a_quiet_call(host), a_conversation(host))
        return host


async def main():
    picture = tempfile.NamedTemporaryFile(suffix=".png")
    picture.write(b"\x89PNG\r\n\x1a\n" + bytes(64))
    picture.flush()
    revisions = [NEWEST, *WITH_HANDSHAKE]
    newest, *_, called = await together(
        *(everything(revision, picture.name) for revision in revisions), a_question(NEWEST)
    )
    same("tools that were called", sorted(newest.called | called), sorted(newest.tools))
    return f"{len(newest.tools)} tools, revisions {', '.join(revisions)}"


play(main)
