// Clients behind two hops that do not read.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'node:test';
import { pause, until } from './processes.js';
import { fresh, openSessions, startNodes } from './scene.js';

const READERS = 20;
const MiB = 1 << 20;
const MESSAGE = 64 << 10;
// SECURITY.md: what waits for a client, a frame made of it, and hyper's buffer for a connection.
const AT_OWNER = MiB + (MiB + MESSAGE) + (400 << 10);
// Of what the client does not read, the edge reads 16 KiB ahead, and hyper has its buffer.
const AT_EDGE = (16 << 10) + (400 << 10);
// What the allocator and the runtime take for themselves.
const SLACK = 12 * MiB;

// A stream of which nothing is read.
async function stalled(t, node, session) {
  const socket = connect(node.port, '127.0.0.1');
  socket.pause();
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(`POST ${session}/xhr_streaming HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n`);
  return socket;
}

test('slow readers behind two hops: memory at edge and owner stays within the documented bounds', async (t) => {
  const [owner, edge] = await startNodes(t, { count: 2 });
  const tag = await owner.below('flood');
  // What the first stream costs once.
  const first = await stalled(t, edge, fresh(tag));
  first.resume();
  await once(first, 'data');
  first.destroy();
  await openSessions(owner, 'flood', 0);

  const before = [owner.memory(), edge.memory()];
  const readers = await Promise.all(Array.from({ length: READERS }, () => stalled(t, edge, fresh(tag))));
  await openSessions(owner, 'flood', READERS);
  const sent = async () => (await owner.stats()).endpoints.flood.sent;
  let last = -1;
  await until('an end of what moves', async () => {
    const now = await sent();
    const stands = now === last;
    last = now;
    await pause(300);
    return stands;
  });
  const after = [owner.memory(), edge.memory()];
  for (const [n, most] of [AT_OWNER, AT_EDGE].entries()) {
    const grown = after[n] - before[n];
    const name = ['owner', 'edge'][n];
    t.diagnostic(`${name}: ${Math.round(grown / READERS / 1024)} KiB for each, of ${most >> 10}`);
    assert.ok(grown < READERS * most + SLACK, `the ${name} has grown by ${(grown / MiB).toFixed(1)} MiB`);
  }

  // It goes on for those who read, and ends with those who go.
  readers[0].resume();
  await until('more messages', async () => (await sent()) > last + 100);
  for (const reader of readers) {
    reader.destroy();
  }
  await openSessions(owner, 'flood', 0);
});
