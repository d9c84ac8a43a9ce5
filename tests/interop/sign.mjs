// Signs as Twilio's SDK for Node does: reads a list of {token, url, params} and prints the signatures.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(`${process.env.INTEROP_PLACE}/lib/`);
const { getExpectedTwilioSignature } = require("twilio/lib/webhooks/webhooks");

const asked = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(asked.map(({ token, url, params }) => getExpectedTwilioSignature(token, url, params))));
