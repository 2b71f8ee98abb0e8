// A server that has no room: its refusals end the client, and no request follows at once.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PATIENCE_MS, TRANSPORTS, peersOf, serverUrl } from './support.js';

// How long nothing more may come.
const QUIET_MS = 1_000;

async function refusals() {
  const response = await fetch(`${serverUrl()}/refusals`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  assert.equal(response.status, 200);
  return Number(await response.text());
}

// How many requests are refused until the peer has closed, and then for a while.
async function refusedWith(peer, provoke = () => {}) {
  const before = await refusals();
  provoke();
  const closure = await peer.closed();
  await sleep(QUIET_MS);
  return { closure, refused: (await refusals()) - before };
}

for (const transport of [null, ...TRANSPORTS]) {
  test(`${transport ?? 'the client of its own choice'}: an endpoint that is full`, async (t) => {
    const before = await refusals();
    const peer = peersOf(t).make('/full', transport);
    const { closure } = await refusedWith(peer);
    // Of its own choice the client gets as far as EventSource, which is told in a frame.
    const expected =
      transport === null || transport === 'eventsource'
        ? { code: 1013, reason: 'Try again later', wasClean: true }
        : { code: 2000, reason: 'All transports failed', wasClean: false };
    assert.deepEqual(closure, expected);
    assert.equal(peer.opened, 0);
    // One for each transport that the client tries.
    const refused = (await refusals()) - before;
    const most = transport ? 1 : TRANSPORTS.length;
    assert.ok(refused >= 1 && refused <= most, `${peer.label}: ${refused} requests, not 1 to ${most}`);
  });
}

for (const transport of TRANSPORTS.filter((name) => name !== 'websocket')) {
  test(`${transport}: an application that does not receive`, async (t) => {
    const peer = await peersOf(t).open('/stuck', transport);
    peer.send('fills the queue');
    const { closure, refused } = await refusedWith(peer, () => peer.send('waits', 'waits too'));
    assert.equal(closure.wasClean, false);
    assert.equal(closure.code, 1006, `${peer.label}: ${JSON.stringify(closure)}`);
    assert.equal(refused, 1, `${peer.label}: requests refused`);
  });
}
