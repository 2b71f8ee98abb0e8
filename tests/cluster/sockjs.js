// The unmodified sockjs-client, of the tests under Node, and clients that notice everything.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import { until } from './processes.js';

export const packages = createRequire(new URL('../node/', import.meta.url));
export const SockJS = packages('sockjs-client');
export const WebSocket = packages('ws');

export const TRANSPORTS = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];
export const OVER_HTTP = TRANSPORTS.slice(1);

// The client's own limit for one transport to open. Its default follows the measured round trip, and can be too tight for
// a busy machine.
export const OPENING_MS = 5_000;

const BURST = 20;

// A browser tells the client of an answer that breaks off in the middle. Under Node the client looks for the end of the
// answer and for an error of the request, and such an answer has neither.
const { request } = http;
http.request = function tellingOfBrokenAnswers(...args) {
  const outgoing = request.apply(this, args);
  outgoing.on('response', (answer) => {
    answer.on('error', (error) => outgoing.emit('error', error));
  });
  return outgoing;
};

// One session. `received` has all messages, `closure` the close event with its time.
export class Client {
  received = [];
  opened = 0;
  closure = null;

  constructor(t, url, transport, options) {
    this.label = `${transport} to ${url}`;
    this.transport = transport;
    this.socket = this.connect(url, transport, options);
    this.socket.onopen = () => {
      this.opened += 1;
    };
    this.socket.onmessage = ({ data }) => this.received.push(data);
    this.socket.onclose = ({ code, reason }) => {
      this.closure = { code, reason, at: performance.now() };
    };
    t.after(() => this.socket.close());
  }

  connect(url, transport) {
    return new SockJS(url, null, { transports: [transport], timeout: OPENING_MS });
  }

  static async open(...args) {
    const client = new this(...args);
    await client.until('the open event', () => client.opened > 0);
    return client;
  }

  // The URL below which the node is that has the session: the one that has answered /info.
  get base() {
    return new URL(this.socket._transUrl).pathname;
  }

  async until(awaited, probe) {
    const found = await until(`${awaited} of ${this.label}`, () => {
      const value = probe();
      return (value === undefined || value === false) && this.closure !== null ? null : value;
    });
    if (found === null) {
      const { code, reason } = this.closure;
      throw new Error(`${this.label} closed with ${code} "${reason}" while waiting for ${awaited}`);
    }
    return found;
  }

  closed(ms) {
    return until(`the close event of ${this.label}`, () => this.closure ?? undefined, ms);
  }

  // One round trip to a service that echoes.
  async echo(message) {
    const before = this.received.length;
    this.socket.send(message);
    await this.until(`the echo of ${message}`, () => this.received.includes(message, before));
  }
}

// As many messages each way, in bursts that overlap, so that sends and polls interleave.
export async function exchange(client, count, name) {
  const messages = Array.from({ length: count }, (_, n) => `${name} ${n}`);
  const last = `${name} last`;
  for (let at = 0; at < count; at += BURST) {
    for (const message of messages.slice(at, at + BURST)) {
      client.socket.send(message);
    }
    // The first of this burst is enough to start the next one.
    await client.until(`message ${at}`, () => client.received.length > at);
  }
  await client.until('all messages', () => client.received.length >= count);
  // One more, to see that nothing follows: no repetition after a new poll, for example.
  client.socket.send(last);
  await client.until('the last message', () => client.received.length > count);
  assert.deepEqual(client.received, [...messages, last], client.label);
}

// A WebSocket to a service of one node that echoes, past the balancer.
export class DirectSocket {
  static async open(t, node, endpoint) {
    const direct = new DirectSocket();
    direct.socket = new WebSocket(`ws://127.0.0.1:${node.port}/${endpoint}/websocket`);
    t.after(() => direct.socket.terminate());
    await once(direct.socket, 'open');
    return direct;
  }

  async echo(message) {
    const answer = once(this.socket, 'message');
    this.socket.send(message);
    const [data] = await answer;
    if (`${data}` !== message) {
      throw new Error(`${data} came for ${message}`);
    }
  }
}
