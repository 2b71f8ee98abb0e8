// The STOMP clients that pages use, unmodified, behind one interface: callbacks are turned into bounded waits.
import { createRequire } from 'node:module';
import { Client as StompJs, Versions } from '@stomp/stompjs';
import SockJS from 'sockjs-client';
import WebSocket from 'ws';
import { PATIENCE_MS, TRANSPORTS, unique } from './support.js';

// Both are no modules of ECMAScript.
const require = createRequire(import.meta.url);
const legacy = require('stompjs');
const webstomp = require('webstomp-client');

// A WebSocket without SockJS, or one of its transports.
export const RAW = 'a WebSocket';
export const CARRIAGES = [RAW, ...TRANSPORTS];

export const GUEST = { login: 'guest', passcode: 'guest' };

// The client's own limit for a transport to open is too tight for a busy machine.
const OPENING_MS = 15_000;

const SUBPROTOCOLS = ['v12.stomp', 'v11.stomp', 'v10.stomp'];

// An address is that of the conformance server, or the URLs of another one.
function openSocket(address, carriage, protocols) {
  const urls = address.sockjs ? address : { webSocket: `ws://${address}/ws`, sockjs: `http://${address}/sockjs` };
  if (carriage === RAW) {
    return new WebSocket(urls.webSocket, protocols);
  }
  return new SockJS(urls.sockjs, null, { transports: [carriage], timeout: OPENING_MS });
}

// Things of one kind, each of which is taken once.
class Arrivals {
  #items = [];
  #waiting = [];

  constructor(client, kind) {
    this.client = client;
    this.kind = kind;
  }

  put(item) {
    this.ended = null;
    const [first] = this.#waiting.splice(0, 1);
    if (first) {
      first.resolve(item);
    } else {
      this.#items.push(item);
    }
  }

