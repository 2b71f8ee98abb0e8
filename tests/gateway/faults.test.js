// Backends are killed, cut off, and stand still, in the middle of what they say.
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '../cluster/processes.js';
import { CARRIAGES, RAW, closureOf, openAll, openClient } from './clients.js';
import { Backend, Gateway, HEALTH, routes } from './programs.js';
import { begin, opened, poll, refusal } from './sessions.js';

const NOTICE_MS = 1_000;
// crates/gateway/docs/closing.md: a backend whose connection ends without a word.
const LOST = { code: 1011, reason: 'Backend connection lost' };

const numberOf = (message) => Number.parseInt(message, 10);

for (const kind of Backend.kinds) {
  test(`${kind} is killed in the middle of a stream: a close event within a second, new sessions get 502`, async (t) => {
    const backend = await Backend.start(t, kind);
    const gateway = await Gateway.start(t, { route: routes(['commands', 'stream'], [backend], { health: HEALTH }) });
    const streams = await openAll(t, `${gateway.url}/stream`);
    const idle = await openAll(t, `${gateway.url}/commands`);
    for (const client of streams) {
      await client.until('a stream', () => client.received.length > 20);
    }
    const killed = performance.now();
    await backend.kill();
    for (const client of [...idle, ...streams]) {
      const { code, reason, at } = await client.closed();
      assert.deepEqual({ code, reason }, LOST, client.label);
      assert.ok(at - killed < NOTICE_MS, `${client.label} was told after ${at - killed} ms`);
      client.received.forEach((message, n) => assert.equal(numberOf(message), n, client.label));
    }
    assert.equal((await begin(gateway, '/commands')).status, 502);
    assert.equal((await refusal(gateway, '/commands/websocket')).status, 502);

    await backend.start();
    // At the latest when it has been found to be well again.
    await until('a session of the backend that is back', async () => (await begin(gateway, '/commands')).status === 200);
    for (const client of await openAll(t, `${gateway.url}/commands`)) {
      await client.echo('again');
    }
  });
}

test('one of two backends is killed: its sessions end, the others go on, and new ones come to the other', async (t) => {
  const backends = await Promise.all([Backend.start(t), Backend.start(t, 'websockets')]);
  const gateway = await Gateway.start(t, { route: routes(['echo'], backends) });
  const clients = [...(await openAll(t, `${gateway.url}/echo`)), ...(await openAll(t, `${gateway.url}/echo`))];
  await Promise.all(clients.map((client) => client.echo('before')));
  const [killed, other] = backends;
  const lost = (await killed.stats()).open;
  const kept = (await other.stats()).open;
  assert.deepEqual([lost, kept], [CARRIAGES.length, CARRIAGES.length]);

  await killed.kill();
  await until('the close events', () => clients.filter(({ closure }) => closure !== null).length === lost);
  for (const client of await openAll(t, `${gateway.url}/echo`)) {
    await client.echo('at the other');
  }
  const going = clients.filter(({ closure }) => closure === null);
  assert.equal(going.length, kept);
  await Promise.all(going.map((client) => client.echo('after')));
  assert.equal((await other.stats()).opened, kept + CARRIAGES.length);
});

test('one connection to the backend breaks: that session ends, and no other', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { route: routes(['commands'], [backend]) });
  for (const carriage of CARRIAGES) {
    const [cut, other] = await Promise.all([1, 2].map(() => openClient(t, `${gateway.url}/commands`, carriage)));
    cut.socket.send('burst 100 100');
    cut.socket.send('drop');
    assert.deepEqual(await closureOf(cut), LOST, carriage);
    assert.deepEqual(cut.received.map(numberOf), Array.from({ length: 100 }, (_, n) => n), carriage);
    await other.echo('goes on');
  }
});

test('a backend stands still: openings get 504, its sessions end when it gives no sign of life', async (t) => {
  const backend = await Backend.start(t);
  const [route] = routes(['echo'], [backend], {
    open_timeout: '500ms',
    health: HEALTH,
    connect_timeout: '500ms',
    backend_ping_interval: '1s',
    backend_pong_timeout: '1s',
  });
  const gateway = await Gateway.start(t, { route: [route] });
  const clients = await openAll(t, `${gateway.url}/echo`);
  backend.freeze();
  assert.equal((await begin(gateway, '/echo')).status, 504);
  for (const client of clients) {
    assert.equal((await closureOf(client, 5_000)).code, LOST.code, client.label);
  }
  backend.thaw();
  await until('a session again', async () => (await begin(gateway, '/echo')).status === 200);
});

test('the client is told of a lost backend with the next poll, after what came before', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { route: routes(['tell'], [backend]) });
  const session = await opened(gateway, '/tell');
  await until('the connection', async () => (await backend.stats()).sent === 1);
  await backend.kill();
  assert.equal((await poll(gateway, session)).length, 1);
  assert.deepEqual(await poll(gateway, session), [LOST.code, LOST.reason]);
});

test('nothing stays of sessions that ended: no connection, no file', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { route: routes(['commands'], [backend]) });
  // What stays open for the process as such.
  const first = await openClient(t, `${gateway.url}/commands`, RAW);
  await first.echo('first');
  const before = gateway.files();
  const clients = (await Promise.all(Array.from({ length: 10 }, () => openAll(t, `${gateway.url}/commands`)))).flat();
  assert.ok(gateway.files() >= before + 2 * clients.length - 20, `${gateway.files()} files after ${before}`);
  for (const [n, client] of clients.entries()) {
    client.socket.send(n % 2 === 0 ? 'close 3000 bye' : 'drop');
  }
  await Promise.all(clients.map((client) => client.closed()));
  await until(`${before} files again`, () => gateway.files() <= before + 2);
});
