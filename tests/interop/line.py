"""A callee on a line of streamdouble's, who waits for what the agent does."""

from pathlib import Path

from streamdouble.protocol import StreamIdentity
from streamdouble.scenario import Say, Scenario
from streamdouble.session import Session, SessionConfig

import twiml
from common import PATIENCE, same
from speech import SILENCE, frames_of

# Whoever hears this presses 2.
MENU = "For appointments, press 2. For all else, press 9."

# In frames.
HALF_A_SECOND = 25


class Line:
    """A call that the carrier has just connected, and the callee on it."""

    def __init__(self, phone, placed, carrier, script):
        self.phone, self.placed, self.carrier, self.script = phone, placed, carrier, script
        self.is_over = False

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

    async def talk(self, token=None):
        """The whole call, or what is left of it after keys were pressed, if there is a `token` for that;
        gives what streamdouble saw of it."""
        token = token or await self.ring()
        identity = StreamIdentity(account_sid=self.phone.account, call_sid=self.placed["twilio_sid"])
        config = SessionConfig(
            custom_parameters={"call_id": self.placed["call_id"], "token": token},
            max_call_s=PATIENCE, quiet_period_s=0.1,
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
        while not self.is_over:
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
