// SIGHUP: what runs goes on, what opens gets the new settings, and a wrong file changes nothing.
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '../cluster/processes.js';
import { CARRIAGES, openAll, openClient } from './clients.js';
import { Backend, Gateway, routes } from './programs.js';
import { begin, opened, poll } from './sessions.js';

// What a session that opens now is told by its backend.
async function toldNow(gateway, route, options) {
  const [message] = await poll(gateway, await opened(gateway, route, options));
  return JSON.parse(message);
}

async function goOn(clients, word) {
  await Promise.all(clients.map((client) => client.echo(word)));
  assert.deepEqual(clients.filter(({ closure }) => closure !== null), []);
}

test('other backends, for the sessions that open from then on; none is cut', async (t) => {
  const [old, other] = await Promise.all([Backend.start(t), Backend.start(t)]);
  const gateway = await Gateway.start(t, { route: routes(['echo'], [old]) });
  const clients = await openAll(t, `${gateway.url}/echo`);
  await goOn(clients, 'before');

  gateway.settings({ route: routes(['echo'], [other]) });
  gateway.reload();
  await until('a session at the other backend', async () => {
    await opened(gateway, '/echo');
    return (await other.stats()).opened > 0;
  });
  const { opened: before } = await old.stats();
  const later = await openAll(t, `${gateway.url}/echo`);
  await goOn([...clients, ...later], 'after');
  assert.equal((await old.stats()).opened, before, 'no new ones at the old backend');
  // Sessions stay with the backend they have.
  await old.kill();
  await Promise.all(clients.map((client) => client.closed()));
  await goOn(later, 'still');
});

test('another service for clients, beside the one whose sessions run', async (t) => {
  const backend = await Backend.start(t);
  const settings = (more, others = {}) => ({ route: routes(['echo', 'tell'], [backend], more), ...others });
  const gateway = await Gateway.start(t, settings({ origins: 'same' }));
  const clients = await openAll(t, `${gateway.url}/echo`);
  const headers = { Origin: 'https://page.example' };
  assert.equal((await begin(gateway, '/tell', { headers })).status, 403);

  gateway.settings(settings({ origins: ['https://page.example'], transports: ['xhr-polling'], set_headers: { 'X-New': '1' } }));
  gateway.reload();
  await until('the new origin', async () => (await begin(gateway, '/tell', { headers })).status === 200);
  assert.equal((await toldNow(gateway, '/tell', { headers })).headers['x-new'], '1');
  assert.notEqual((await begin(gateway, '/echo', { transport: 'xhr-streaming' })).status, 200);
  await goOn(clients, 'after');

  // Once more, and back.
  gateway.settings(settings({ origins: 'same' }));
  gateway.reload();
  await until('the old origins', async () => (await begin(gateway, '/tell', { headers })).status === 403);
  await goOn(clients, 'after two');
});

test('routes that come and go', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { route: routes(['echo'], [backend]) });
  const clients = await openAll(t, `${gateway.url}/echo`);
  assert.equal((await begin(gateway, '/commands')).status, 404);
  gateway.settings({ route: routes(['commands'], [backend]) });
  gateway.reload();
  await until('the new route', async () => (await begin(gateway, '/commands')).status === 200);
  assert.equal((await begin(gateway, '/echo')).status, 404);
  await goOn(clients, 'of a route that is gone');
  gateway.settings({ route: routes(['echo', 'commands'], [backend]) });
  gateway.reload();
  const [client] = await openAll(t, `${gateway.url}/commands`, [CARRIAGES[0]]);
  await client.echo('new');
  await until('the route again', async () => (await begin(gateway, '/echo')).status === 200);
  await goOn(clients, 'of a route that is back');
});

test('a wrong file changes nothing, and the log says what is wrong where', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { route: routes(['echo', 'tell'], [backend]) });
  const clients = await openAll(t, `${gateway.url}/echo`);
  for (const [text, complaint] of [
    ['[[route]]\npath = "/echo"\nbackend = ["ws://127.0.0.1:1/"]\n', /backends/],
    ['this is no TOML', /line 1|:1/],
    ['', /route/],
  ]) {
    gateway.output = '';
    gateway.write(text);
    gateway.reload();
    await until(`a complaint like ${complaint}`, () => complaint.test(gateway.output));
    await goOn(clients, `after ${text}`);
    const client = await openClient(t, `${gateway.url}/echo`, 'xhr-polling');
    await client.echo('new');
  }
  gateway.settings({ route: routes(['echo', 'tell'], [backend], { set_headers: { 'X-New': '1' } }) });
  gateway.reload();
  await until('the settings of the right file', async () => (await toldNow(gateway, '/tell')).headers['x-new'] === '1');
  await goOn(clients, 'in the end');
});

test('what takes a restart is said, and the rest counts', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { route: routes(['tell'], [backend]) });
  gateway.output = '';
  gateway.settings({ grace: '1s', listen: '127.0.0.1:9', route: routes(['tell'], [backend], { set_headers: { 'X-New': '1' } }) });
  gateway.reload();
  await until('the new header', async () => (await toldNow(gateway, '/tell')).headers['x-new'] === '1');
  await until('the word of a restart', () => /listen.*restart|restart.*listen/s.test(gateway.output));
});
