// A proxy in front of the test server, as good or as bad as the tests want it.
import { once } from 'node:events';
import { createServer, request as ask } from 'node:http';
import { connect } from 'node:net';

// What a proxy may do with a request for a WebSocket: (proxy, socket, head), where `socket` is the browser's
// and `head` the request as it came. The server does not hear of those that are refused.
export const upgrades = {
  pass: (proxy, socket, head) => tunnel(proxy, socket, head),

  refuse: (status) => (proxy, socket) => {
    socket.end(`HTTP/1.1 ${status} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
  },

  // Only the 101 gets through, and then nothing, or the end of the connection.
  silent: (proxy, socket, head) => tunnel(proxy, socket, head, { silent: true }),
  silentThenCut: (ms) => (proxy, socket, head) => tunnel(proxy, socket, head, { silent: true, cutAfter: ms }),

  cut: (ms) => (proxy, socket, head) => tunnel(proxy, socket, head, { cutAfter: ms }),
};

function tunnel(proxy, socket, head, { silent = false, cutAfter } = {}) {
  const server = proxy.track(connect(proxy.target, '127.0.0.1'));
  const cut = () => {
    socket.destroySoon();
    server.destroySoon();
  };
  for (const side of [socket, server]) {
    side.on('error', cut);
    side.on('end', cut);
    side.on('close', cut);
  }
  server.write(head);
  socket.pipe(server);

  let answer = Buffer.alloc(0);
  const read = (chunk) => {
    answer = Buffer.concat([answer, chunk]);
    const end = answer.indexOf('\r\n\r\n');
    if (end === -1) {
      return;
    }
    server.off('data', read);
    if (silent) {
      socket.write(answer.subarray(0, end + 4));
      server.resume();
    } else {
      socket.write(answer);
      server.pipe(socket);
    }
    if (cutAfter !== undefined) {
      const timer = setTimeout(cut, cutAfter);
      socket.on('close', () => clearTimeout(timer));
    }
  };
  server.on('data', read);
}

// A session's request, if it is one that begins or continues to receive.
const RECEIVER = /^\/commands\/[^/]+\/([^/]+)\/(websocket|xhr_streaming|eventsource|htmlfile|xhr|jsonp)(\?|$)/;

export class Proxy {
  // The paths of all requests, in the order of their arrival.
  paths = [];
  // The transports of the sessions of /commands that the server was asked to open, in that order, by their ids.
  sessions = new Map();
  // The ids of those that it has answered.
  #answered = new Set();
  #sockets = new Set();

  // `upgrade` is one of `upgrades`. With `buffer` no answer is passed on before it is whole. `answer` and
  // `body` change what comes from the server and from the browser: (path, text) => text. A `deaf` proxy does
  // not tell the server when the browser has gone. What `files` has for a path, it serves itself.
  static async start(target, { upgrade = upgrades.pass, refused = false, files, ...conduct } = {}) {
    const proxy = new Proxy();
    const server = createServer(async (request, response) => {
      proxy.paths.push(request.url);
      const file = files && (await files(new URL(request.url, proxy.url).pathname));
      if (file) {
        response.writeHead(200, { 'content-type': file.type });
        response.end(file.body);
        return;
      }
      proxy.#pass(request, response, conduct);
    });
    server.on('connection', (socket) => proxy.track(socket));
    server.on('upgrade', (request, socket, rest) => {
      proxy.paths.push(request.url);
      if (!refused) {
        proxy.#session(request.url);
      }
      // A browser that goes away in the middle is no news.
      socket.on('error', () => {});
      upgrade(proxy, socket, Buffer.concat([headOf(request), rest]));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy.server = server;
    proxy.target = target;
    proxy.port = server.address().port;
    proxy.url = `http://127.0.0.1:${proxy.port}`;
    return proxy;
  }

  track(socket) {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    return socket;
  }

  // The id of the session that a request belongs to.
  #session(path) {
    const [, id, transport] = RECEIVER.exec(path) ?? [];
    if (id !== undefined && !this.sessions.has(id)) {
      this.sessions.set(id, transport);
    }
    return id;
  }

  async #pass(request, response, { buffer = false, answer, body, deaf = false }) {
    const { method, url: path, rawHeaders } = request;
    const session = this.#session(path);
    const options = { host: '127.0.0.1', port: this.target, agent: false, setHost: false, method, path };
    const upstream = ask({ ...options, headers: body ? withoutLength(rawHeaders) : rawHeaders });
    const give = () => response.destroy();
    upstream.on('socket', (socket) => this.track(socket));
    upstream.on('error', give);
    response.on('close', () => {
      if (response.writableFinished || deaf) {
        return;
      }
      // A session's first request gets as far as its answer, or nobody could tell whether the server has
      // ever heard of the session.
      if (session === undefined || this.#answered.has(session)) {
        upstream.destroy();
      } else {
        upstream.on('response', () => upstream.destroy());
      }
    });
    upstream.on('response', async (incoming) => {
      this.#answered.add(session);
      incoming.on('error', give);
      const headers = answer ? withoutLength(incoming.rawHeaders) : incoming.rawHeaders;
      if (!buffer && !answer) {
        response.writeHead(incoming.statusCode, headers);
        // Without this the head waits for the first piece of the body.
        response.flushHeaders();
        incoming.pipe(response);
        return;
      }
      try {
        const whole = await read(incoming);
        response.writeHead(incoming.statusCode, headers);
        response.end(answer ? answer(path, whole.toString()) : whole);
      } catch {
        give();
      }
    });
    if (!body) {
      request.pipe(upstream);
      return;
    }
    try {
      upstream.end(body(path, (await read(request)).toString()));
    } catch {
      upstream.destroy();
    }
  }

  async stop() {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await closed;
  }
}

function headOf({ method, url, rawHeaders }) {
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

// For a body whose length changes on the way.
function withoutLength(rawHeaders) {
  const kept = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!/^(content-length|transfer-encoding)$/i.test(rawHeaders[i])) {
      kept.push(rawHeaders[i], rawHeaders[i + 1]);
    }
  }
  return kept;
}

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
