// What the tests call in the page: STOMP by stompjs, over SockJS or a WebSocket. Each wait ends after `patience` with
// an error that says what was awaited. A step of a test is a function here.
'use strict';

const clients = new Map();

let serial = 0;

// A word that no other test uses: the server is there for one page.
function unique(word) {
  serial += 1;
  return `${word}-${serial}`;
}

const bench = {
  patience: 20_000,

  setPatience(ms) {
    this.patience = ms;
  },

  // Connects as guest, which most servers say in their answer: `user` is null where they do not. Resolves with
  // { transport, ms }, or with the close event when it closed instead.
  async connect(name, { user = 'guest', ...target }, options) {
    const peer = new Peer(target, options);
    clients.set(name, peer);
    await peer.until('CONNECTED', () => peer.connected ?? peer.closure);
    if (peer.connected === undefined) {
      return peer.closure;
    }
    const { version, 'user-name': told = null } = peer.connected.headers;
    same([version, told], ['1.2', user], 'CONNECTED');
    return { transport: peer.socket.transport ?? null, ms: peer.connectedAt - peer.begun };
  },

  // A wrong passcode is said to be one, and then the connection is closed.
  async refusal(target) {
    const peer = new Peer(target, { connectHeaders: { login: 'guest', passcode: 'wrong' } });
    await peer.until('the ERROR and the close', () => peer.closure);
    same(peer.connected, undefined, 'CONNECTED');
    same([peer.error?.headers.message, peer.closure.code], ['access refused', 1002], 'the answer');
  },

  async exchange(name) {
    const peer = clients.get(name);
    const topic = `/topic/${unique('news')}`;
    const news = await peer.subscribe(topic);
    const sent = Array.from({ length: 50 }, (_, n) => `message ${n} ${'.'.repeat(150)}`);
    const receipts = sent.map((body) => peer.sent({ destination: topic, body }));
    for (const body of sent) {
      same((await news.next()).body, body, 'a message');
    }
    await Promise.all(receipts);
    news.unsubscribe();
    await peer.sent({ destination: topic, body: 'to nobody' });
    same(peer.unclaimed, 0, 'messages after UNSUBSCRIBE');
  },

  async handlers(name) {
    const peer = clients.get(name);
    const answers = await peer.subscribe('/user/queue/echo');
    // The client takes a U+FEFF at the start of a body for a mark of its encoding.
    const awkward = texts.awkward.filter((text) => !text.startsWith('\ufeff'));
    const bodies = [...awkward, ...texts.embedded, 'a\n\nb\0c', texts.ascii(1 << 20)];
    for (const body of bodies) {
      peer.publish({ destination: '/app/echo', body, headers: { 'content-type': 'text/plain' } });
    }
    for (const body of bodies) {
      same((await answers.next()).body, body, 'an echo');
    }
    await peer.sent({ destination: '/app/whoami' });
    same((await answers.next()).body, 'guest', 'the user');
    const hello = peer.listen('/app/hello');
    same((await hello.next()).body, 'hello', 'the answer to a subscription');
  },

  // As stompjs does it when it is told to: at borders that cut a pair of surrogates, with or without a unit before.
  async split(target) {
    const peer = new Peer(target, { splitLargeFrames: true });
    await peer.until('CONNECTED', () => peer.connected);
    const answers = await peer.subscribe('/user/queue/echo');
    for (const body of ['\u{1f600}'.repeat(10_000), `x${'\u{1f600}'.repeat(10_000)}`]) {
      peer.publish({ destination: '/app/echo', body });
      same((await answers.next()).body, body, 'an echo');
    }
    await peer.client.deactivate();
  },

  // Bytes as they are over a WebSocket; who hears them over SockJS gets base64.
  async bytes(name, target) {
    const peer = clients.get(name);
    const sender = new Peer({ url: target.socket });
    await sender.until('CONNECTED', () => sender.connected);
    const topic = `/topic/${unique('bytes')}`;
    const messages = await peer.subscribe(topic);
    const binaryBody = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const headers = { 'content-type': 'application/octet-stream' };
    await sender.sent({ destination: topic, binaryBody, headers });
    const message = await messages.next();
    const encoding = message.headers['content-transfer-encoding'];
    same(encoding, target.transport === undefined ? undefined : 'base64', 'the encoding');
    const got = encoding ? Uint8Array.from(atob(message.body), (each) => each.charCodeAt(0)) : message.binaryBody;
    same([...got], [...binaryBody], 'the bytes');
    await sender.client.deactivate();
  },

  async acknowledgements(name) {
    const peer = clients.get(name);
    const destination = `/queue/${unique('work')}`;
    const work = await peer.subscribe(destination, { ack: 'client-individual' });
    for (const body of ['a', 'b', 'c']) {
      peer.publish({ destination, body });
    }
    const [a, b, c] = [await work.next(), await work.next(), await work.next()];
    same([a.body, b.body, c.body], ['a', 'b', 'c'], 'the messages');
    b.ack();
    a.nack();
    const again = await work.next();
    same([again.body, again.headers.redelivered], ['a', 'true'], 'what was given back');
    const transaction = peer.client.begin();
    again.ack({ transaction: transaction.id });
    peer.publish({ destination, body: 'd', headers: { transaction: transaction.id } });
    peer.publish({ destination, body: 'before' });
    same((await work.next()).body, 'before', 'what is in no transaction');
    transaction.commit();
    same((await work.next()).body, 'd', 'what was committed');
    work.unsubscribe();
    const rest = await peer.subscribe(destination);
    for (const body of ['c', 'before', 'd']) {
      const message = await rest.next();
      same([message.body, message.headers.redelivered], [body, 'true'], 'what was not acknowledged');
    }
  },

  // An error that is hidden from no page: told, and told before the close.
  async failures(name) {
    const peer = clients.get(name);
    const errors = await peer.subscribe('/user/queue/errors');
    peer.publish({ destination: '/app/fail' });
    same((await errors.next()).body, 'boom', 'the error');
    peer.publish({ destination: '/app/fail', headers: { receipt: 'failing' } });
    await peer.until('the close', () => peer.closure);
    same([peer.error?.headers['receipt-id'], peer.closure.code], ['failing', 1002], 'the ERROR and the close');
    same(`${peer.error.headers.message} ${peer.error.body}`.includes('boom'), true, 'that the ERROR says why');
  },

  // Beats go both ways while nothing else does.
  async beats(name) {
    const peer = clients.get(name);
    const before = peer.beats;
    await peer.until('three beats', () => (peer.beats >= before + 3 ? true : undefined));
    await peer.sent({ destination: '/topic/nothing' });
    same(peer.closures, 0, 'closes');
  },

  // After the server has been started again: the client has connected once more by itself.
  async reconnection(name) {
    const peer = clients.get(name);
    await peer.until('the next CONNECTED', () => (peer.connections === 2 ? true : undefined), { closingIsFine: true });
    const topic = `/topic/${unique('again')}`;
    const news = await peer.subscribe(topic);
    await peer.sent({ destination: topic, body: 'again' });
    same((await news.next()).body, 'again', 'a message');
  },

  leave(name) {
    return clients.get(name).client.deactivate();
  },
};

