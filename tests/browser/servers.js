// The servers: the test server, each a process of its own, and one for pages of another origin.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PATIENCE_MS, within } from './support.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const PAGE = `${HERE}page`;
const CLIENT = `${HERE}node_modules/sockjs-client/dist/sockjs.min.js`;

// Small, so that streams end and begin anew within a test; yet the eventsource client, which waits 200 ms
// each time, is not at it for long.
const RESPONSE_LIMIT = 16 * 1024;

const running = new Set();

// Last resort, for an exit by a signal or an error that nobody caught.
process.on('exit', () => {
  for (const child of running) {
    child.kill('SIGKILL');
  }
});

export class TestServer {
  #child;

  static async start(port = 0) {
    const args = ['--addr', `127.0.0.1:${port}`, '--static', PAGE, '--client', CLIENT];
    args.push('--response-limit', `${RESPONSE_LIMIT}`);
    const child = spawn(TestServer.binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    running.add(child);
    child.on('exit', () => running.delete(child));
    child.on('error', () => running.delete(child));
    // It prints its address when it is ready; it ends at once when it cannot start.
    const address = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code) => reject(new Error(`the test server ended with status ${code}`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const url = /http:\/\/\S+/.exec(line)?.[0];
        if (url !== undefined) {
          resolve(url);
        }
      });
    });
    const server = new TestServer();
    server.#child = child;
    try {
      server.url = await within(PATIENCE_MS, "the test server's address", address);
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
    const next = await TestServer.start(this.port);
    this.#child = next.#child;
  }
}

// With TESTSERVER nothing is built.
export async function findBinary() {
  const given = process.env.TESTSERVER;
  if (given !== undefined) {
    await access(given, constants.X_OK);
    TestServer.binary = given;
    return;
  }
  const args = ['build', '--release', '--locked', '--example', 'testserver', '--message-format=json'];
  const cargo = spawn('cargo', args, { cwd: HERE, stdio: ['ignore', 'pipe', 'inherit'] });
  cargo.on('error', (error) => console.error(error.message));
  for await (const line of createInterface({ input: cargo.stdout })) {
    const message = JSON.parse(line);
    if (message.target?.name === 'testserver' && message.executable) {
      TestServer.binary = message.executable;
    }
  }
  if (TestServer.binary === undefined) {
    throw new Error('cargo has built no test server; set TESTSERVER to one that is built');
  }
}

// Serves the page under another name of this machine: to a browser that is another origin, and another site.
export async function startPages() {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname;
    const name = { '/': '/index.html' }[path] ?? path;
    const file = path === '/echo/sockjs.min.js' ? CLIENT : `${PAGE}${name}`;
    const known = /^\/[a-z]+\.(html|js)$/.test(name) || file === CLIENT;
    const body = known ? await readFile(file).catch(() => null) : null;
    const type = file.endsWith('.js') ? 'text/javascript' : 'text/html';
    response.writeHead(body === null ? 404 : 200, { 'content-type': `${type}; charset=utf-8` });
    response.end(body);
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
