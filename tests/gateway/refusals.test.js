// A backend that refuses: its answer is that to the request which opens the session, so that nothing opens.
import assert from 'node:assert/strict';
import test, { after, describe } from 'node:test';
import { freePort } from '../cluster/ports.js';
import { fresh } from '../cluster/scene.js';
import { CARRIAGES, RAW, closureOf, makeClient } from './clients.js';
import { Backend, Gateway } from './programs.js';
import { OPENINGS, begin, refusal } from './sessions.js';

// What the backend answers, and what the client gets.
const STATUSES = { 401: 401, 403: 403, 302: 502, 404: 502, 500: 502, 503: 502 };
const OPEN_TIMEOUT_MS = 700;
const FAILED = { code: 2000, reason: 'All transports failed' };

async function start(kind) {
  const backend = await Backend.start({ after }, kind);
  const nobody = await freePort();
  const route = Object.keys(STATUSES).map((status) => ({ path: `/${status}`, backends: [backend.url(`/refuse/${status}`)] }));
  route.push({ path: '/nobody', backends: [`ws://127.0.0.1:${nobody}/`] });
  route.push({
    path: '/silent',
    backends: [backend.url('/silent')],
    connect_timeout: `${OPEN_TIMEOUT_MS}ms`,
    open_timeout: `${OPEN_TIMEOUT_MS}ms`,
  });
  route.push({ path: '/echo', backends: [backend.url('/echo')] });
  // With what only old browsers use, which does not say from where it comes.
  const defaults = { legacy_transports: true, origins: 'any' };
  return { backend, gateway: await Gateway.start({ after }, { defaults, route }) };
}

function check(backend, expected, { status, headers }, label) {
  assert.equal(status, expected, label);
  const challenge = backend === 401 ? 'Bearer realm="backend"' : undefined;
  assert.equal(headers['www-authenticate'], challenge, label);
  assert.equal(headers.location, undefined, label);
}

for (const kind of Backend.kinds) {
  describe(kind, { concurrency: 4 }, async () => {
    const { backend, gateway } = await start(kind);

    for (const [refused, expected] of Object.entries(STATUSES)) {
      test(`the backend answers ${refused}: the opening request gets ${expected}`, async () => {
        for (const transport of Object.keys(OPENINGS)) {
          const answer = await begin(gateway, `/${refused}`, { transport });
          check(Number(refused), expected, answer, transport);
          // Nothing of a page that the backend did not mean for this client.
          assert.doesNotMatch(answer.text, /the backend says/);
        }
        for (const path of [`/${refused}/websocket`, `${fresh(`/${refused}`)}/websocket`]) {
          check(Number(refused), expected, await refusal(gateway, path), path);
        }
      });
    }

    test('nobody listens: 502', async () => {
      for (const transport of Object.keys(OPENINGS)) {
        assert.equal((await begin(gateway, '/nobody', { transport })).status, 502, transport);
      }
      assert.equal((await refusal(gateway, '/nobody/websocket')).status, 502);
    });

    test('the backend never answers: 504 in the time that the settings say', async () => {
      const began = performance.now();
      const answers = await Promise.all([
        ...Object.keys(OPENINGS).map((transport) => begin(gateway, '/silent', { transport })),
        refusal(gateway, '/silent/websocket'),
      ]);
      assert.deepEqual(answers.map(({ status }) => status), answers.map(() => 504));
      const took = performance.now() - began;
      assert.ok(took >= OPEN_TIMEOUT_MS && took < OPEN_TIMEOUT_MS + 2_000, `${took} ms`);
    });

    for (const carriage of CARRIAGES) {
      test(`${carriage}: the client gives up with its close event`, async (t) => {
        // At once: under Node, EventSource is given up when its time is over.
        const refused = ['401', '403', '500', 'nobody'].map((route) => makeClient(t, `${gateway.url}/${route}`, carriage));
        for (const client of refused) {
          assert.deepEqual(await closureOf(client), carriage === RAW ? { code: 1006, reason: '' } : FAILED, client.label);
          assert.deepEqual([client.opened, client.received], [0, []]);
        }
      });
    }

    test('a session that was refused can be opened later: nothing is left of it', async () => {
      const { requests } = await backend.stats();
      const session = fresh('/401');
      for (let n = 0; n < 3; n += 1) {
        const { status } = await begin(gateway, '/401', { session });
        assert.equal(status, 401);
      }
      assert.ok((await backend.stats()).requests >= requests + 3, 'each request asks the backend');
    });
  });
}
