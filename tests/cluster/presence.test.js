// A node with many members dies: who is there elsewhere is right again in time.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import test from 'node:test';
import { ask } from './http.js';
import { Engine, maxFiles, until } from './processes.js';
import { startNodes } from './scene.js';

const ROOMS = 1_000;
// Connections of this process, and as many of the node.
const SESSIONS = Math.min(10_000, Math.floor((maxFiles() - 1_000) / ROOMS) * ROOMS);
const AT_ONCE = 200;
// Half of the default, and as much again for the machine.
const DEAD_AFTER_MS = 5_000;
const SLACK_MS = 5_000;
const OPENED_MS = 60_000;

const PING = Buffer.from([0x89, 0x00]);
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);

// A raw WebSocket that becomes a member of a room, and answers pings.
function join(node, key, sockets) {
  return new Promise((resolve, reject) => {
    const socket = connect(node.port, '127.0.0.1');
    sockets.push(socket);
    let text = '';
    socket.on('data', (bytes) => {
      if (bytes.includes(PING)) {
        socket.write(PONG);
      }
      // Once it is a member it is sent nothing else.
      if (text.length < 1_000) {
        text += bytes.toString('latin1');
      }
      if (text.includes('"joined"')) {
        resolve();
      }
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`a WebSocket has ended: ${text}`)));
    socket.write(
      `GET /room/websocket?key=${key} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n` +
        'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
  });
}

// Some at a time.
async function joinAll(node, sockets) {
  let next = 0;
  const worker = async () => {
    while (next < SESSIONS) {
      const number = next;
      next += 1;
      await join(node, `room-${number % ROOMS}`, sockets);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function presence(node) {
  return JSON.parse((await ask(node, '/presence', { method: 'GET' })).text);
}

for (const kind of Engine.kinds) {
  test(`${kind}: a node with ${SESSIONS} sessions in ${ROOMS} rooms dies, and they are gone elsewhere in time`, async (t) => {
    const bus = await Engine.start(t, kind);
    const [crowded, other] = await startNodes(t, { count: 2, bus, more: ['--dead-after', `${DEAD_AFTER_MS}`] });
    const sockets = [];
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    const began = performance.now();
    await joinAll(crowded, sockets);
    const opened = performance.now();
    const full = JSON.stringify({ [SESSIONS / ROOMS]: ROOMS });
    await until('all of them elsewhere', async () => JSON.stringify(await presence(other)) === full, OPENED_MS);

    const killed = performance.now();
    await crowded.kill();
    await until('none of them elsewhere', async () => JSON.stringify(await presence(other)) === '{}');
    const after = performance.now() - killed;
    assert.ok(after < DEAD_AFTER_MS + SLACK_MS, `gone after ${Math.round(after)} ms`);
    t.diagnostic(`${SESSIONS} sessions in ${Math.round(opened - began)} ms; gone after ${Math.round(after)} ms`);

    await crowded.start();
    await join(crowded, 'room-1', sockets);
    await until('who comes later', async () => JSON.stringify(await presence(other)) === '{"1":1}');
  });
}
