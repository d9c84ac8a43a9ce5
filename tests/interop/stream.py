"""Calls through streamdouble, a Media Streams client by others. Where it differs from Twilio the
program must get along: it signs no handshake, and after a `clear` it never returns the marks that
were pending."""

import asyncio
import contextlib
from pathlib import Path

from streamdouble.protocol import StreamIdentity
from streamdouble.scenario import Say, Scenario
from streamdouble.session import Session, SessionConfig

import twiml
from common import PATIENCE, check, free_port, play, same, settings_for_calls, stand_ins
from speech import SILENCE, frames_of, text_of
from stage import Carrier, program

QUESTION = "Yes, speaking. What is it about?"
INTERRUPTION = "Sorry, which day was that?"
AGREEMENT = "Tuesday at ten works for us."
HALF_A_SECOND = 25  # frames
MENU = "For appointments, press 2. For all else, press 9."


class Line:
    """A call that the carrier has just connected, and the callee on it."""

    def __init__(self, phone, placed, carrier, script):
        self.phone, self.placed, self.carrier, self.script = phone, placed, carrier, script

    async def ring(self):
        """What Twilio does before the stream begins."""
        call_id = self.placed["call_id"]
        for number, status in enumerate(["ringing", "in-progress"]):
            params = self.phone.about_call(self.placed, CallStatus=status, SequenceNumber=str(number))
            same(status, (await self.phone.webhook(f"status/{call_id}", params))[0], 204)
        params = self.phone.about_call(self.placed, CallStatus="in-progress")
        code, xml = await self.phone.webhook(f"twiml/{call_id}", params)
        same("answer to /twiml", code, 200)
        return twiml.is_connect(xml, self.phone.public_url, call_id)

    async def talk(self):
        """The whole call; gives what streamdouble saw of it."""
        token = await self.ring()
        identity = StreamIdentity(account_sid=self.phone.account, call_sid=self.placed["twilio_sid"])
        config = SessionConfig(
            custom_parameters={"call_id": self.placed["call_id"], "token": token},
            max_call_s=PATIENCE, max_drain_s=PATIENCE, quiet_period_s=PATIENCE,
        )
        url = f"ws://127.0.0.1:{self.phone.port}/media"
        scenario = Scenario("call", [Say(Path("callee"), self.callee())])
        self.session = Session(url, scenario=scenario, config=config, identity=identity)
        return await self.session.run()

    def callee(self):
        """A frame each 20 ms, for as long as the line is open."""
        for step in self.script:
            if callable(step):
                while not step(self):
                    yield SILENCE
            else:
                yield from frames_of(step)
        while True:
            yield SILENCE

    # What the callee waits for.

    @property
    def unheard(self):
        """Marks whose audio is still being played out."""
        seen = self.session.result
        return len(seen.marks_received) - len(seen.marks_echoed) - len(self.dropped)

    @property
    def dropped(self):
        clears = self.session.result.events_of("clear_received")
        return [name for clear in clears for name in clear.detail["dropped_marks"]]


def silence():
    """Until the agent has said something more, and then nothing for half a second."""
    before, quiet = None, []

    def met(line):
        nonlocal before
        frames = line.session.result.media_frames_received
        if before is None:
            before = frames
        if frames == before or line.unheard or frames != (quiet or [None])[0]:
            quiet.clear()
        quiet.append(frames)
        return len(quiet) > HALF_A_SECOND

    return met


def speech():
    """Until the agent is in the middle of saying something more."""
    before = None

    def met(line):
        nonlocal before
        heard = len(line.session.result.marks_echoed)
        if before is None:
            before = heard
        return heard > before and line.unheard > 0

    return met


def sound(result, what):
    """Nothing was sent that Twilio would not understand."""
    same(f"{what}: violations of the protocol", [str(one) for one in result.violations], [])
    same(f"{what}: unknown events", result.unknown_events, [])
    same(f"{what}: warnings", result.warnings, [])


async def an_interruption(phone, carrier):
    """The callee interrupts; the marks that `clear` dropped never come back; the call goes on, and the
    agent hangs up when its goodbye has been heard."""
    placed = await phone.place()
    script = ["Hello?", silence(), QUESTION, speech(), INTERRUPTION, silence(), AGREEMENT]
    line = Line(phone, placed, carrier, script)
    talking = asyncio.create_task(line.talk())
    hung_up = await carrier.wait_for(
        "the end of the call",
        lambda asked: placed["twilio_sid"] in asked.path and asked.form.get("Status") == ["completed"],
    )
    check(hung_up.method == "POST", "a call is ended with POST")
    result = await talking
    sound(result, "an interrupted call")
    same("who ended the stream", result.closed_by, "agent")
    check(result.clears_received == 1 and line.dropped, f"marks dropped by a clear: {line.dropped}")
    same("marks that were heard", line.unheard, 0)
    over = await phone.ended(placed["call_id"])
    same("status and outcome", (over["status"], over["outcome"], over["error"]), ("completed", "success", None))
    same("notes", over["notes"], [AGREEMENT])
    heard = text_of(result.audio_received)
    check("Goodbye." in heard, f"the goodbye was not sent to its end: {heard}")
    check(over["disclosed_at"], "the disclosure counts as unheard")
    return result


async def a_menu(phone, carrier):
    """Keys are pressed by new TwiML, and the conversation is to go on from there."""
    placed = await phone.place()
    line = Line(phone, placed, carrier, [MENU, silence(), MENU])
    talking = asyncio.create_task(line.talk())
    asked = await carrier.wait_for(
        "keys", lambda asked: placed["twilio_sid"] in asked.path and "Twiml" in asked.form
    )
    token = twiml.is_connect(asked.form["Twiml"][0], phone.public_url, placed["call_id"], keys="ww2")
    # Twilio ends the stream now and begins another with the token. Here nobody does.
    check(token, "no token for the stream after the keys")
    await phone.call("phone_call_hangup", call_id=placed["call_id"])
    sound(await talking, "a menu")


async def an_apology(phone, carrier, models):
    """The model is gone for good while the call goes on: the carrier's own voice apologises."""
    placed = await phone.place(language="it-IT")
    gone = asyncio.Event()

    def is_greeted(line):
        if line.session.result.marks_echoed:
            gone.set()
        return gone.is_set()

    talking = asyncio.create_task(Line(phone, placed, carrier, ["Hello?", is_greeted]).talk())
    await asyncio.wait_for(gone.wait(), PATIENCE)
    await asyncio.to_thread(models.close)
    asked = await carrier.wait_for(
        "an apology", lambda asked: placed["twilio_sid"] in asked.path and "Twiml" in asked.form
    )
    twiml.is_apology(asked.form["Twiml"][0], "it-IT")
    sound(await talking, "a call without a model")
    same("status", (await phone.ended(placed["call_id"]))["status"], "failed")


async def main():
    with contextlib.ExitStack() as models:
        carrier = Carrier()
        settings = settings_for_calls(models.enter_context(stand_ins()), free_port())
        settings |= {"TWILIO_API_BASE_URL": carrier.url}
        async with program(settings) as phone:
            result, _ = await asyncio.gather(an_interruption(phone, carrier), a_menu(phone, carrier))
            await an_apology(phone, carrier, models)
    seconds = len(result.audio_received) / 8000
    return f"3 calls, {result.media_frames_received} frames and {seconds:.0f} s of speech in the longest"


play(main)
