// Who is slow pushes back: nothing is lost, and the gateway's memory stays within bounds.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'node:test';
import { pause, until } from '../cluster/processes.js';
import { fresh } from '../cluster/scene.js';
import { WebSocket } from '../cluster/sockjs.js';
import { CARRIAGES, RAW, openClient } from './clients.js';
import { Backend, Gateway, routes } from './programs.js';

const MiB = 1 << 20;
const READERS = 20;
const MESSAGE = 64 << 10;
// SECURITY.md: what waits for a client, a frame made of it, and hyper's buffer for a connection. Beside it, what is read of
// the backend: a message, and a buffer.
const FOR_CLIENT = MiB + (MiB + MESSAGE) + (400 << 10) + 2 * MESSAGE;
// What waits for a backend: the queue of what the client has sent, a request's body, a message on its way.
const FOR_BACKEND = 2 * MiB;
// What the allocator and the runtime take for themselves.
const SLACK = 12 * MiB;

// Resolves with what `probe` comes to stand at.
function standstill(probe) {
  let last = -1;
  return until('an end of what moves', async () => {
    const now = await probe();
    const stands = now === last;
    last = now;
    await pause(300);
    return stands && { now };
  });
}

const STALLED = {
  async [RAW](t, gateway) {
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/flood/websocket`);
    t.after(() => socket.terminate());
    const numbers = [];
    socket.on('message', (data) => numbers.push(Number.parseInt(data, 10)));
    await once(socket, 'open');
    socket.pause();
    return { numbers, resume: () => socket.resume(), end: () => socket.terminate() };
  },
  async 'xhr-streaming'(t, gateway) {
    const socket = connect(gateway.port, '127.0.0.1');
    socket.pause();
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    socket.write(`POST ${fresh('/flood')}/xhr_streaming HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n`);
    const numbers = [];
    // Each message is its number, and then `x`. What may be the beginning of one waits for the rest.
    let rest = '';
    socket.setEncoding('latin1').on('data', (text) => {
      const all = rest + text;
      numbers.push(...[...all.matchAll(/"(\d+) x/g)].map(([, number]) => Number(number)));
      [rest] = /"\d* ?$|$/.exec(all);
    });
    return { numbers, resume: () => socket.resume(), end: () => socket.destroy() };
  },
};

for (const [carriage, stall] of Object.entries(STALLED)) {
  test(`${carriage}: clients do not read: the backend is made to wait, and the gateway's memory is bounded`, async (t) => {
    const backend = await Backend.start(t);
    // It is not to give up those who do not read, as it does after ten seconds by default.
    const gateway = await Gateway.start(t, { route: routes(['flood'], [backend], { write_timeout: '60s', response_limit: 1 << 30 }) });
    // What the first one costs once.
    const first = await stall(t, gateway);
    first.resume();
    await until('a stream', () => first.numbers.length > 10);
    first.end();
    await backend.closure();

    const before = gateway.memory();
    const readers = await Promise.all(Array.from({ length: READERS }, () => stall(t, gateway)));
    const sent = async () => (await backend.stats()).sent;
    const { now: last } = await standstill(sent);
    const grown = gateway.memory() - before;
    t.diagnostic(`${Math.round(grown / READERS / 1024)} KiB for each, of ${FOR_CLIENT >> 10}`);
    assert.ok(grown < READERS * FOR_CLIENT + SLACK, `grown by ${(grown / MiB).toFixed(1)} MiB`);

    // It goes on for one who reads, without a gap.
    const [reader] = readers;
    reader.resume();
    await until('more messages', async () => (await sent()) > last + 100);
    await until('what has waited', () => reader.numbers.length > 50);
    reader.numbers.forEach((number, n) => assert.equal(number, n));
    readers.forEach(({ end }) => end());
    await backend.closure(READERS);
  });
}

// Not an echo: the WebSocket of sockjs-client under Node does not read while it cannot write.
const MANY = 1000;

for (const kind of Backend.kinds) {
  for (const carriage of CARRIAGES) {
    test(`${kind}, ${carriage}: the backend reads nothing for a while: the client is made to wait, nothing is lost`, async (t) => {
      const backend = await Backend.start(t, kind);
      const gateway = await Gateway.start(t, { route: routes(['collect'], [backend]) });
      const client = await openClient(t, `${gateway.url}/collect`, carriage);
      const count = async (expected) => {
        client.socket.send('count');
        await client.until('the count', () => client.received.length > 0);
        assert.equal(client.received.pop(), expected);
      };
      await count('0 true');
      const memory = gateway.memory();
      client.socket.send('hold');
      for (let n = 0; n < MANY; n += 1) {
        client.socket.send(`${n} `.padEnd(32 << 10, 'x'));
      }
      // All of it is 32 MB, of which some is in the buffers of the kernel.
      const { now: grown } = await standstill(() => Math.round((gateway.memory() - memory) / MiB));
      t.diagnostic(`grown by ${grown} MiB`);
      assert.ok(grown * MiB < FOR_BACKEND + SLACK, `grown by ${grown} MiB`);
      assert.ok((await backend.stats()).received < MANY, 'the backend holds');
      await backend.tell('/release');
      await count(`${MANY} true`);
    });
  }
}

test('a backend is slow all the time: everything passes, in order', async (t) => {
  const backend = await Backend.start(t, 'websockets');
  const gateway = await Gateway.start(t, { route: routes(['slow'], [backend]) });
  await Promise.all(
    CARRIAGES.map(async (carriage) => {
      const client = await openClient(t, `${gateway.url}/slow`, carriage);
      const messages = Array.from({ length: 300 }, (_, n) => `${n}`);
      messages.forEach((message) => client.socket.send(message));
      await client.until('all echoes', () => client.received.length >= messages.length);
      assert.deepEqual(client.received, messages, carriage);
    }),
  );
});
