"""TwiML that the program serves, compared with what Twilio's SDK builds of the same values."""

from xml.etree import ElementTree

from twilio.twiml.voice_response import VoiceResponse

from common import check, same


def token_of(xml):
    """The one-time token that the stream's parameters carry."""
    found = [one.get("value") for one in ElementTree.fromstring(xml).iter("Parameter") if one.get("name") == "token"]
    check(len(found) == 1 and found[0], f"tokens in {xml}: {found}")
    return found[0]


def is_connect(xml, public_url, call_id, keys=None):
    """Checks that `xml` connects the call to the media stream, after pressing `keys` if there are any;
    gives the token."""
    token = token_of(xml)
    response = VoiceResponse()
    if keys:
        response.play(digits=keys)
    stream = response.connect().stream(url=public_url.replace("http", "ws", 1) + "/media")
    stream.parameter(name="call_id", value=call_id)
    stream.parameter(name="token", value=token)
    response.redirect(f"{public_url}/twiml/{call_id}", method="POST")
    is_same(xml, response)
    return token


def is_apology(xml, language):
    """Checks that `xml` says something in `language` and hangs up."""
    words = "".join(ElementTree.fromstring(xml).itertext())
    check(len(words) > 10, f"an apology without words: {xml}")
    response = VoiceResponse()
    response.say(words, language=language)
    response.hangup()
    is_same(xml, response)


def is_hang_up(xml):
    response = VoiceResponse()
    response.hangup()
    is_same(xml, response)


def is_same(xml, response):
    same("TwiML", ElementTree.canonicalize(xml), ElementTree.canonicalize(str(response)))
