"""Webhooks signed by Twilio's own SDKs for Python and Node are accepted, tampered ones refused; the
TwiML that is served is what the SDK builds."""

import contextlib
import json
import subprocess

from twilio.request_validator import RequestValidator

import twiml
from common import PATIENCE, PLACE, check, free_port, play, same, settings_for_calls, stand_ins
from stage import Carrier, program

# As Twilio knows the program. Nobody is asked for this name: requests go to the local port.
PUBLIC_URL = "https://voice.example.test/tel"

# What a name or a text in a form can look like.
ODD = {
    "CallerName": "Zoë  O'Brien & Söhne <b>+1%41</b>",
    "Empty": "",
    "Spaces": " in front and behind ",
    "Lines": "one\r\ntwo\tthree",
    "lower": "after all that begin with a capital",
    "Emoji": "🦷",
    "Twice": ["b", "a", "b"],
}


class Form(dict):
    """A form as web frameworks hand it to the SDK, which asks for all values of a name."""

    def getlist(self, name):
        value = self[name]
        return value if isinstance(value, list) else [value]


def signed_by_python(token, url, params):
    return RequestValidator(token).compute_signature(url, Form(params))


def signed_by_node(token, url, params):
    asked = json.dumps([{"token": token, "url": url, "params": params}])
    ran = subprocess.run(
        [f"{PLACE}/bin/node", "tests/interop/sign.mjs"], input=asked, capture_output=True, text=True,
        timeout=PATIENCE, check=True,
    )
    return json.loads(ran.stdout)[0]


SDKS = {"Python": signed_by_python, "Node": signed_by_node}


async def accepted(phone, call, sdk):
    """Everything that Twilio reports of a call, in its order, each with a sound signature."""
    sign = SDKS[sdk]
    call_id = call["call_id"]

    async def post(path, expected, url=None, **params):
        params = phone.about_call(call, **params)
        signature = sign(phone.token, url or f"{PUBLIC_URL}/{path}", params)
        status, body = await phone.webhook(path, params, signature)
        same(f"signed by {sdk}: {path} {params.get('CallStatus', '')}", status, expected)
        return body

    count = 0
    for number, status in enumerate(["initiated", "ringing", "in-progress"]):
        params = {"CallStatus": status, "SequenceNumber": str(number), "CallbackSource": "call-progress-events"}
        await post(f"status/{call_id}", 204, **params, **ODD)
        count += 1
    # With the port spelled out and without: Twilio does either.
    for url in (None, PUBLIC_URL.replace(".test", ".test:443") + f"/twiml/{call_id}"):
        xml = await post(f"twiml/{call_id}", 200, url=url, CallStatus="in-progress", **ODD)
        twiml.is_connect(xml, PUBLIC_URL, call_id)
        count += 1
    await post(f"amd/{call_id}", 204, AnsweredBy="human", MachineDetectionDuration="2100", **ODD)
    over = {"CallStatus": "completed", "SequenceNumber": "3", "CallDuration": "7", "SipResponseCode": "200"}
    now = await phone.call("phone_call_status", call_id=call_id)
    same(f"status after reports signed by {sdk}", now["status"], "in_progress")
    await post(f"status/{call_id}", 204, **over)
    same(f"status at the end of them, signed by {sdk}", (await phone.ended(call_id))["status"], "completed")
    twiml.is_hang_up(await post(f"twiml/{call_id}", 200, CallStatus="completed"))
    await post("twiml/00000000-0000-4000-8000-000000000000", 404, CallStatus="ringing")
    return count + 4


async def refused(phone, call):
    """The same with a flaw, each of which would end the call if it were believed."""
    call_id = call["call_id"]
    path = f"status/{call_id}"
    params = phone.about_call(call, CallStatus="completed", SequenceNumber="9")
    url = f"{PUBLIC_URL}/{path}"
    ringing = {**params, "CallStatus": "ringing"}
    sound = signed_by_python(phone.token, url, params)
    flaws = {
        "a parameter changed": signed_by_python(phone.token, url, ringing),
        "a parameter added": signed_by_python(phone.token, url, {k: v for k, v in params.items() if k != "To"}),
        "a parameter taken away": signed_by_python(phone.token, url, {**params, "More": "1"}),
        "another path": signed_by_python(phone.token, f"{PUBLIC_URL}/amd/{call_id}", params),
        "another host": signed_by_python(phone.token, url.replace("voice", "other"), params),
        "another scheme": signed_by_python(phone.token, url.replace("https", "http"), params),
        "another token": signed_by_python(phone.token[::-1], url, params),
        "another algorithm": RequestValidator(phone.token).compute_signature(url, params, "HMAC_SHA256"),
        "half a signature": sound[:14],
        "an empty signature": "",
        "none": None,
    }
    for flaw, signature in flaws.items():
        status, _ = await phone.webhook(path, params, signature, signed=False)
        same(f"signature with {flaw}", status, 403)
    for path in (f"twiml/{call_id}", f"amd/{call_id}"):
        status, body = await phone.webhook(path, params, sound, signed=False)
        same(f"signature of another route at {path}", status, 403)
        check("token" not in body, f"a refusal with a token: {body}")
    now = await phone.call("phone_call_status", call_id=call_id)
    same("status after all that was refused", now["status"], "initiated")
    await phone.call("phone_call_hangup", call_id=call_id)
    return len(flaws) + 2


async def main():
    with contextlib.ExitStack() as stack:
        carrier = Carrier()
        settings = settings_for_calls(stack.enter_context(stand_ins()), free_port())
        settings |= {"TWILIO_API_BASE_URL": carrier.url, "OPENAGENT_PHONE_PUBLIC_URL": PUBLIC_URL}
        async with program(settings) as phone:
            sound = [await accepted(phone, await phone.place(), sdk) for sdk in SDKS]
            flawed = await refused(phone, await phone.place())
    return f"{sum(sound)} accepted, {flawed} refused"


play(main)
