// The example `chat`: everyone hears everyone, and a burst ends nobody who reads.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Example } from './example.js';
import { TRANSPORTS, peersOf, unique } from './support.js';

// Together more than twice what the queue to a client holds.
const LINES = 25;
const LINE = 100_000;

test('a burst comes to all who read, over every transport', async (t) => {
  const example = await Example.start('examples/chat', t);
  const peers = peersOf(t);
  const speaker = await peers.open(example.url('/chat'), 'websocket');
  const listeners = [];
  for (const transport of TRANSPORTS) {
    listeners.push(await peers.open(example.url('/chat'), transport));
  }
  const lines = Array.from({ length: LINES }, (_, n) => `${n} ${'x'.repeat(LINE)}`);
  speaker.send(...lines);
  const last = unique('the end');
  speaker.send(last);
  for (const peer of [speaker, ...listeners]) {
    await peer.find('the last line', (line) => line.endsWith(last));
    assert.ok(!peer.received.some((line) => line.includes('has left')), `${peer.label}: somebody had to leave`);
    const said = peer.received.map((line) => /^\S+: (.*)$/.exec(line)?.[1]).filter(Boolean);
    assert.equal(said.length, LINES + 1, peer.label);
    assert.ok([...lines, last].every((line, n) => said[n] === line), `${peer.label}: in order`);
    assert.deepEqual(peer.closures, [], peer.label);
  }
});
