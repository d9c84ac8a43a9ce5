'use strict';
// Starts openagent-messaging in the place of the Node program that hosts start for
// `- builtin: messaging`. The server inherits stdin, stdout and stderr, so that nothing stands between
// it and the host; this file itself never writes to stdout. Node 18 or later, nothing else.

const { spawn } = require('node:child_process');
const { accessSync, constants, statSync } = require('node:fs');
const { constants: os } = require('node:os');
const path = require('node:path');

const NAME = process.platform === 'win32' ? 'openagent-messaging.exe' : 'openagent-messaging';

// Where the executable may be, the likeliest place first.
function candidates() {
  const given = process.env.OPENAGENT_MESSAGING_BIN;
  if (given) return [given];
  const home = path.dirname(__dirname);
  const built = (folder) => [
    path.join(folder, 'bin', `${process.platform}-${process.arch}`, NAME),
    path.join(folder, 'target', 'release', NAME),
  ];
  const search = (process.env.PATH ?? '').split(path.delimiter).filter(Boolean);
  return [
    // The built-in's own folder, then this repository, in which the launcher is an example.
    ...built(home),
    ...built(path.resolve(home, '..', '..')),
    ...search.map((folder) => path.join(folder, NAME)),
  ];
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function fail(code, message) {
  process.stderr.write(`openagent-messaging launcher: ${message}\n`);
  process.exitCode = code;
}

function start(file) {
  const server = spawn(file, process.argv.slice(2), { stdio: 'inherit', windowsHide: true });
  // Signals go on to the server, which hangs up its calls before it ends.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => server.kill(signal));
  }
  server.on('error', (error) => fail(126, `${file} cannot be started: ${error.message}`));
  server.on('exit', (code, signal) => {
    // As a shell reports it: 128 and the number of the signal.
    process.exitCode = code ?? 128 + (os.signals[signal] ?? 0);
  });
}

const places = candidates();
const found = places.find(isExecutable);
if (found) {
  start(found);
} else {
  fail(
    127,
    `no executable ${NAME} was found. Build it with "cargo build --release" and put it into the PATH, or set ` +
      `OPENAGENT_MESSAGING_BIN to where it is. Looked at: ${places.join(', ')}`,
  );
}
