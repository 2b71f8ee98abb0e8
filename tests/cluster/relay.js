// A way between two nodes that a test can cut: what comes to its port goes to another one.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { freePort } from './ports.js';

export class Relay {
  // How many connections have come.
  connections = 0;
  // What has come from the side that connects.
  bytes = '';
  #isCut = false;
  #sockets = new Set();

  static async start(t, target) {
    const relay = new Relay();
    relay.target = target;
    relay.port = await freePort();
    relay.address = `127.0.0.1:${relay.port}`;
    relay.server = createServer((socket) => relay.#pass(socket));
    relay.server.listen(relay.port, '127.0.0.1');
    await once(relay.server, 'listening');
    t.after(() => relay.stop());
    return relay;
  }

  #pass(socket) {
    this.connections += 1;
    const other = connect(this.target, '127.0.0.1');
    for (const [one, two] of [[socket, other], [other, socket]]) {
      this.#sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        this.#sockets.delete(one);
        // Of a cut way nobody hears at the other end.
        if (!this.#isCut) {
          two.destroy();
        }
      });
      one.pipe(two);
    }
    socket.on('data', (bytes) => {
      this.bytes += bytes.toString('latin1');
    });
    if (this.#isCut) {
      this.#hold();
    }
  }

  #hold() {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  // From now on nothing passes in either direction, and nobody is told.
  cut() {
    this.#isCut = true;
    this.#hold();
  }

  // New connections pass again. What was held is lost.
  heal() {
    this.#isCut = false;
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  async stop() {
    if (!this.server.listening) {
      return;
    }
    const closed = once(this.server, 'close');
    this.server.close();
    this.heal();
    await closed;
  }
}
