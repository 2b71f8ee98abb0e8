// The client's choice of a transport, and the small services of the test server.
import assert from 'node:assert/strict';
import test from 'node:test';
import { TRANSPORTS, peersOf, unique } from './support.js';

for (const [path, expected] of [
  ['/echo', 'websocket'],
  ['/disabled_websocket_echo', 'xhr-streaming'],
]) {
  test(`the client chooses ${expected} for ${path}`, async (t) => {
    const peer = await peersOf(t).open(path, null);
    assert.equal(peer.transport, expected);
    const message = unique('hello');
    peer.send(message);
    assert.equal(await peer.next('the echo'), message);
  });
}

test('a client that insists on websocket cannot have it where it is disabled', async (t) => {
  const peer = peersOf(t).make('/disabled_websocket_echo', 'websocket');
  const closure = await peer.closed();
  assert.deepEqual(closure, { code: 2000, reason: 'All transports failed', wasClean: false });
  assert.equal(peer.opened, 0);
});

for (const transport of TRANSPORTS) {
  test(`${transport}: /ticker`, async (t) => {
    const peer = await peersOf(t).open('/ticker', transport);
    await peer.expect(['tick!', 'tick!', 'tick!'], 'ticks');
  });

  test(`${transport}: /amplify`, async (t) => {
    const peer = await peersOf(t).open('/amplify', transport);
    const answers = [
      ['1', 1],
      ['5', 5],
      ['18', 18],
      ['0', 1],
      ['19', 1],
      ['-3', 1],
      ['many', 1],
      ['12', 12],
    ];
    peer.send(...answers.map(([message]) => message));
    await peer.expect(answers.map(([, power]) => 'x'.repeat(2 ** power)), 'amplified answers');
  });
}
