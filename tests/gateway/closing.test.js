// How sessions end, seen from both sides: crates/gateway/docs/closing.md.
import assert from 'node:assert/strict';
import test, { after, describe } from 'node:test';
import { CARRIAGES, RAW, closureOf, openClient } from './clients.js';
import { Backend, Gateway, routes } from './programs.js';

// What a backend closes with, and what its client gets.
const FROM_BACKEND = [
  { code: 1000, reason: 'bye' },
  { code: 3000, reason: 'Go away!' },
  { code: 4999, reason: 'é'.repeat(60) },
  { code: 1001, reason: 'going away' },
  { code: 1011, reason: 'failed' },
  { code: 1012, reason: 'starts again' },
  { code: 4000, reason: '' },
];

// What a client closes with, and what its backend gets.
const FROM_CLIENT = [
  { code: 1000, reason: 'bye' },
  { code: 3000, reason: 'done' },
  { code: 4999, reason: 'é'.repeat(60) },
];

// sockjs-client closes its WebSocket without a code.
const GONE = { websocket: 1000 };

for (const kind of Backend.kinds) {
  describe(kind, { concurrency: CARRIAGES.length }, async () => {
    const backend = await Backend.start({ after }, kind);
    const gateway = await Gateway.start({ after }, { route: routes(['commands', 'echo'], [backend]) });

    for (const carriage of CARRIAGES) {
      test(`${carriage}: the backend closes, after what it has said before`, async (t) => {
        for (const { code, reason } of FROM_BACKEND) {
          const client = await openClient(t, `${gateway.url}/commands`, carriage);
          client.socket.send('burst 50 20');
          client.socket.send(`close ${code} ${reason}`);
          assert.deepEqual(await closureOf(client), { code, reason }, carriage);
          assert.equal(client.received.length, 50, carriage);
        }
      });
    }
  });

  test(`${kind}: a WebSocket closes, and its backend gets code and reason`, async (t) => {
    const backend = await Backend.start(t, kind);
    const gateway = await Gateway.start(t, { route: routes(['echo'], [backend]) });
    for (const [n, closure] of FROM_CLIENT.entries()) {
      const client = await openClient(t, `${gateway.url}/echo`, RAW);
      client.socket.close(closure.code, closure.reason);
      assert.deepEqual(await backend.closure(n), { path: '/echo', ...closure });
    }
  });

  test(`${kind}: a client leaves without a word, and its backend is told 1001`, async (t) => {
    const backend = await Backend.start(t, kind);
    // A client over HTTP that leaves has to be missed first.
    const gateway = await Gateway.start(t, { route: routes(['echo'], [backend], { disconnect_delay: '200ms' }) });
    for (const [n, carriage] of CARRIAGES.entries()) {
      const client = await openClient(t, `${gateway.url}/echo`, carriage);
      await client.echo('here');
      if (carriage === RAW) {
        client.socket.terminate();
      } else {
        client.socket.close();
      }
      const { code } = await backend.closure(n);
      assert.equal(code, GONE[carriage] ?? 1001, carriage);
    }
  });
}

test('what a client sent before it left arrives', async (t) => {
  const backend = await Backend.start(t);
  const gateway = await Gateway.start(t, { route: routes(['commands'], [backend]) });
  const client = await openClient(t, `${gateway.url}/commands`, RAW);
  for (let n = 0; n < 100; n += 1) {
    client.socket.send(`${n}`);
  }
  client.socket.close(1000);
  await backend.closure();
  assert.equal((await backend.stats()).received, 100);
});
