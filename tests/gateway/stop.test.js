// SIGTERM: clients and backends are told, and the gateway says what became of them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '../cluster/processes.js';
import { closureOf, openAll } from './clients.js';
import { Backend, Gateway, routes } from './programs.js';
import { begin, opened, poll } from './sessions.js';

// crates/gateway/docs/closing.md: the gateway stops.
const STOPPED = { code: 1001, reason: 'Going away' };

for (const kind of Backend.kinds) {
  test(`${kind}: each client gets its close event, the backend its close code, the operator a report`, async (t) => {
    const backend = await Backend.start(t, kind);
    const gateway = await Gateway.start(t, { grace: '5s', route: routes(['echo', 'commands'], [backend]) });
    const clients = await openAll(t, `${gateway.url}/echo`);
    await Promise.all(clients.map((client) => client.echo('before')));
    const [code, signal] = await gateway.terminate();
    assert.deepEqual([code, signal], [0, null], gateway.output);
    for (const client of clients) {
      assert.deepEqual(await closureOf(client), STOPPED, client.label);
    }
    for (const n of clients.keys()) {
      assert.equal((await backend.closure(n)).code, 1001);
    }
    assert.match(gateway.output, /0 connections cut off/);
  });
}

test('a client that polls gets what it has coming, and its close frame, within the grace period', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { grace: '10s', route: routes(['tell'], [backend]) });
  const session = await opened(gateway, '/tell');
  await until('the connection', async () => (await backend.stats()).sent === 1);
  const ended = gateway.terminate();
  await until('no new sessions', () => begin(gateway, '/tell').then(({ status }) => status === 503, () => true));
  assert.equal((await poll(gateway, session)).length, 1);
  assert.deepEqual(await poll(gateway, session), [STOPPED.code, STOPPED.reason]);
  assert.deepEqual(await ended, [0, null]);
});

test('a client that never comes back does not hold it up for longer than the grace period', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { grace: '1s', route: routes(['tell'], [backend]) });
  await opened(gateway, '/tell');
  const began = performance.now();
  assert.deepEqual(await gateway.terminate(), [0, null]);
  const took = performance.now() - began;
  assert.ok(took > 500 && took < 5_000, `${took} ms`);
});
