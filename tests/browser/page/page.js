// What the tests call in the page: one object per socket, whose waits end after `patience` with an error
// that says what was awaited. Checks that need many messages are done here, not over the driver's protocol.
'use strict';

const sockets = new Map();

const bench = {
  patience: 20_000,

  setPatience(ms) {
    this.patience = ms;
  },

  // Starts a socket and returns at once.
  start(name, url, options) {
    sockets.set(name, new Peer(url, options));
  },

  // How the socket got on: { transport, ms } once open, the close event when it closed instead. Times are
  // counted from the socket's making.
  opening(name) {
    const peer = peerOf(name);
    return peer.until('the open event', () => peer.opening ?? peer.closure, { closingIsFine: true });
  },

  // The close event: { code, reason, wasClean, ms }.
  closing(name) {
    const peer = peerOf(name);
    return peer.until('the close event', () => peer.closure, { closingIsFine: true });
  },

  // The same, or null when it has not come after `ms`.
  closingWithin(name, ms) {
    return Promise.race([
      this.closing(name),
      new Promise((resolve) => {
        setTimeout(resolve, ms, null);
      }),
    ]);
  },

  send(name, ...messages) {
    peerOf(name).send(messages);
  },

  hangUp(name, code, reason) {
    peerOf(name).socket.close(code, reason);
  },

  // Takes the next messages, which must be these.
  expect(name, messages, what) {
    return peerOf(name).expect(messages, what);
  },

  // Sends everything at once and expects all of it back.
  async echo(name, messages, what) {
    const peer = peerOf(name);
    peer.send(messages);
    await peer.expect(messages, what);
  },

  // `count` messages in bursts that overlap, so that sends and polls interleave.
  async bursts(name, count, size) {
    const peer = peerOf(name);
    // Long enough for a stream to reach its limit and begin anew.
    const messages = Array.from({ length: count }, (_, n) => `message ${n} ${'.'.repeat(150)}`);
    let expected = 0;
    for (let at = 0; at < count; at += size) {
      peer.send(messages.slice(at, at + size));
      // The first of this burst is enough to start the next one.
      await peer.expect(messages.slice(expected, at + 1), `the burst at ${at}`);
      expected = at + 1;
    }
    await peer.expect(messages.slice(expected), 'the last burst');
    await this.fence(name);
  },

  async texts(name) {
    await this.echo(name, texts.everyCharacter(), 'every character up to U+FFFF');
    await this.echo(name, texts.awkward, 'awkward texts');
    await this.echo(name, texts.embedded, 'embedded awkward texts');
    const peer = peerOf(name);
    peer.send(texts.loneSurrogates.map(([sent]) => sent));
    await peer.expect(texts.loneSurrogates.map(([, back]) => back), 'lone surrogates');
    await this.fence(name);
  },

  async large(name, bytes) {
    await this.echo(name, [texts.ascii(bytes)], `${bytes} bytes of ASCII`);
    await this.echo(name, [texts.multiByte(bytes)], `${bytes} bytes of longer characters`);
    await this.fence(name);
  },

  async turns(name) {
    for (const [what, messages] of Object.entries(texts.turns)) {
      await this.echo(name, messages, what);
      await this.fence(name);
    }
  },

  // One more round trip, to see that nothing came twice: all messages were expected, and none is left.
  async fence(name) {
    const peer = peerOf(name);
    peer.fences += 1;
    await this.echo(name, [`fence ${peer.fences}`], 'a fence');
    if (peer.received.length !== peer.taken) {
      throw new Error(`${peer.received.length - peer.taken} messages too many after the fence`);
    }
  },
};

function peerOf(name) {
  const peer = sockets.get(name);
  if (peer === undefined) {
    throw new Error(`no socket is called ${name}`);
  }
  return peer;
}

class Peer {
  constructor(url, options) {
    // All messages, oldest first, and how many of them were asked for.
    this.received = [];
    this.taken = 0;
    this.fences = 0;
    this.looks = new Set();
    const begun = performance.now();
    this.socket = new SockJS(url, null, options);
    this.socket.onopen = () => {
      this.opening = { transport: this.socket.transport, ms: performance.now() - begun };
      this.changed();
    };
    this.socket.onmessage = ({ data }) => {
      this.received.push(data);
      this.changed();
    };
    this.socket.onclose = ({ code, reason, wasClean }) => {
      this.closure = { code, reason, wasClean, ms: performance.now() - begun };
      this.changed();
    };
  }

  send(messages) {
    for (const message of messages) {
      this.socket.send(message);
    }
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
          settle(reject, new Error(`closed with ${code} "${reason}" while waiting for ${awaited}`));
        }
      };
      const late = () => settle(reject, new Error(`waited ${bench.patience / 1000} s for ${awaited}`));
      const timer = setTimeout(late, bench.patience);
      this.looks.add(look);
      look();
    });
  }

  async expect(messages, what) {
    for (const [index, message] of messages.entries()) {
      const which = `${what}, message ${index + 1} of ${messages.length}`;
      const got = await this.until(which, () => this.received[this.taken]);
      this.taken += 1;
      compare(got, message, which);
    }
  }
}

// Short for long texts and readable for invisible ones.
function compare(got, expected, which) {
  if (got === expected) {
    return;
  }
  let at = 0;
  while (at < got.length && at < expected.length && got[at] === expected[at]) {
    at += 1;
  }
  const units = (text) =>
    Array.from(text.slice(at, at + 8), (c) => c.charCodeAt(0).toString(16).padStart(4, '0')).join(' ');
  const shown = (text) =>
    text.length <= 40 ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, 20))}… (${text.length} units)`;
  throw new Error(
    `${which}: got ${shown(got)} for ${shown(expected)}, ` +
      `different from unit ${at} on: ${units(got) || '(end)'} for ${units(expected) || '(end)'}`,
  );
}
