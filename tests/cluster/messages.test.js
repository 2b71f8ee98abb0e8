// Each request goes to the next of three nodes, and the real client notices nothing.
import assert from 'node:assert/strict';
import test from 'node:test';
import { BALANCERS, openSessions, startCluster } from './scene.js';
import { Client, TRANSPORTS } from './sockjs.js';

const MANY = 1000;
const BURST = 20;

// As many messages each way, in bursts that overlap, so that sends and polls interleave.
async function exchange(client, count, name) {
  const messages = Array.from({ length: count }, (_, n) => `${name} ${n}`);
  const last = `${name} last`;
  for (let at = 0; at < count; at += BURST) {
    for (const message of messages.slice(at, at + BURST)) {
      client.socket.send(message);
    }
    // The first of this burst is enough to start the next one.
    await client.until(`message ${at}`, () => client.received.length > at);
  }
  await client.until('all messages', () => client.received.length >= count);
  // One more, to see that nothing follows: no repetition after a new poll, for example.
  client.socket.send(last);
  await client.until('the last message', () => client.received.length > count);
  assert.deepEqual(client.received, [...messages, last], client.label);
}

for (const program of BALANCERS) {
  test(`${program}, round robin: ${MANY} messages each way over every transport, once and in order`, async (t) => {
    const { nodes, front } = await startCluster(t, { program });
    await Promise.all(
      TRANSPORTS.map(async (transport) => {
        const client = await Client.open(t, `${front.url}/echo`, transport);
        await exchange(client, MANY, transport);
        client.socket.close();
      }),
    );
    for (const node of nodes) {
      await openSessions(node, 'echo', 0);
    }
    // Each had its share of the requests, and not only of those of its own sessions.
    const stats = await Promise.all(nodes.map((node) => node.stats()));
    const shares = stats.map(({ requests, forwarded }) => requests - forwarded);
    assert.ok(Math.min(...shares) > Math.max(...shares) / 2, `shares of ${shares}`);
    assert.ok(stats.some(({ forwarded }) => forwarded > 0), 'some were forwarded');
    t.diagnostic(`${shares} requests of clients`);
  });
}
