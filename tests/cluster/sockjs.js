// The unmodified sockjs-client, of the tests under Node, and clients that notice everything.
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import { until } from './processes.js';

const packages = createRequire(new URL('../node/', import.meta.url));
export const SockJS = packages('sockjs-client');
const WebSocket = packages('ws');

export const TRANSPORTS = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];
export const OVER_HTTP = TRANSPORTS.slice(1);

// The client's own limit for one transport to open. Its default follows the measured round trip, and can be too tight for
// a busy machine.
export const OPENING_MS = 5_000;

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

  constructor(t, url, transport) {
    this.label = `${transport} to ${url}`;
    this.transport = transport;
    this.socket = new SockJS(url, null, { transports: [transport], timeout: OPENING_MS });
    this.socket.onopen = () => {
      this.opened += 1;
    };
    this.socket.onmessage = ({ data }) => this.received.push(data);
    this.socket.onclose = ({ code, reason }) => {
      this.closure = { code, reason, at: performance.now() };
    };
    t.after(() => this.socket.close());
  }

  static async open(...args) {
    const client = new Client(...args);
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
