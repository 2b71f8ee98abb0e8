// sockjs-node with its defaults; the services and options are those of ../README.md.
'use strict';
const http = require('http');
const sockjs = require('sockjs');

const options = { log: () => {} };
const at = process.argv.indexOf('--heartbeat');
if (at > 0) options.heartbeat_delay = Number(process.argv[at + 1]);

if (process.argv.includes('--until-stdin-ends')) {
  process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
}

// FNV-1a of the texts in UTF-8, each with a byte 0xff behind it.
function checksum(hash, text) {
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return Math.imul(hash ^ 0xff, 0x01000193) >>> 0;
}

const room = new Set();

const services = {
  echo(connection) {
    connection.on('data', (message) => connection.write(message));
  },

  broadcast(connection) {
    room.add(connection);
    connection.on('data', (message) => {
      for (const other of room) other.write(message);
    });
    connection.on('close', () => room.delete(connection));
  },

  close(connection) {
    connection.close(3000, 'Go away!');
  },

  closing(connection) {
    let name = '';
    connection.on('data', (message) => {
      const [, code, reason] = /^close (\d+) ?([^]*)$/.exec(message) ?? [];
      if (code) {
        connection.close(Number(code), reason);
      } else {
        name = message;
        connection.write(name);
      }
    });
    connection.on('close', () => console.log(`ended ${name}`));
  },

  collect(connection) {
    let count = 0;
    let hash = 0x811c9dc5;
    connection.on('data', (message) => {
      if (message === '?') {
        connection.write(`${count} ${hash.toString(16).padStart(8, '0')}`);
      } else {
        count += 1;
        hash = checksum(hash, String(message));
      }
    });
  },

  count(connection) {
    connection.on('data', (message) => {
      for (let i = 0; i < Number(message); i += 1) connection.write(`${i}`);
    });
  },
};

const server = http.createServer((request, response) => response.writeHead(404).end());
// The one that is installed last is asked first.
for (const [name, serve] of Object.entries(services).reverse()) {
  const service = sockjs.createServer(options);
  service.on('connection', serve);
  service.installHandlers(server, { prefix: `/${name}` });
}
server.listen(0, '127.0.0.1', 1024, () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
