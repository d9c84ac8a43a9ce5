// The official TypeScript clients speak MCP with the program: every tool, progress, cancellation,
// errors. The newer package in the newest revision and in an older one; the older package, on which
// most hosts are built, in the newest that it knows. They check results against the tools' output
// schemas themselves.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(`${process.env.INTEROP_PLACE}/lib/`);
const newer = require("@modelcontextprotocol/client");
const newerStdio = require("@modelcontextprotocol/client/stdio");
const older = require("@modelcontextprotocol/sdk/client/index.js");
const olderStdio = require("@modelcontextprotocol/sdk/client/stdio.js");

// What has to happen does so within this time, on any machine. It is waited for.
const PATIENCE = 60_000;

// How long a tool is asked to wait, in seconds; and in which time it ends if that is cancelled. Far
// less, so that a wait that ran to its own end is not taken for one that was cancelled.
const LONG = 50;
const SHORT = 15_000;

// Rings for a minute; and somebody who talks.
const [NOBODY, SOMEBODY] = ["+14155550002", "+14155550142"];

const about = { name: "interop", version: "1" };

const kinds = [
  {
    revision: "2026-07-28",
    client: () => new newer.Client(about, { versionNegotiation: { mode: "auto" } }),
    transport: newerStdio.StdioClientTransport,
    call: (client, params, options) => client.callTool(params, options),
  },
  {
    revision: "2025-06-18",
    client: () => new newer.Client(about, { supportedProtocolVersions: ["2025-06-18"] }),
    transport: newerStdio.StdioClientTransport,
    call: (client, params, options) => client.callTool(params, options),
  },
  {
    revision: "2025-11-25",
    client: () => new older.Client(about),
    transport: olderStdio.StdioClientTransport,
    call: (client, params, options) => client.callTool(params, undefined, options),
  },
];

/** One connection, and what was seen on it. */
class Host {
  constructor(kind) {
    this.kind = kind;
    this.called = new Set();
    this.stderr = "";
    this.strays = [];
    this.client = kind.client();
    this.client.onerror = (error) => this.strays.push(String(error));
  }

  async connect() {
    const transport = new this.kind.transport({
      command: process.env.INTEROP_PROGRAM,
      args: ["--sandbox"],
      env: { ...process.env, RUST_LOG: "info,rmcp=debug" },
      stderr: "pipe",
    });
    this.log = transport.stderr;
    this.log.on("data", (chunk) => (this.stderr += chunk));
    // Clients tell their transport which revision was agreed on; the older one tells nobody else.
    let spoken;
    const tell = transport.setProtocolVersion?.bind(transport);
    transport.setProtocolVersion = (revision) => {
      spoken = revision;
      tell?.(revision);
    };
    await this.client.connect(transport);
    assert.equal(spoken, this.kind.revision, "revision");
    assert.equal(this.client.getServerVersion().name, "openagent-messaging");
    const { tools } = await this.client.listTools();
    this.tools = tools;
    for (const tool of tools) {
      assert(tool.title && tool.description && tool.outputSchema, `${tool.name} is not described in full`);
    }
  }

  /** A call that succeeds: its result. */
  async call(name, args = {}, options = {}) {
    this.called.add(name);
    const result = await this.raw(name, args, options);
    assert(!result.isError, `${name} failed: ${result.content[0].text}`);
    assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent, `${name}: the text`);
    return result.structuredContent;
  }

  /** A call whose result says what was wrong; not an error of the protocol. */
  async fails(name, args, why) {
    this.called.add(name);
    const result = await this.raw(name, args);
    assert(result.isError, `${name} should fail`);
    assert(result.content[0].text.includes(why), `${name} fails with: ${result.content[0].text}`);
  }

  raw(name, args, options = {}) {
    return this.kind.call(this.client, { name, arguments: args }, { timeout: PATIENCE, ...options });
  }

  async logged(words, within) {
    const late = Promise.withResolvers();
    const deadline = setTimeout(() => late.reject(new Error(`not logged within ${within} ms: ${words}`)), within);
    try {
      while (!this.stderr.includes(words)) {
        await Promise.race([once(this.log, "data"), late.promise]);
      }
    } finally {
      clearTimeout(deadline);
    }
  }

  place(to, more = {}) {
    const order = { to, mission: "Move the appointment of Maria Rossi to next week.", ...more };
    return this.call("phone_call_place", order);
  }

  /** Waits from change to change until `until` says that it is enough. */
  async follow(placed, until) {
    let now = placed;
    while (!until(now)) {
      const { call_id, revision } = now;
      now = await this.call("phone_call_status", { call_id, wait: true, since: revision, transcript: "full" });
    }
    return now;
  }
}

