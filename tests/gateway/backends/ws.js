// A backend by the package `ws` that does what its clients say: ../README.md lists the words. node ws.js PORT
import http from 'node:http';
import { createRequire } from 'node:module';

const packages = createRequire(new URL('../../node/', import.meta.url));
const { WebSocketServer } = packages('ws');

const stats = { opened: 0, open: 0, requests: 0, received: 0, sent: 0, closes: [] };
let health = 200;
// Those who wait until they may read again.
const held = new Set();

const socketServer = new WebSocketServer({
  noServer: true,
  maxPayload: 1 << 24,
  handleProtocols: (offered) => [...offered][0],
});

function counted(length, number) {
  return `${number} `.padEnd(length, 'x');
}

function send(socket, data) {
  stats.sent += 1;
  return new Promise((resolve) => {
    socket.send(data, () => resolve());
  });
}

const commands = {
  close: (socket, [code, ...reason]) => socket.close(code && Number(code), reason.join(' ')),
  drop: (socket) => socket.terminate(),
  burst: (socket, [count, length]) => {
    for (let n = 0; n < count; n += 1) {
      send(socket, counted(length, n));
    }
  },
  binary: (socket, [length]) => send(socket, Buffer.from(Array.from({ length }, (_, n) => n % 256))),
  hold: (socket) => {
    socket.pause();
    held.add(socket);
  },
};

const services = {
  echo: (socket) => socket.on('message', (data, isBinary) => send(socket, isBinary ? data : `${data}`)),
  commands: (socket) =>
    socket.on('message', (data) => {
      const [word, ...rest] = `${data}`.split(' ');
      return Object.hasOwn(commands, word) ? commands[word](socket, rest) : send(socket, `${data}`);
    }),
  // Answers nothing but how many numbered messages have come, and whether each in its turn.
  collect: (socket) => {
    let count = 0;
    let isOrdered = true;
    socket.on('message', (data) => {
      if (`${data}` === 'hold') {
        commands.hold(socket);
      } else if (`${data}` === 'count') {
        send(socket, `${count} ${isOrdered}`);
      } else {
        isOrdered &&= Number.parseInt(data, 10) === count;
        count += 1;
      }
    });
  },
  // Reads the next one when it has answered this one.
  slow: (socket) =>
    socket.on('message', (data) => {
      socket.pause();
      setTimeout(() => send(socket, `${data}`).then(() => socket.resume()), 2);
    }),
  tell: (socket, request) => {
    const { url, headers } = request;
    send(socket, JSON.stringify({ url, headers, protocol: socket.protocol }));
  },
  // A message each millisecond, which no client is behind with.
  stream: (socket) => {
    let n = 0;
    const timer = setInterval(() => send(socket, counted(100, (n += 1) - 1)), 1);
    socket.on('close', () => clearInterval(timer));
  },
  // As much as the client takes.
  flood: async (socket) => {
    for (let n = 0; socket.readyState === 1; n += 1) {
      await send(socket, counted(1 << 16, n));
    }
  },
};

const answers = {
  stats: () => [200, {}, JSON.stringify(stats)],
  release: () => {
    held.forEach((socket) => socket.resume());
    held.clear();
    return [200, {}, ''];
  },
  'health': (status) => {
    health = status === undefined ? health : Number(status);
    return [status === undefined ? health : 200, {}, ''];
  },
};

function refusal(status) {
  const more = { 401: { 'WWW-Authenticate': 'Bearer realm="backend"' }, 302: { Location: 'http://127.0.0.1:1/' } };
  return [status, { 'Content-Type': 'text/plain', ...more[status] }, `the backend says ${status}`];
}

const server = http.createServer((request, response) => {
  const [, name, argument] = new URL(request.url, 'http://backend').pathname.split('/');
  const [status, headers, body] = answers[name]?.(argument) ?? refusal(404);
  response.writeHead(status, headers).end(body);
});

server.on('upgrade', (request, stream, head) => {
  const { pathname: path } = new URL(request.url, 'http://backend');
  const [, name, argument] = path.split('/');
  stats.requests += 1;
  stream.on('error', () => {});
  if (name === 'silent') {
    return;
  }
  if (!Object.hasOwn(services, name)) {
    const [status, headers, body] = refusal(name === 'refuse' ? Number(argument) : 404);
    const lines = Object.entries({ ...headers, 'Content-Length': body.length, Connection: 'close' });
    const text = lines.map(([key, value]) => `${key}: ${value}\r\n`).join('');
    stream.end(`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${text}\r\n${body}`);
    return;
  }
  socketServer.handleUpgrade(request, stream, head, (socket) => {
    stats.opened += 1;
    stats.open += 1;
    socket.on('error', () => {});
    socket.on('message', () => {
      stats.received += 1;
    });
    socket.on('close', (code, reason) => {
      held.delete(socket);
      stats.open -= 1;
      stats.closes.push({ path, code, reason: `${reason}` });
    });
    services[name](socket, request);
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'));
