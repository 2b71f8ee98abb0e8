// A server that is stopped by SIGTERM under load, and started again at the same port: every message
// has either come through, or its sender has seen its session close.
import assert from 'node:assert/strict';
import test from 'node:test';
import SockJS from 'sockjs-client';
import { freePort } from '../cluster/ports.js';
import { Example } from './example.js';
import { PATIENCE_MS, TRANSPORTS } from './support.js';

const CLIENTS_OF_EACH = 3;
// How many messages each client gets through before the server is stopped, at least, and after that.
const ROUND = 40;
// How many are on their way at any time.
const AT_ONCE = 10;

// Sends numbered messages without end, some at a time, and opens a new session when one closes. What has not come
// back by then is sent again: that is all that a client needs to know.
class Client {
  acknowledged = 0;
  closures = [];
  failures = 0;
  #wanted = 0;
  #settle = null;

  constructor(url, transport, name) {
    this.url = url;
    this.transport = transport;
    this.name = name;
    this.#open();
  }

  #open() {
    const socket = new SockJS(this.url, null, { transports: [this.transport], timeout: PATIENCE_MS });
    this.socket = socket;
    let opened = false;
    let sent = this.acknowledged;
    const send = () => {
      while (sent < this.acknowledged + AT_ONCE) {
        socket.send(`${this.name} ${sent}`);
        sent += 1;
      }
    };
    socket.onopen = () => {
      opened = true;
      send();
    };
    socket.onmessage = ({ data }) => {
      // In order, without a gap and without one twice.
      if (data !== `${this.name} ${this.acknowledged}`) {
        this.#fail(`${data} came where message ${this.acknowledged} was due`);
        return;
      }
      this.acknowledged += 1;
      this.#look();
      send();
    };
    socket.onclose = ({ code, reason, wasClean }) => {
      if (this.done) {
        return;
      }
      if (opened) {
        this.closures.push({ code, reason, wasClean, unacknowledged: sent - this.acknowledged });
      } else {
        this.failures += 1;
      }
      this.timer = setTimeout(() => this.#open(), 20);
    };
  }

  #look() {
    if (this.#settle && this.acknowledged >= this.#wanted) {
      this.#settle.resolve();
    }
  }

  #fail(why) {
    this.error ??= new Error(`${this.name}: ${why}`);
    this.#settle?.reject(this.error);
  }

  // Waits until this many messages have come back.
  async through(count) {
    if (this.error) {
      throw this.error;
    }
    this.#wanted = count;
    this.#settle = Promise.withResolvers?.() ?? withResolvers();
    const timer = setTimeout(
      () => this.#fail(`only ${this.acknowledged} of ${count} messages in ${PATIENCE_MS / 1000} s`),
      PATIENCE_MS,
    );
    this.#look();
    await this.#settle.promise.finally(() => clearTimeout(timer));
  }

  end() {
    this.done = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}

// Promise.withResolvers, which came with Node.js 22.
function withResolvers() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

test('a restart under load loses no message unseen', async (t) => {
  const first = await Example.start('examples/shutdown', t, `127.0.0.1:${await freePort()}`);
  const url = first.url('/echo');
  const clients = TRANSPORTS.flatMap((transport) =>
    Array.from({ length: CLIENTS_OF_EACH }, (_, n) => new Client(url, transport, `${transport}-${n}`)),
  );
  t.after(() => clients.forEach((client) => client.end()));
  await Promise.all(clients.map((client) => client.through(ROUND)));

  const report = await first.stop();
  assert.equal(
    report,
    `${clients.length} sessions closed, 0 lost with 0 messages, 0 handlers still running`,
  );
  await Example.start('examples/shutdown', t, first.address);
  await Promise.all(clients.map((client) => client.through(client.acknowledged + ROUND)));

  let resent = 0;
  for (const client of clients) {
    assert.equal(client.closures.length, 1, `${client.name}: ${JSON.stringify(client.closures)}`);
    const [{ unacknowledged, ...closure }] = client.closures;
    assert.deepEqual(closure, { code: 4001, reason: 'restarting', wasClean: true }, client.name);
    resent += unacknowledged;
  }
  // Every client is busy all the time, so that the stop cannot but cut messages off.
  assert.ok(resent > 0, 'the stop came under load');
  const failures = clients.reduce((sum, client) => sum + client.failures, 0);
  t.diagnostic(`${clients.length} clients sent ${resent} messages again, after ${failures} vain attempts`);
});
