"""Calls through streamdouble, a Media Streams client by others. Where it differs from Twilio the
program must get along: it signs no handshake, and after a `clear` it never returns the marks that
were pending."""

import asyncio
import contextlib

import twiml
from common import check, free_port, play, same, settings_for_calls, soon, stand_ins, together
from line import MENU, Line, silence, speech
from speech import text_of
from stage import Carrier, program

QUESTION = "Yes, speaking. What is it about?"
INTERRUPTION = "Sorry, which day was that?"
AGREEMENT = "Tuesday at ten works for us."


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
    async with asyncio.TaskGroup() as group:
        talking = group.create_task(line.talk())
        hung_up = await carrier.wait_for(
            "the end of the call",
            lambda asked: placed["twilio_sid"] in asked.path and asked.form.get("Status") == ["completed"],
        )
        check(hung_up.method == "POST", "a call is ended with POST")
    result = talking.result()
    sound(result, "an interrupted call")
    same("who ended the stream", result.closed_by, "agent")
    check(result.clears_received == 1 and line.dropped, f"marks dropped by a clear: {line.dropped}")
    same("marks that are still out", line.unheard, 0)
    over = await phone.ended(placed["call_id"])
    same("status and outcome", (over["status"], over["outcome"], over["error"]), ("completed", "success", None))
    same("notes", over["notes"], [AGREEMENT])
    heard = text_of(result.audio_received)
    check("Goodbye." in heard, f"the goodbye was not sent to its end: {heard}")
    check(over["disclosed_at"], "the disclosure counts as unheard")
    return result


async def a_menu(phone, carrier):
    """Keys are pressed by new TwiML, for which Twilio ends the stream and begins another: there the
    conversation goes on."""
    placed = await phone.place()
    line = Line(phone, placed, carrier, [MENU, silence(), MENU])
    async with asyncio.TaskGroup() as group:
        talking = group.create_task(line.talk())
        asked = await carrier.wait_for(
            "keys", lambda asked: placed["twilio_sid"] in asked.path and "Twiml" in asked.form
        )
        token = twiml.is_connect(asked.form["Twiml"][0], phone.public_url, placed["call_id"], keys="ww2")
        line.is_over = True
    sound(talking.result(), "a menu")
    heard = asyncio.Event()

    def is_answered(line):
        if line.session.result.media_frames_received:
            heard.set()
        return heard.is_set()

    reception = Line(phone, placed, carrier, ["Reception, good morning.", is_answered])
    async with asyncio.TaskGroup() as group:
        talking = group.create_task(reception.talk(token))
        await soon("the agent on the stream after the keys", heard.wait())
        await phone.call("phone_call_hangup", call_id=placed["call_id"])
    sound(talking.result(), "after a menu")


async def an_apology(phone, carrier, models):
    """The model is gone for good while the call goes on: the carrier's own voice apologises."""
    placed = await phone.place(language="it-IT")
    gone = asyncio.Event()

    def is_greeted(line):
        if line.session.result.marks_echoed:
            gone.set()
        return gone.is_set()

    async with asyncio.TaskGroup() as group:
        talking = group.create_task(Line(phone, placed, carrier, ["Hello?", is_greeted]).talk())
        await soon("the greeting", gone.wait())
        await asyncio.to_thread(models.close)
        asked = await carrier.wait_for(
            "an apology", lambda asked: placed["twilio_sid"] in asked.path and "Twiml" in asked.form
        )
        twiml.is_apology(asked.form["Twiml"][0], "it-IT")
    sound(talking.result(), "a call without a model")
    same("status", (await phone.ended(placed["call_id"]))["status"], "failed")


async def main():
    with contextlib.ExitStack() as models:
        carrier = Carrier()
        settings = settings_for_calls(models.enter_context(stand_ins()), free_port())
        settings |= {"TWILIO_API_BASE_URL": carrier.url}
        async with program(settings) as phone:
            result, _ = await together(an_interruption(phone, carrier), a_menu(phone, carrier))
            await an_apology(phone, carrier, models)
    seconds = len(result.audio_received) / 8000
    return f"3 calls, {result.media_frames_received} frames and {seconds:.0f} s of speech in the longest"


play(main)
