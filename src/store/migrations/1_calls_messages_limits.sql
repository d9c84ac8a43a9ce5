-- Times are RFC 3339 in UTC with milliseconds, durations are milliseconds, days are UTC days.

-- The processes that share the file. A process whose beat stands still is dead.
CREATE TABLE process (
    id   TEXT NOT NULL PRIMARY KEY,
    beat INTEGER NOT NULL
) STRICT;

CREATE TABLE call (
    id              TEXT NOT NULL PRIMARY KEY,
    -- Who answers for the call.
    process         TEXT NOT NULL,
    -- none: not dialled. dialling: asked for. unknown: the answer was lost. open, over: by its SID.
    line            TEXT NOT NULL CHECK (line IN ('none', 'dialling', 'unknown', 'open', 'over')),
    -- The Twilio account that it is made with.
    account         TEXT NOT NULL,
    twilio_sid      TEXT,
    to_number       TEXT NOT NULL,
    from_number     TEXT NOT NULL,
    mission         TEXT NOT NULL,
    language        TEXT NOT NULL,
    max_duration_ms INTEGER NOT NULL,
    -- After this moment Twilio has ended the call, whatever became of us.
    over_by         TEXT NOT NULL,
    status          TEXT NOT NULL,
    summary         TEXT,
    outcome         TEXT,
    error           TEXT,
    started_at      TEXT NOT NULL,
    answered_at     TEXT,
    ended_at        TEXT,
    disclosed_at    TEXT,
    duration_ms     INTEGER NOT NULL DEFAULT 0,
    first_word_ms   INTEGER,
    turn_p50_ms     INTEGER,
    turn_p95_ms     INTEGER,
    turns           INTEGER NOT NULL DEFAULT 0,
    -- What it cost, in millionths of a US dollar; null if a price is not known.
    model_micro_usd   INTEGER,
    carrier_micro_usd INTEGER,
    cost_estimated    INTEGER NOT NULL DEFAULT 1,
    -- What of it is counted among what its day has spent.
    charged_micro_usd INTEGER NOT NULL DEFAULT 0,
    revision        INTEGER NOT NULL
) STRICT;

CREATE INDEX call_by_start ON call (started_at);
CREATE INDEX call_unfinished ON call (process) WHERE line IN ('none', 'dialling', 'unknown', 'open');

-- One line a turn, in the order of the conversation.
CREATE TABLE line (
    call_id  TEXT NOT NULL REFERENCES call (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    t        TEXT NOT NULL,
    role     TEXT NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (call_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE note (
    call_id  TEXT NOT NULL REFERENCES call (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (call_id, position)
) STRICT, WITHOUT ROWID;

-- When a call came to each status.
CREATE TABLE status_change (
    call_id TEXT NOT NULL REFERENCES call (id) ON DELETE CASCADE,
    status  TEXT NOT NULL,
    at      TEXT NOT NULL,
    PRIMARY KEY (call_id, status)
) STRICT, WITHOUT ROWID;

-- Tokens, by price.
CREATE TABLE usage (
    call_id         TEXT NOT NULL REFERENCES call (id) ON DELETE CASCADE,
    model           TEXT NOT NULL,
    text_in         INTEGER NOT NULL,
    cached_text_in  INTEGER NOT NULL,
    audio_in        INTEGER NOT NULL,
    cached_audio_in INTEGER NOT NULL,
    text_out        INTEGER NOT NULL,
    audio_out       INTEGER NOT NULL,
    PRIMARY KEY (call_id, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    id          TEXT NOT NULL PRIMARY KEY,
    process     TEXT NOT NULL,
    -- sending: asked for, no answer yet. unknown: the answer was lost. accepted: by its SID.
    state       TEXT NOT NULL CHECK (state IN ('sending', 'unknown', 'accepted')),
    twilio_sid  TEXT,
    to_number   TEXT NOT NULL,
    from_number TEXT NOT NULL,
    text        TEXT,
    media_url   TEXT,
    status      TEXT,
    segments    INTEGER,
    -- What its day was charged for it.
    micro_usd   INTEGER NOT NULL DEFAULT 0,
    sent_at     TEXT NOT NULL
) STRICT;

CREATE INDEX message_by_time ON message (sent_at);

-- What was used of each day's limits. It outlives the calls and messages that used it.
CREATE TABLE day (
    day       TEXT NOT NULL PRIMARY KEY,
    spoken_ms INTEGER NOT NULL DEFAULT 0,
    messages  INTEGER NOT NULL DEFAULT 0,
    -- On calls and messages, without what live calls hold.
    spent_micro_usd INTEGER NOT NULL DEFAULT 0,
    -- Goes into the names of the numbers that were called; deleted with the day.
    salt      BLOB NOT NULL
) STRICT;

-- Calls to each number; a number is known by its hash with the day's salt.
CREATE TABLE day_number (
    day    TEXT NOT NULL,
    number BLOB NOT NULL,
    calls  INTEGER NOT NULL,
    PRIMARY KEY (day, number)
) STRICT, WITHOUT ROWID;

-- What a call holds of the limits until it is settled.
CREATE TABLE reservation (
    call_id    TEXT NOT NULL PRIMARY KEY,
    day        TEXT NOT NULL,
    number     BLOB NOT NULL,
    granted_ms INTEGER NOT NULL,
    -- The most that the call may cost.
    micro_usd  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys and arguments are kept as hashes.
CREATE TABLE idempotency (
    tool        TEXT NOT NULL,
    key         BLOB NOT NULL,
    arguments   BLOB NOT NULL,
    made_at     TEXT NOT NULL,
    -- The call or message that it led to.
    target      TEXT NOT NULL,
    PRIMARY KEY (tool, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_target ON idempotency (target);
