// Several backends: who gets the next session.
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '../cluster/processes.js';
import { CARRIAGES, RAW, openAll, openClient } from './clients.js';
import { Backend, Gateway, HEALTH, routes } from './programs.js';
import { begin, opened } from './sessions.js';

function startBackends(t, count) {
  return Promise.all(Array.from({ length: count }, (_, n) => Backend.start(t, Backend.kinds[n % 2])));
}

const numbers = (backends, what) => Promise.all(backends.map(async (each) => (await each.stats())[what]));

async function allUp(gateway, backends) {
  return (await gateway.metric('sockjs_gateway_backend_up')) === backends.length;
}

function openMany(gateway, count) {
  return Promise.all(Array.from({ length: count }, () => opened(gateway, '/echo')));
}

test('round robin: as many for each', async (t) => {
  const backends = await startBackends(t, 3);
  const gateway = await Gateway.start(t, { route: routes(['echo'], backends) });
  await openMany(gateway, 60);
  assert.deepEqual(await numbers(backends, 'opened'), [20, 20, 20]);
});

test('least sessions: those who have less get more', async (t) => {
  const backends = await startBackends(t, 2);
  const gateway = await Gateway.start(t, { route: routes(['echo'], backends, { balance: 'least-sessions', health: HEALTH }) });
  const many = (count) => Promise.all(Array.from({ length: count }, () => openClient(t, `${gateway.url}/echo`, RAW)));
  const clients = await many(20);
  assert.deepEqual(await numbers(backends, 'open'), [10, 10]);
  // All sessions of the first one end. Which those are is seen where they end.
  await backends[0].kill();
  await until('the close events', () => clients.filter(({ closure }) => closure !== null).length === 10);
  await backends[0].start();
  await until('the backend to be back', () => allUp(gateway, backends));
  // A check opens a WebSocket as well.
  await until('no session there', async () => (await backends[0].stats()).open === 0);
  await many(10);
  assert.deepEqual(await numbers(backends, 'open'), [10, 10]);
});

test('one dies: no opening fails; it comes back, and has its share again', async (t) => {
  const backends = await startBackends(t, 2);
  const gateway = await Gateway.start(t, { route: routes(['echo'], backends, { health: HEALTH }) });
  await openMany(gateway, 10);
  assert.deepEqual(await numbers(backends, 'opened'), [5, 5]);
  await backends[0].kill();
  await openMany(gateway, 10);
  assert.equal((await backends[1].stats()).opened, 15);
  await backends[0].start();
  await until('the backend to be back', () => allUp(gateway, backends));
  const before = await numbers(backends, 'opened');
  await openMany(gateway, 20);
  const after = await numbers(backends, 'opened');
  assert.deepEqual(after.map((number, n) => number - before[n]), [10, 10]);
});

test('a check over HTTP takes out a backend that says it is not well, and its sessions stay', async (t) => {
  const backends = await startBackends(t, 2);
  const health = { ...HEALTH, check: 'http', path: '/health' };
  const gateway = await Gateway.start(t, { route: routes(['echo'], backends, { health }) });
  const clients = await openAll(t, `${gateway.url}/echo`, [...CARRIAGES, RAW]);
  const openedAt = async (n, count) => {
    const { opened: before } = await backends[n].stats();
    await openMany(gateway, count);
    return (await backends[n].stats()).opened - before;
  };
  await backends[0].tell('/health/503');
  await until('no more sessions at the first', async () => (await openedAt(0, 4)) === 0);
  assert.equal(await openedAt(1, 10), 10);
  await Promise.all(clients.map((client) => client.echo('goes on')));
  await backends[0].tell('/health/200');
  await until('its share again', async () => (await openedAt(0, 4)) === 2);
});

test('a backend that is drained keeps its sessions, and gets no new ones', async (t) => {
  const backends = await startBackends(t, 2);
  const [route] = routes(['echo'], backends);
  const gateway = await Gateway.start(t, { route: [route] });
  const clients = await openAll(t, `${gateway.url}/echo`, [...CARRIAGES, RAW]);
  assert.deepEqual(await numbers(backends, 'open'), [3, 3]);
  const [first, second] = route.backends;
  gateway.settings({ route: [{ ...route, backends: [{ url: first, drain: true }, second] }] });
  gateway.reload();
  await until('the other one to get both', async () => {
    const before = await numbers(backends, 'opened');
    await openMany(gateway, 2);
    const after = await numbers(backends, 'opened');
    return after[0] === before[0];
  });
  const before = await numbers(backends, 'opened');
  await openMany(gateway, 10);
  assert.deepEqual(await numbers(backends, 'opened'), [before[0], before[1] + 10]);
  await Promise.all(clients.map((client) => client.echo('goes on')));
});

test('all are gone: 502, until one is back', async (t) => {
  const backends = await startBackends(t, 2);
  const gateway = await Gateway.start(t, { route: routes(['echo'], backends, { health: HEALTH }) });
  await Promise.all(backends.map((each) => each.kill()));
  for (let n = 0; n < 5; n += 1) {
    assert.equal((await begin(gateway, '/echo')).status, 502);
  }
  await backends[1].start();
  await until('a session', async () => (await begin(gateway, '/echo')).status === 200);
});
