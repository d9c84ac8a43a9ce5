"""The event types of OpenAI's own SDK: what the program sends in every scenario is one of them, with
no key that they do not know; and whatever they can be, the program reads.

`instances.py` makes the latter."""

import collections
import json
import subprocess
import typing

import pydantic
from openai._models import BaseModel
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent

from common import HELPER, PATIENCE, check, report, same
from instances import instances

# What the program has a use for. Of `response.output_item.done`, only finished function calls.
USED = {
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.failed",
    "error",
    "input_audio_buffer.committed",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "response.created",
    "response.done",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.delta",
    "response.output_audio_transcript.done",
    "response.output_item.done",
    "session.updated",
}

# The types let these be absent, because one type serves both directions. A server that leaves them
# out has said nothing that could be acted on, and is told so in the log.
NEEDED = {"response.created": "id", "response.done": "id", "response.output_item.done": "call_id"}


def members(union):
    """The models of a union of events by their `type`."""
    union = typing.get_args(union)[0] if typing.get_origin(union) is typing.Annotated else union
    models = {}
    for model in typing.get_args(union):
        (kind,) = typing.get_args(model.model_fields["type"].annotation)
        models[kind] = model
    return models


def forbid_unknown_keys():
    """In every model there is, before any has been put to use."""
    models = [BaseModel]
    while models:
        model = models.pop()
        model.model_config = {**model.model_config, "extra": "forbid"}
        models += model.__subclasses__()


def refusals(model, event):
    """What a model has against an event; none if it is right."""
    try:
        model.model_validate(event, strict=True)
    except pydantic.ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return []


def sent():
    """What the program sends, in all scenarios."""
    models = members(RealtimeClientEvent)
    ran = subprocess.run([HELPER, "events"], capture_output=True, text=True, timeout=5 * PATIENCE)
    check(ran.returncode == 0, f"not every scenario could be played:\n{ran.stderr}")
    found = collections.Counter()
    wrong = {}
    for line in ran.stdout.splitlines():
        line = json.loads(line)
        event, scenario = line["event"], line["scenario"]
        found[event["type"]] += 1
        model = models.get(event["type"])
        why = refusals(model, event) if model else ["no such event"]
        if why:
            wrong.setdefault((event["type"], *why), scenario)
    for (kind, *why), scenario in wrong.items():
        check(False, f"{kind}, first in scenario {scenario}:\n    " + "\n    ".join(why))
    # All kinds that the program can send; one that no scenario has would not be looked at.
    kinds = [
        "conversation.item.create", "conversation.item.delete", "conversation.item.truncate",
        "input_audio_buffer.append", "response.cancel", "response.create", "session.update",
    ]
    same("kinds of events that were sent", sorted(found), kinds)
    # That keys are looked at, at every depth.
    extra = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "colour": 1}}}}
    check(
        refusals(models["session.update"], {"type": "session.update", "session": extra}),
        "an unknown key would not be noticed",
    )
    return sum(found.values())


def received():
    """What the program could be sent."""
    events = []
    for kind, model in members(RealtimeServerEvent).items():
        for event in instances(model):
            if why := refusals(model, event):
                check(False, f"{kind} was not built as the types demand: {why} in {event}")
            events.append(event)
    lines = "".join(json.dumps(event) + "\n" for event in events)
    ran = subprocess.run([HELPER, "parse"], input=lines, capture_output=True, text=True, timeout=PATIENCE)
    results = ran.stdout.splitlines()
    same("events that were read", len(results), len(events))
    wrong = {}
    for event, result in zip(events, results):
        if result != expected(event):
            wrong.setdefault((event["type"], result), event)
    for (kind, result), event in wrong.items():
        check(False, f"{kind}: {result} instead of {expected(event)}, such as {json.dumps(event)[:300]}")
    read = {event["type"] for event, result in zip(events, results) if result == "event"}
    same("events that the program has a use for", sorted(read), sorted(USED))
    return len(events)


def expected(event):
    kind = event["type"]
    inner = event.get("response") or event.get("item") or {}
    if kind == "response.output_item.done":
        if inner.get("type") != "function_call" or inner.get("status") != "completed":
            return "ignored"
    if kind in NEEDED and inner.get(NEEDED[kind]) is None:
        field = "item" if "item" in kind else "response"
        return f"an event without `{field}.{NEEDED[kind]}`"
    return "event" if kind in USED else "ignored"


forbid_unknown_keys()
report(f"{sent()} events sent, {received()} read")
