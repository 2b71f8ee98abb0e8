// How connections end, seen from both sides.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { PATIENCE_MS, TRANSPORTS, peersOf, serverUrl, unique } from './support.js';

// A session of /commands that gets the server's line about each session that ends there.
let watcher;
// The names of the sessions that were seen to end.
const ended = [];
const shared = peersOf({ after });

before(async () => {
  watcher = await shared.open('/commands', 'websocket');
  const name = unique('watcher');
  // Messages are handled in order, so the reply to the second confirms the first.
  watcher.send('watch', `name ${name}`);
  await watcher.find(`"named ${name}"`, (line) => line === `named ${name}`);
});

// A session of /commands that the watcher's lines mention as `name`.
async function openNamed(peers, transport) {
  const peer = await peers.open('/commands', transport);
  const name = unique('peer');
  peer.send(`name ${name}`);
  assert.equal(await peer.next(`the reply to "name ${name}"`), `named ${name}`);
  return { peer, name };
}

function mentions(name) {
  return (line) => line.startsWith('ended ') && line.split(' ')[2] === name;
}

async function lineAbout(name, transport) {
  const line = await watcher.find(`the "ended" line of ${name} (${transport})`, mentions(name));
  ended.push(name);
  return line;
}

for (const transport of TRANSPORTS) {
  test(`${transport}: the server closes at once`, async (t) => {
    const peer = peersOf(t).make('/close', transport);
    const closure = await peer.closed();
    assert.deepEqual(closure, { code: 3000, reason: 'Go away!', wasClean: true });
    assert.equal(peer.opened, 1, `${peer.label}: one open event before the close`);
    assert.deepEqual(peer.received, []);
  });

  test(`${transport}: the server closes with a code and text of its own`, async (t) => {
    const { peer, name } = await openNamed(peersOf(t), transport);
    const text = 'some reason "quoted" \u00e9';
    const messages = Array.from({ length: 50 }, (_, n) => `before the close ${n}`);
    peer.send(...messages, `close 4001 ${text}`);

    const closure = await peer.closed();
    assert.deepEqual(closure, { code: 4001, reason: text, wasClean: true });
    assert.deepEqual(
      peer.received,
      [`named ${name}`, ...messages],
      `${peer.label}: what arrived before the close`,
    );
    assert.equal(
      await lineAbout(name, transport),
      `ended ${transport} ${name} server-closed 4001 ${text}`,
    );
  });

  test(`${transport}: the client closes`, async (t) => {
    const { peer, name } = await openNamed(peersOf(t), transport);
    peer.hangUp(3001, 'bye');
    assert.deepEqual(await peer.closed(), { code: 3001, reason: 'bye', wasClean: true });

    const reasons = {
      websocket: ['client-closed'],
      // The streaming clients are never between two requests here.
      'xhr-streaming': ['connection-lost'],
      eventsource: ['connection-lost'],
      'xhr-polling': ['connection-lost', 'timed-out'],
    };
    const allowed = reasons[transport].map((reason) => `ended ${transport} ${name} ${reason}`);
    const line = await lineAbout(name, transport);
    assert.ok(allowed.includes(line), `${peer.label}: ${line} is none of ${allowed.join(', ')}`);
    assert.equal(peer.closures.length, 1, `${peer.label}: one close event`);
  });
}

// Opens a session with a plain poll and never polls again. When its time is up
// on the server, so is that of every session above: no further line can follow.
test('a session without polls times out, and no session ended twice', async () => {
  const name = unique('abandoned');
  const session = `${serverUrl()}/commands/000/${name}`;
  const post = async (what, body) => {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await fetch(`${session}/${what}`, { method: 'POST', body, signal });
    return [response.status, await response.text()];
  };
  assert.deepEqual(await post('xhr'), [200, 'o\n']);
  assert.deepEqual(await post('xhr_send', JSON.stringify([`name ${name}`])), [204, '']);

  assert.equal(await lineAbout(name, 'xhr-polling'), `ended xhr-polling ${name} timed-out`);
  for (const name of ended) {
    const lines = watcher.received.filter(mentions(name));
    assert.equal(lines.length, 1, `one line about each session, not ${lines.join(', ')}`);
  }
});