/** All but the calls. */
async function everyTool(host, picture) {
  const status = await host.call("status");
  assert.equal(status.phone.voice_ready, true);
  const { sid } = await host.call("sms_send", { to: SOMEBODY, text: "Good morning", idempotency_key: "one" });
  assert.equal((await host.call("sms_status", { sid })).sid, sid);
  await host.call("sms_send_file", { to: SOMEBODY, url: "https://files.invalid/a.png" });
  await host.call("telegram_send_message", { chat_id: "42", text: "Hi" });
  await host.call("telegram_send_file", { chat_id: "42", path: picture, type: "document" });
  await host.call("discord_send_message", { channel_id: "42", text: "Hi" });
  await host.call("discord_send_file", { channel_id: "42", path: picture });
  await host.call("whatsapp_send_message", { phone: "+393331234567", text: "Hi" });
  await host.call("whatsapp_send_file", { phone: "+393331234567", path: picture });
}

async function errors(host) {
  await host.fails("sms_send", { to: "12", text: "Hi" }, "is not a phone number");
  await host.fails("sms_send", { to: SOMEBODY, text: "Hi", colour: "red" }, "colour");
  await host.fails("phone_call_status", { call_id: "no such call" }, "call");
  await assert.rejects(host.raw("no_such_tool", {}), (error) => error.code === -32602, "an unknown tool");
}

/** Progress and cancellation of a wait; then a hang-up. */
async function aQuietCall(host) {
  const placed = await host.place(NOBODY);
  const ringing = await host.follow(placed, (now) => now.status === "ringing");
  const { call_id, revision } = ringing;
  const wait = { call_id, wait: true, since: revision, wake_on: "final", timeout_seconds: LONG };
  const stop = new AbortController();
  const told = Promise.withResolvers();
  const waiting = host.raw("phone_call_status", wait, { signal: stop.signal, onprogress: told.resolve });
  waiting.catch(() => {});
  const report = await Promise.race([told.promise, waiting]);
  assert(report.progress > 0 && report.total === LONG && report.message, `progress: ${JSON.stringify(report)}`);
  stop.abort("not needed any more");
  await assert.rejects(waiting);
  await host.logged("dropping response for cancelled request", SHORT);
  const last = host.call("phone_call_status", wait);
  assert.equal((await host.call("phone_call_hangup", { call_id })).status, "hung_up_by_agent");
  assert.equal((await last).status, "hung_up_by_agent");
}

/** Placed, instructed, followed to its outcome, listed, deleted. */
async function aConversation(host) {
  const placed = await host.place(SOMEBODY, { caller_identity: "Maria Rossi", max_duration_seconds: 120 });
  const { call_id } = placed;
  await host.call("phone_call_instruct", { call_id, text: "Thursday is fine, too." });
  await host.fails("phone_call_answer", { call_id, question_id: "1", text: "Yes" }, "question");
  const over = await host.follow(placed, (now) => now.outcome);
  assert.deepEqual([over.status, over.outcome], ["completed", "success"]);
  assert(over.transcript.some((line) => line.role === "caller"), "nobody spoke");
  const { calls } = await host.call("phone_call_list", { status: "completed" });
  assert.deepEqual(calls.map((call) => call.call_id), [call_id]);
  assert.deepEqual(await host.call("phone_call_delete", { call_id }), { deleted: true });
}

async function everything(kind, picture) {
  const host = new Host(kind);
  await host.connect();
  await everyTool(host, picture);
  await Promise.all([errors(host), aQuietCall(host), aConversation(host)]);
  const names = host.tools.map((tool) => tool.name);
  assert.deepEqual([...host.called].sort(), names.sort(), "tools that were called");
  await host.client.close();
  // The clients report what they cannot read on stdout.
  assert.deepEqual(host.strays, [], "not MCP on stdout");
  return names.length;
}

// The validators warn about what they do not understand in a schema; hosts show that to their users.
const warned = new Set();
for (const level of ["warn", "error"]) console[level] = (...words) => warned.add(words.join(" "));

const folder = mkdtempSync(join(tmpdir(), "interop-"));
const picture = join(folder, "a.png");
writeFileSync(picture, Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0]));
try {
  const [count] = await Promise.all(kinds.map((kind) => everything(kind, picture)));
  assert.deepEqual([...warned], [], "warnings of the clients");
  console.log(`${count} tools, revisions ${kinds.map((kind) => kind.revision).join(", ")}`);
} catch (error) {
  console.log(error.stack);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
// A client that was left behind must not keep a failed run alive.
process.exit();
