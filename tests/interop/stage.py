"""The program between stand-ins: a carrier's REST API in this process, which writes down what it is
asked, and webhooks as Twilio sends them."""

import asyncio
import contextlib
import http.client
import http.server
import json
import os
import threading
import urllib.parse
import uuid
from dataclasses import dataclass

from mcp import Client, StdioServerParameters
from twilio.request_validator import RequestValidator

from common import PATIENCE, PROGRAM, soon

CALLEE = "+14155550142"


@dataclass
class Asked:
    """A request to the carrier."""

    method: str
    path: str
    form: dict
    body: bytes
    authorization: str


class Carrier:
    """Accepts every request. Calls exist from then on, and nothing ever happens to them."""

    def __init__(self):
        self.requests, self.news = [], asyncio.Event()
        carrier, loop = self, asyncio.get_running_loop()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.answer(self.rfile.read(int(self.headers["Content-Length"])))

            def do_GET(self):
                self.answer(b"")

            def answer(self, sent):
                form = urllib.parse.parse_qs(sent.decode(), keep_blank_values=True)
                asked = Asked(self.command, self.path, form, sent, self.headers["Authorization"])
                status, body = carrier.answer(asked)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                # What was answered, others may wait for.
                loop.call_soon_threadsafe(carrier.note, asked)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, asked):
        """HTTP status and body."""
        if asked.path.endswith("/Calls.json"):
            return 201, json.dumps({"sid": f"CA{uuid.uuid4().hex}", "status": "queued"}).encode()
        sid = asked.path.rpartition("/")[2].removesuffix(".json")
        status = asked.form.get("Status", ["in-progress"])[0]
        return 200, json.dumps({"sid": sid, "status": status}).encode()

    def note(self, asked):
        self.requests.append(asked)
        self.news.set()
        self.news = asyncio.Event()

    async def wait_for(self, what, met):
        """The first request of which `met` is true, once there is one."""
        seen = 0
        while True:
            if found := next((asked for asked in self.requests[seen:] if met(asked)), None):
                return found
            seen = len(self.requests)
            await soon(f"{what}, of which the carrier is told", self.news.wait())


class Program:
    """The program, as its host speaks with it."""

    def __init__(self, client, settings):
        self.client = client
        self.token = settings["TWILIO_AUTH_TOKEN"]
        self.account = settings["TWILIO_ACCOUNT_SID"]
        self.public_url = settings["OPENAGENT_PHONE_PUBLIC_URL"]
        self.port = int(settings["OPENAGENT_PHONE_PORT"])

    async def call(self, tool, **arguments):
        result = await soon(tool, self.client.call_tool(tool, arguments))
        if result.is_error:
            raise AssertionError(f"{tool} failed: {result.content[0].text}")
        return result.structured_content

    async def place(self, mission="Move the appointment to next week.", **more):
        return await self.call("phone_call_place", to=CALLEE, mission=mission, **more)

    async def ended(self, call_id):
        """The call once it is final."""
        asked = {"call_id": call_id, "wait": True, "wake_on": "final", "timeout_seconds": 50}
        return await self.call("phone_call_status", **asked)

    async def webhook(self, path, params, signature=None, signed=True):
        """Posts to the local port, as a tunnel would; signed by Twilio's SDK unless told otherwise.
        Gives the HTTP status and the body."""
        if signature is None and signed:
            url = f"{self.public_url}/{path}"
            signature = RequestValidator(self.token).compute_signature(url, params)
        return await asyncio.to_thread(self.post, path, params, signature)

    def post(self, path, params, signature):
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
        if signature is not None:
            headers["X-Twilio-Signature"] = signature
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("POST", f"/{path}", urllib.parse.urlencode(params, doseq=True), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def about_call(self, placed, **more):
        """What every webhook about a call carries."""
        return {
            "AccountSid": self.account, "CallSid": placed["twilio_sid"], "ApiVersion": "2010-04-01",
            "From": "+15005550006", "To": CALLEE, "Direction": "outbound-api", **more,
        }


@contextlib.asynccontextmanager
async def program(settings):
    """Started with these settings and no others. What it warns of ends up on stderr."""
    env = {"PATH": os.environ["PATH"], "RUST_LOG": "error", **settings}
    async with Client(StdioServerParameters(command=PROGRAM, env=env)) as client:
        yield Program(client, settings)
