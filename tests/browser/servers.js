// The servers: the test server, each a process of its own, and one for pages of another origin.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PATIENCE_MS, within } from './support.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
export const PAGE = `${HERE}page`;
export const CLIENT = `${HERE}node_modules/sockjs-client/dist/sockjs.min.js`;
const STOMP_CLIENT = `${HERE}node_modules/@stomp/stompjs/bundles/stomp.umd.min.js`;

// Small, so that streams end and begin anew within a test; yet the eventsource client, which waits 200 ms
// each time, is not at it for long.
const RESPONSE_LIMIT = 16 * 1024;

// More than the longest body of a test.
const MAX_BODY = 4 << 20;

const running = new Set();

// Last resort, for an exit by a signal or an error that nobody caught.
process.on('exit', () => {
  for (const child of running) {
    child.kill('SIGKILL');
  }
});

// A process that serves at `port`, and prints its address when it is ready.
class Server {
  #child;

  static async start(port = 0) {
    const args = ['--addr', `127.0.0.1:${port}`, '--client', CLIENT, ...this.args];
    const child = spawn(this.binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    running.add(child);
    child.on('exit', () => running.delete(child));
    child.on('error', () => running.delete(child));
    // It ends at once when it cannot start.
    const address = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code) => reject(new Error(`the test server ended with status ${code}`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const found = this.address.exec(line)?.[1];
        if (found !== undefined) {
          resolve(found);
        }
      });
    });
    const server = new this();
    server.#child = child;
    try {
      server.url = `http://${await within(PATIENCE_MS, "the test server's address", address)}`;
    } catch (error) {
      await server.stop();
      throw error;
    }
    server.port = Number(new URL(server.url).port);
    return server;
  }

  async stop() {
    const child = this.#child;
    if (!running.has(child)) {
      return;
    }
    const exit = once(child, 'exit');
    child.kill();
    await within(PATIENCE_MS, `the end of process ${child.pid}`, exit);
  }

  // The same port, but another process that knows none of the sessions.
  async restart() {
    await this.stop();
    const next = await this.constructor.start(this.port);
    this.#child = next.#child;
  }
}

export class TestServer extends Server {
  static args = ['--static', PAGE, '--response-limit', `${RESPONSE_LIMIT}`];
  static address = /http:\/\/([^/\s]+)/;
  static example = 'testserver';
  static package = 'axum-sockjs';
  static given = process.env.TESTSERVER;
}

// SockJS at /sockjs, a WebSocket at /ws.
export class StompServer extends Server {
  static args = ['--tcp', '127.0.0.1:0', '--max-body', `${MAX_BODY}`];
  static address = /ready: http (\S+),/;
  static example = 'stomp_testserver';
  static package = 'axum-stomp';
  static given = process.env.STOMP_TESTSERVER;
}

// With TESTSERVER and STOMP_TESTSERVER nothing is built.
export async function findBinaries() {
  for (const kind of [TestServer, StompServer]) {
    await findBinary(kind);
  }
}

export async function findBinary(kind) {
  if (kind.given !== undefined) {
    await access(kind.given, constants.X_OK);
    kind.binary = kind.given;
    return;
  }
  const args = ['build', '--release', '--locked', '--all-features', '--package', kind.package];
  args.push('--example', kind.example, '--message-format=json');
  const cargo = spawn('cargo', args, { cwd: HERE, stdio: ['ignore', 'pipe', 'inherit'] });
  cargo.on('error', (error) => console.error(error.message));
  for await (const line of createInterface({ input: cargo.stdout })) {
    const message = JSON.parse(line);
    if (message.target?.name === kind.example && message.executable) {
      kind.binary = message.executable;
    }
  }
  if (kind.binary === undefined) {
    throw new Error(`cargo has built no ${kind.example}`);
  }
}

// The file of a path of the pages, if there is one: { type, body }.
export async function pageFile(path) {
  const scripts = { '/echo/sockjs.min.js': CLIENT, '/stomp.umd.min.js': STOMP_CLIENT };
  const name = path === '/' ? '/index.html' : path;
  const file = scripts[name] ?? (/^\/[a-z]+\.(html|js)$/.test(name) ? `${PAGE}${name}` : null);
  const body = file === null ? null : await readFile(file).catch(() => null);
  const type = `${name.endsWith('.js') ? 'text/javascript' : 'text/html'}; charset=utf-8`;
  return body === null ? null : { type, body };
}

// Serves the page under another name of this machine: to a browser that is another origin, and another site.
export async function startPages() {
  const server = createServer(async (request, response) => {
    const file = await pageFile(new URL(request.url, 'http://localhost').pathname);
    response.writeHead(file === null ? 404 : 200, { 'content-type': file?.type ?? 'text/plain' });
    response.end(file?.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://localhost:${server.address().port}`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
