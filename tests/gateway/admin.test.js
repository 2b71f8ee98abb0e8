// The operator's port: whether the gateway lives, whether it is ready, and what it counts.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ask } from '../cluster/http.js';
import { until } from '../cluster/processes.js';
import { openAll } from './clients.js';
import { Backend, Gateway, HEALTH, routes } from './programs.js';
import { begin, opened } from './sessions.js';

const get = (gateway, path) => ask(gateway.admin, path, { method: 'GET' });

test('it is ready while a route has a backend that is well, and lives all the time', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { route: routes(['echo'], [backend], { health: HEALTH }) });
  await until('readiness', async () => (await get(gateway, '/readyz')).status === 200);
  await backend.kill();
  await until('the end of readiness', async () => (await get(gateway, '/readyz')).status === 503);
  assert.equal((await get(gateway, '/healthz')).status, 200);
  await backend.start();
  await until('readiness again', async () => (await get(gateway, '/readyz')).status === 200);
});

test('a gateway that stops is not ready any more, while it waits for its clients', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { grace: '10s', route: routes(['echo'], [backend]) });
  const session = await opened(gateway, '/echo');
  const ended = gateway.terminate();
  await until('the end of readiness', async () => (await get(gateway, '/readyz')).status === 503);
  assert.equal((await get(gateway, '/healthz')).status, 200);
  assert.match((await ask(gateway, `${session}/xhr`)).text, /^c\[/);
  assert.deepEqual(await ended, [0, null]);
});

test('metrics: sessions and messages by route, refusals', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, {
    route: [...routes(['echo'], [backend]), { path: '/refused', backends: [backend.url('/refuse/403')] }],
  });
  const clients = await openAll(t, `${gateway.url}/echo`);
  await Promise.all(clients.map((client) => client.echo('counted')));
  assert.equal((await begin(gateway, '/refused')).status, 403);
  const { headers, text } = await get(gateway, '/metrics');
  assert.match(headers['content-type'], /^text\/plain/);
  for (const line of text.trim().split('\n')) {
    assert.match(line, /^(#|[a-z_:]+(\{[^}]*\})? [-+\d.e]+$|$)/i, line);
  }
  assert.match(text, /\/echo/);
  t.diagnostic([...new Set(text.match(/^[a-z_:]+/gim))].join(' '));
});

test('nothing of it is served to clients, and nothing of a client’s is served there', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { route: routes(['echo'], [backend]) });
  for (const path of ['/healthz', '/readyz', '/metrics']) {
    assert.equal((await ask(gateway, path, { method: 'GET' })).status, 404, path);
    assert.equal((await get(gateway, path)).status, 200, path);
  }
  assert.equal((await get(gateway, '/echo/info')).status, 404);
});
