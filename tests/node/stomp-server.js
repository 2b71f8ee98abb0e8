// The conformance server for STOMP, as a process of its own, and a way to it that can be cut.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { Example } from './example.js';

// More than the bodies of the tests, and their heads.
const MAX_BODY = 4 << 20;

export class StompServer extends Example {
  // Starts it for one test, or with the hooks of a file. It has ports of its own unless it is told where to be.
  static async start(t, { address = '127.0.0.1:0', maxBody = MAX_BODY } = {}) {
    const server = new StompServer();
    const args = ['--addr', address, '--tcp', '127.0.0.1:0'];
    if (maxBody) {
      args.push('--max-body', `${maxBody}`);
    }
    const ready = /ready: http (\S+), tcp (\S+)\n/;
    [, server.address, server.tcp] = await server.run('examples/stomp_testserver', t, args, ready);
    return server;
  }

  // Ends it as a crash does.
  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }
}

// Passes connections on to a server, until what that sends is to stay on the way. The connections stay open.
export class Gate {
  #sockets = new Set();
  #open = true;

  static async start(t, server) {
    const gate = new Gate();
    const listener = createServer((client) => gate.#pass(client, server.address));
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    gate.address = `127.0.0.1:${listener.address().port}`;
    t.after(() => {
      listener.close();
      gate.#sockets.forEach((socket) => socket.destroy());
    });
    return gate;
  }

  #pass(client, address) {
    const [host, port] = address.split(':');
    const server = connect(Number(port), host);
    for (const [socket, other] of [[client, server], [server, client]]) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(server);
    server.on('data', (chunk) => {
      if (this.#open) {
        client.write(chunk);
      }
    });
  }

  // From now on clients hear nothing.
  shut() {
    this.#open = false;
  }
}