  // The next one, or an error when the time is up, or when none can come any more.
  next(awaited = this.kind) {
    if (this.#items.length > 0) {
      return Promise.resolve(this.#items.shift());
    }
    if (this.ended) {
      return Promise.reject(new Error(`${this.client.label}: ${this.ended}, before ${awaited}`));
    }
    return new Promise((resolve, reject) => {
      const settle = (how) => (value) => {
        clearTimeout(timer);
        this.#waiting = this.#waiting.filter((each) => each !== waiter);
        how(value);
      };
      const waiter = { resolve: settle(resolve), reject: settle(reject) };
      const fail = (why) => waiter.reject(new Error(`${this.client.label}: ${why} while waiting for ${awaited}`));
      waiter.fail = fail;
      const timer = setTimeout(() => fail(`${PATIENCE_MS / 1000} s passed`), PATIENCE_MS);
      this.#waiting.push(waiter);
    });
  }

  end(why) {
    this.ended = why;
    [...this.#waiting].forEach((each) => each.fail(why));
  }
}

// What the clients have in common. A frame that comes has `headers` and `body`, a message `ack` and `nack` as well.
class Client {
  #subscriptions = [];
  #receipts = new Map();

  constructor(address, carriage, options = {}) {
    this.address = address;
    this.carriage = carriage;
    this.options = options;
    this.label = `${this.constructor.title} over ${carriage}`;
    this.connections = new Arrivals(this, 'CONNECTED');
    this.errors = new Arrivals(this, 'an ERROR');
    this.closures = new Arrivals(this, 'the close');
    // Messages of no subscription that the client knows.
    this.unclaimed = [];
  }

  // What is called when it has happened.
  connected(frame) {
    this.connections.put(frame);
  }

  failed(frame) {
    const why = `the server says ${JSON.stringify(frame.headers.message)} ${JSON.stringify(frame.body)}`;
    this.errors.put(frame);
    this.#end(why);
  }

  closed(event) {
    this.closures.put(event);
    this.#end('the connection closed');
  }

  #end(why) {
    [this.connections, ...this.#subscriptions, ...this.#receipts.values()].forEach((each) => each.end(why));
  }

  receipted(frame) {
    this.receiptOf(frame.headers['receipt-id']).put(frame);
  }

  receiptOf(id) {
    if (!this.#receipts.has(id)) {
      this.#receipts.set(id, new Arrivals(this, `the RECEIPT of ${id}`));
    }
    return this.#receipts.get(id);
  }

  // Sends something with a header for a receipt, and waits for it.
  async confirmed(send) {
    const receipt = unique('receipt');
    const answer = this.receiptOf(receipt);
    const result = send({ receipt });
    await answer.next();
    return result;
  }

  send(destination, body = '', headers = {}) {
    this.transmit(destination, body, headers);
  }

  sent(destination, body = '', headers = {}) {
    return this.confirmed((receipt) => this.send(destination, body, { ...headers, ...receipt }));
  }

  // The subscription's messages come by `next`.
  subscribe(destination, headers = {}) {
    const messages = new Arrivals(this, `a message of ${destination}`);
    const subscription = this.listen(destination, (message) => messages.put(message), {
      // webstomp-client's own ids can be the same for two.
      id: unique('sub'),
      ...headers,
    });
    this.#subscriptions.push(messages);
    messages.id = subscription.id;
    messages.unsubscribe = (...more) => subscription.unsubscribe(...more);
    return messages;
  }

  subscribed(destination, headers = {}) {
    return this.confirmed((receipt) => this.subscribe(destination, { ...headers, ...receipt }));
  }

  // Ends without a word of STOMP.
  vanish() {
    (this.socket.terminate ?? this.socket.close).call(this.socket);
  }

  // From now on nothing that this client sends arrives.
  mute() {
    this.socket.send = () => {};
  }
}

class Modern extends Client {
  static title = 'stompjs 7';
  static splits = false;
  static version = '1.2';
  static protocols = Versions.default;

  open(headers = GUEST) {
    this.client = new StompJs({
      stompVersions: this.constructor.protocols,
      webSocketFactory: () => {
        const protocols = this.constructor.protocols.protocolVersions();
        this.socket = openSocket(this.address, this.carriage, protocols);
        return this.socket;
      },
      connectHeaders: headers,
      // Tests that want another connection say so.
      reconnectDelay: 0,
      onConnect: (frame) => this.connected(frame),
      onStompError: (frame) => this.failed(frame),
      onWebSocketClose: (event) => this.closed(event),
      onHeartbeatLost: () => {
        this.lostBeats = true;
      },
      onUnhandledReceipt: (frame) => this.receipted(frame),
      onUnhandledMessage: (message) => this.unclaimed.push(message),
      splitLargeFrames: this.constructor.splits,
      ...this.options,
    });
    this.client.activate();
    return this.connections.next();
  }

  // Waits until the client has connected once more by itself.
  openAgain() {
    this.connections.ended = null;
    return this.connections.next('the next CONNECTED');
  }

  // Options for beats so often, each way.
  static beats(ms) {
    return { heartbeatOutgoing: ms, heartbeatIncoming: ms };
  }

  transmit(destination, body, headers) {
    this.client.publish({ destination, headers, ...(typeof body === 'string' ? { body } : { binaryBody: body }) });
  }

  listen(destination, receive, headers) {
    return this.client.subscribe(destination, receive, headers);
  }

  begin() {
    return this.client.begin(unique('tx'));
  }

  disconnect() {
    return this.client.deactivate();
  }
}

class Modern11 extends Modern {
  static title = 'stompjs 7 as 1.1';
  static version = '1.1';
  static protocols = new Versions([Versions.V1_1]);
}

class Splitting extends Modern {
  static title = 'stompjs 7 that splits';
  static splits = true;
}

// What the two older clients have in common.
class Older extends Client {
  static splits = true;

  constructor(...args) {
    super(...args);
    this.beats = this.options.beats ?? { outgoing: 10_000, incoming: 10_000 };
  }

  open(headers = GUEST) {
    this.socket = openSocket(this.address, this.carriage, SUBPROTOCOLS);
    this.client = this.over(this.socket);
    this.client.onreceipt = (frame) => this.receipted(frame);
    this.client.onreceive = (message) => this.unclaimed.push(message);
    // It is called with what came, and with what says that the connection has closed.
    const fail = (what) => (what.command === 'ERROR' ? this.failed(what) : this.closed(what));
    this.client.connect({ ...headers }, (frame) => this.connected(frame), fail);
    return this.connections.next();
  }

  // Options for beats so often, each way.
  static beats(ms) {
    return { beats: { outgoing: ms, incoming: ms } };
  }

  listen(destination, receive, headers) {
    return this.client.subscribe(destination, receive, headers);
  }

  begin() {
    return this.client.begin(unique('tx'));
  }

  async disconnect() {
    if (this.client?.connected) {
      this.client.disconnect();
    } else {
      this.socket?.close();
    }
  }
}

class Legacy extends Older {
  static title = 'stompjs 2';
  static version = '1.1';

  over(socket) {
    const client = legacy.over(socket);
    client.debug = null;
    client.heartbeat = this.beats;
    return client;
  }

  transmit(destination, body, headers) {
    this.client.send(destination, { ...headers }, body);
  }
}

class Webstomp extends Older {
  static title = 'webstomp-client';
  static version = '1.2';

  over(socket) {
    return webstomp.over(socket, { debug: false, heartbeat: this.beats, binary: this.options.binary ?? false });
  }

  transmit(destination, body, headers) {
    this.client.send(destination, body, headers);
  }
}

export { Modern, Modern11, Splitting, Legacy, Webstomp };

// Makes clients for one test, and ends them when it is over.
export function clientsOf(t, address) {
  const clients = [];
  t.after(() => Promise.all(clients.map((client) => client.disconnect())));
  return {
    make(Kind, carriage, options) {
      const client = new Kind(address, carriage, options);
      clients.push(client);
      return client;
    },
    // Connects one as guest.
    async open(Kind, carriage, options) {
      const client = this.make(Kind, carriage, options);
      await client.open();
      return client;
    },
  };
}
