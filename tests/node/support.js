// What the test files share: where the server is, and a wrapper around the
// unmodified sockjs-client that turns its callbacks into bounded waits.
import SockJS from 'sockjs-client';

// The transports that work without a browser, in the order the client tries them.
export const TRANSPORTS = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];

// How long any single wait may take before the test fails.
export const PATIENCE_MS = 20_000;

// The client's own limit for one transport to open. Its default follows the
// measured round trip and can be as low as 600 ms, too tight for a busy machine.
const OPENING_MS = 15_000;

export function serverUrl() {
  const url = process.env.SOCKJS_URL;
  if (!url) {
    throw new Error(
      'SOCKJS_URL is not set. Start the test server and say where it is, ' +
        'for example: SOCKJS_URL=http://127.0.0.1:8081 npm test',
    );
  }
  return url.replace(/\/+$/, '');
}

let serial = 0;

// A word no other test, and no other run of the tests, uses.
export function unique(word) {
  serial += 1;
  return `${word}-${process.pid}-${Date.now().toString(36)}-${serial}`;
}

// One client socket, of a path of the test server or of a whole URL. `received` holds every message it got, oldest first.
export class Peer {
  #socket;
  #watchers = new Set();
  #taken = 0;

  constructor(path, transport, { accept = () => true } = {}) {
    this.path = path;
    this.label = `${transport ?? 'default transport'} on ${path}`;
    this.received = [];
    this.opened = 0;
    this.closures = [];

    const options = { timeout: OPENING_MS };
    if (transport) {
      options.transports = [transport];
    }
    this.#socket = new SockJS(new URL(path, serverUrl()).href, null, options);
    this.#socket.onopen = () => {
      this.opened += 1;
      this.#changed();
    };
    this.#socket.onmessage = ({ data }) => {
      if (accept(data)) {
        this.received.push(data);
        this.#changed();
      }
    };
    this.#socket.onclose = ({ code, reason, wasClean }) => {
      this.closures.push({ code, reason, wasClean });
      this.#changed();
    };
  }

  // The transport the client settled on; null before and after.
  get transport() {
    return this.#socket.transport;
  }

  send(...messages) {
    for (const message of messages) {
      this.#socket.send(message);
    }
  }

  // Asks the client to close, without waiting. Harmless when it has closed already.
  hangUp(code, reason) {
    this.#socket.close(code, reason);
  }

  // Resolves with the first defined value `probe` returns; it is asked at once
  // and after every event. Fails when the time is up, or when the socket has
  // closed and the value cannot come any more.
  async #until(awaited, probe, { closingIsFine = false } = {}) {
    const value = probe();
    if (value !== undefined) {
      return value;
    }
    return new Promise((resolve, reject) => {
      const settle = (how, result) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        how(result);
      };
      const fail = (why) =>
        settle(reject, new Error(`${this.label}: ${why} while waiting for ${awaited}`));
      const look = () => {
        const found = probe();
        if (found !== undefined) {
          settle(resolve, found);
        } else if (this.closures.length > 0 && !closingIsFine) {
          const { code, reason } = this.closures[0];
          fail(`the socket closed with ${code} ${JSON.stringify(reason)}`);
        }
      };
      const timer = setTimeout(() => fail(`${PATIENCE_MS / 1000} s passed`), PATIENCE_MS);
      this.#watchers.add(look);
      look();
    });
  }

  #changed() {
    for (const look of [...this.#watchers]) {
      look();
    }
  }

  async open() {
    await this.#until('the open event', () => (this.opened > 0 ? true : undefined));
    return this;
  }

  // The next message nobody took yet.
  async next(awaited) {
    const message = await this.#until(awaited, () => this.received[this.#taken]);
    this.#taken += 1;
    return message;
  }

  // Takes the next messages and compares each with the expected one as it
  // arrives. The time limit counts anew for each of them.
  async expect(messages, what) {
    for (const [index, message] of messages.entries()) {
      const which = `${what}, message ${index + 1} of ${messages.length}`;
      sameText(await this.next(which), message, `${this.label}, ${which}`);
    }
  }

  // The first message, among all received so far or still to come, that `wanted` likes.
  find(awaited, wanted) {
    return this.#until(awaited, () => this.received.find(wanted));
  }

  closed() {
    return this.#until('the close event', () => this.closures[0], { closingIsFine: true });
  }
}

// Opens sockets for one test and closes them when that test is over.
export function peersOf(t) {
  const peers = [];
  t.after(async () => {
    for (const peer of peers) {
      peer.hangUp();
    }
    await Promise.all(peers.map((peer) => peer.closed()));
  });
  const make = (...args) => {
    const peer = new Peer(...args);
    peers.push(peer);
    return peer;
  };
  return { make, open: (...args) => make(...args).open() };
}

function codeUnits(text, at) {
  const units = [];
  for (let i = at; i < Math.min(at + 8, text.length); i += 1) {
    units.push(text.charCodeAt(i).toString(16).padStart(4, '0'));
  }
  return units.length ? units.join(' ') : '(end)';
}

// Like assert.equal for strings, with a message that stays short for long texts
// and readable for invisible ones.
export function sameText(actual, expected, label) {
  if (actual === expected) {
    return;
  }
  let at = 0;
  while (at < actual.length && at < expected.length && actual[at] === expected[at]) {
    at += 1;
  }
  throw new Error(
    `${label}: texts differ at UTF-16 unit ${at}: ` +
      `expected ${codeUnits(expected, at)}, got ${codeUnits(actual, at)} ` +
      `(lengths ${expected.length} and ${actual.length})`,
  );
}
