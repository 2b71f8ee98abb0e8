// sockjs-node with its defaults: /echo and /broadcast. Usage: node server.js [--heartbeat MS]
'use strict';
const http = require('http');
const sockjs = require('sockjs');

const options = { log: () => {} };
const at = process.argv.indexOf('--heartbeat');
if (at > 0) options.heartbeat_delay = Number(process.argv[at + 1]);

const echo = sockjs.createServer(options);
echo.on('connection', (connection) => {
  connection.on('data', (message) => connection.write(message));
});

const room = new Set();
const broadcast = sockjs.createServer(options);
broadcast.on('connection', (connection) => {
  room.add(connection);
  connection.on('data', (message) => {
    for (const other of room) other.write(message);
  });
  connection.on('close', () => room.delete(connection));
});

const server = http.createServer();
echo.installHandlers(server, { prefix: '/echo' });
broadcast.installHandlers(server, { prefix: '/broadcast' });
server.listen(0, '127.0.0.1', 1024, () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
