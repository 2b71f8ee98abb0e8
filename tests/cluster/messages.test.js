// Each request goes to the next of three nodes, and the real client notices nothing.
import assert from 'node:assert/strict';
import test from 'node:test';
import { BALANCERS, openSessions, startCluster } from './scene.js';
import { Client, TRANSPORTS, exchange } from './sockjs.js';

const MANY = 1000;

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
