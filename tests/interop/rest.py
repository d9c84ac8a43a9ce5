"""Requests to Twilio's REST API, judged by Prism with Twilio's own description of it."""

import asyncio
import contextlib
import http.client
import json
import re
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

from common import PATIENCE, PLACE, PROGRAM, check, free_port, play, same, settings_for_calls, stand_ins
from line import MENU, Line, silence
from stage import CALLEE, Carrier, program

DESCRIPTION = Path(PLACE, "lib/node_modules/@twilio-alpha/mcp/twilio-oai/spec/json/twilio_api_v2010.json")
PRISM = Path(PLACE, "lib/node_modules/.bin/prism")

ACCOUNT = "/2010-04-01/Accounts/{AccountSid}"

# All that is asked of Twilio; every one of them must have been asked at the end.
USED = {
    f"POST {ACCOUNT}/Calls.json": 201,
    f"GET {ACCOUNT}/Calls.json": 200,
    f"POST {ACCOUNT}/Calls/{{Sid}}.json": 200,
    f"GET {ACCOUNT}/Calls/{{Sid}}.json": 200,
    f"POST {ACCOUNT}/Messages.json": 201,
    f"GET {ACCOUNT}/Messages/{{Sid}}.json": 200,
}

# "Can be: `Enable` or `DetectMessageEnd`."
CHOICE = re.compile(r"Can be: ((?:`[\w-]+`[, ]*(?:and |or )?)+)\.")


def strict(description):
    """The paths that are used, with what Twilio's description says in prose alone, or leaves out."""
    used = {key.partition(" ")[2] for key in USED}
    description["paths"] = {path: one for path, one in description["paths"].items() if path in used}
    for path in description["paths"].values():
        for operation in (path.get("get"), path.get("post")):
            # Its own examples of answers have relative URIs, where it promises whole ones.
            forget_uris((operation or {}).get("responses", {}))
        form = form_of(path.get("post", {}))
        form["encoding"] = {}
        for name, schema in form.get("schema", {}).get("properties", {}).items():
            value = schema
            if schema.get("type") == "array":
                form["encoding"][name] = {"style": "form", "explode": True}
                value = schema["items"]
            if choice := CHOICE.search(schema.get("description", "")):
                value.setdefault("enum", re.findall(r"`([\w-]+)`", choice.group(1)))
    return description


def form_of(operation):
    return operation.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded", {})


def forget_uris(schema):
    if isinstance(schema, dict):
        if schema.get("format") == "uri":
            del schema["format"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for one in schema:
            forget_uris(one)


@contextlib.contextmanager
def prism(description):
    """Prism, which answers with the description's examples; gives its port."""
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(description, file)
        file.flush()
        command = [f"{PLACE}/bin/node", PRISM, "mock", "--errors", "--port", str(port), file.name]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            log = []
            for line in server.stdout:
                log.append(line)
                if "is listening" in line:
                    break
            else:
                raise AssertionError(f"Prism did not start:\n{''.join(log)}")
            yield port
        finally:
            server.kill()
            server.wait()


class Judge(Carrier):
    """Passes every request on to Prism, and notes what Prism has against it."""

    def __init__(self, port, paths):
        super().__init__()
        self.port, self.paths, self.judged = port, paths, []

    def answer(self, asked):
        headers = {"Authorization": asked.authorization, "Content-Type": "application/x-www-form-urlencoded"}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(asked.method, asked.path, asked.body, headers)
            answer = connection.getresponse()
            body = answer.read()
        used = self.used(asked)
        self.judged.append(used)
        if not check(answer.status == USED.get(used), f"{used} with {asked.body.decode()}: HTTP {answer.status}"):
            check(False, f"    {body.decode()}")
        return answer.status, body

    def used(self, asked):
        """The operation of the description. It knows every parameter by name: one that is misspelt would
        just be ignored, by Prism as by Twilio."""
        path, _, query = asked.path.partition("?")
        for known, one in self.paths.items():
            if re.fullmatch(re.sub(r"{\w+}", r"\\w+", known).replace(".", r"\."), path):
                operation = one[asked.method.lower()]
                names = {parameter["name"] for parameter in operation.get("parameters", [])}
                names |= set(form_of(operation).get("schema", {}).get("properties", {}))
                sent = asked.form.keys() | dict(urllib.parse.parse_qsl(query)).keys()
                same(f"unknown parameters of {asked.method} {known}", sorted(sent - names), [])
                return f"{asked.method} {known}"
        return f"{asked.method} {path}"


async def main():
    description = strict(json.loads(DESCRIPTION.read_text()))
    with contextlib.ExitStack() as stack:
        judge = Judge(stack.enter_context(prism(description)), description["paths"])
        settings = settings_for_calls(stack.enter_context(stand_ins()), free_port())
        settings |= {"TWILIO_API_BASE_URL": judge.url}
        # Asks whether the account is there. It also looks for the program, which does not run yet.
        subprocess.run([PROGRAM, "doctor"], env=settings, capture_output=True, timeout=PATIENCE)
        async with program(settings) as phone:
            # Every argument once, with characters that a form must escape.
            sent = await phone.call("sms_send", to=CALLEE, text="1 + 1 = 2 & so on: 50 % Zoë 🦷")
            await phone.call("sms_status", sid=sent["sid"])
            await phone.call("sms_send_file", to=CALLEE, url="https://example.com/a.png?b=c&d", text="A picture")
            # A call whose agent presses keys and is then hung up; Twilio knows its price afterwards.
            placed = await phone.place()
            async with asyncio.TaskGroup() as group:
                group.create_task(Line(phone, placed, judge, [MENU, silence(), MENU]).talk())
                await judge.wait_for("keys", lambda asked: "Twiml" in asked.form)
                await phone.call("phone_call_hangup", call_id=placed["call_id"])
                await judge.wait_for("the price", lambda asked: asked.method == "GET" and "/Calls/" in asked.path)
    same("what was asked of Twilio", sorted(set(judge.judged)), sorted(USED))
    return f"{len(judge.judged)} requests to {len(USED)} operations"


play(main)