class Peer {
  // `target` is { url } of a WebSocket, or { url, transport } of SockJS.
  constructor({ url, transport }, options = {}) {
    this.connections = 0;
    this.closures = 0;
    this.beats = 0;
    // Messages of no subscription that the client knows.
    this.unclaimed = 0;
    this.looks = new Set();
    this.begun = performance.now();
    this.client = new StompJs.Client({
      webSocketFactory: () => {
        this.socket =
          transport === undefined
            ? new WebSocket(url, StompJs.Versions.default.protocolVersions())
            : new SockJS(url, null, { transports: [transport], timeout: 5_000 });
        return this.socket;
      },
      connectHeaders: { login: 'guest', passcode: 'guest' },
      reconnectDelay: 0,
      onConnect: (frame) => {
        this.connected = frame;
        this.connectedAt = performance.now();
        this.connections += 1;
        this.closure = undefined;
        this.changed();
      },
      onStompError: (frame) => {
        this.error = frame;
      },
      onWebSocketClose: ({ code, reason }) => {
        this.closure = { code, reason };
        this.closures += 1;
        this.changed();
      },
      onUnhandledMessage: () => {
        this.unclaimed += 1;
      },
      onHeartbeatReceived: () => {
        this.beats += 1;
        this.changed();
      },
      ...options,
    });
    this.client.activate();
  }

  changed() {
    for (const look of [...this.looks]) {
      look();
    }
  }

  // The first defined value of `probe`, which is asked at once and after each event.
  until(awaited, probe, { closingIsFine = false } = {}) {
    return new Promise((resolve, reject) => {
      const settle = (how, result) => {
        clearTimeout(timer);
        this.looks.delete(look);
        how(result);
      };
      const look = () => {
        const found = probe();
        if (found !== undefined) {
          settle(resolve, found);
        } else if (this.closure !== undefined && !closingIsFine) {
          const { code, reason } = this.closure;
          const why = this.error === undefined ? '' : ` after "${this.error.headers.message}"`;
          settle(reject, new Error(`closed with ${code} "${reason}"${why} while waiting for ${awaited}`));
        }
      };
      const late = () => settle(reject, new Error(`waited ${bench.patience / 1000} s for ${awaited}`));
      const timer = setTimeout(late, bench.patience);
      this.looks.add(look);
      look();
    });
  }

  // Does something that asks for a receipt, and waits for that.
  async confirmed(act) {
    const receipt = unique('receipt');
    let done;
    this.client.watchForReceipt(receipt, () => {
      done = true;
      this.changed();
    });
    const result = act({ receipt });
    await this.until('a receipt', () => done);
    return result;
  }

  publish(message) {
    this.client.publish(message);
  }

  sent(message) {
    return this.confirmed((receipt) => this.publish({ ...message, headers: { ...message.headers, ...receipt } }));
  }

  listen(destination, headers) {
    const messages = [];
    const receive = (message) => {
      messages.push(message);
      this.changed();
    };
    const { unsubscribe } = this.client.subscribe(destination, receive, headers);
    return {
      next: () => this.until(`a message of ${destination}`, () => messages.shift()),
      unsubscribe,
    };
  }

  subscribe(destination, headers) {
    return this.confirmed((receipt) => this.listen(destination, { ...headers, ...receipt }));
  }
}

function same(got, expected, what) {
  const [g, e] = [JSON.stringify(got) ?? 'nothing', JSON.stringify(expected) ?? 'nothing'];
  if (g !== e) {
    const short = (text) => (text.length <= 200 ? text : `${text.slice(0, 200)}… (${text.length} units)`);
    throw new Error(`${what}: got ${short(g)} for ${short(e)}`);
  }
}
