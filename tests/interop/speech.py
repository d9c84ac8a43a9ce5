"""The sandbox's way of speaking (src/sandbox/speech.rs), for callees on this side."""

import base64
import subprocess

from common import HELPER

FRAME = 160
SILENCE = b"\xff" * FRAME


def frames_of(text):
    """What the model understands as `text`: frames of 20 ms of mu-law."""
    ran = subprocess.run([HELPER, "speech", text], capture_output=True, text=True, check=True)
    audio = base64.b64decode(ran.stdout)
    audio += b"\xff" * (-len(audio) % FRAME)
    return [audio[at : at + FRAME] for at in range(0, len(audio), FRAME)]


def text_of(audio):
    """What was said: after each header, a byte in two halves."""
    symbols = audio.split(b"\x00\x00\x80\x80")[1:]
    halves = [(one[0] & 0x0F, one[1] & 0x0F) for one in symbols if len(one) > 1]
    return bytes(high << 4 | low for high, low in halves).decode(errors="replace")
