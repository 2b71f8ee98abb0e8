// The example `auth`: who is let in, and what a page hears who is not.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Example } from './example.js';
import { TRANSPORTS, peersOf, unique } from './support.js';

test('a page hears why it is not let in, by every transport', async (t) => {
  const example = await Example.start('examples/auth', t);
  for (const transport of [null, ...TRANSPORTS]) {
    for (const path of ['/private', '/private?token=wrong']) {
      const peer = peersOf(t).make(example.url(path), transport);
      assert.deepEqual(await peer.closed(), { code: 4401, reason: 'log in', wasClean: true }, peer.label);
      assert.deepEqual(peer.received, [], peer.label);
    }
  }
});

test('a token in the URL lets in, by every transport', async (t) => {
  const example = await Example.start('examples/auth', t);
  for (const transport of TRANSPORTS) {
    const peer = await peersOf(t).open(example.url('/private?token=for-robots'), transport);
    const message = unique('hello');
    peer.send(message);
    await peer.expect(['hello R2', message], 'what the robot is sent');
  }
});

test('a session that a cookie has opened is its user’s alone', async (t) => {
  const example = await Example.start('examples/auth', t);
  const login = await fetch(example.url('/login'), { redirect: 'manual' });
  assert.equal(login.headers.get('location'), '/');
  const [cookie] = login.headers.get('set-cookie').split(';');

  const poll = async (path, headers = {}) => {
    const answer = await fetch(example.url(`/private/000/ada/xhr${path}`), { method: 'POST', headers });
    return [answer.status, answer.ok ? await answer.text() : null];
  };
  assert.deepEqual(await poll('', { cookie }), [200, 'o\n']);
  assert.deepEqual(await poll('', { cookie }), [200, 'a["hello Ada"]\n']);
  for (const other of ['', '?token=for-robots']) {
    assert.deepEqual(await poll(other), [404, null], other);
  }
});
