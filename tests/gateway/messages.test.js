// What is said passes once, in order, and whole: over each transport, to each kind of backend.
import assert from 'node:assert/strict';
import test, { after, describe } from 'node:test';
import { exchange } from '../cluster/sockjs.js';
import { sameText } from '../node/support.js';
import { CARRIAGES, RAW, closureOf, openClient } from './clients.js';
import { Backend, Gateway, routes } from './programs.js';

const MANY = 1000;
const LARGE = 64 << 10;
const SERVICES = ['echo', 'commands', 'slow'];

for (const kind of Backend.kinds) {
  describe(kind, { concurrency: CARRIAGES.length }, async () => {
    const backend = await Backend.start({ after }, kind);
    const gateway = await Gateway.start({ after }, { route: routes(SERVICES, [backend]) });

    for (const carriage of CARRIAGES) {
      test(`${carriage}: ${MANY} messages each way, once and in order`, async (t) => {
        const client = await openClient(t, `${gateway.url}/echo`, carriage);
        await exchange(client, MANY, carriage);
      });

      test(`${carriage}: ${MANY} messages at once from the backend`, async (t) => {
        const client = await openClient(t, `${gateway.url}/commands`, carriage);
        client.socket.send(`burst ${MANY} 100`);
        client.socket.send('last');
        await client.until('the last message', () => client.received.length > MANY);
        const expected = Array.from({ length: MANY }, (_, n) => `${n} `.padEnd(100, 'x'));
        assert.deepEqual(client.received, [...expected, 'last']);
      });

      test(`${carriage}: ${MANY} messages at once to the backend`, async (t) => {
        const client = await openClient(t, `${gateway.url}/echo`, carriage);
        const messages = Array.from({ length: MANY }, (_, n) => `${n} `.padEnd(100, 'x'));
        messages.forEach((message) => client.socket.send(message));
        await client.until('all echoes', () => client.received.length >= MANY);
        assert.deepEqual(client.received, messages);
      });

      test(`${carriage}: ${LARGE} bytes each way`, async (t) => {
        const client = await openClient(t, `${gateway.url}/echo`, carriage);
        // A client over HTTP escapes what is not ASCII, and the message with its quotes is to fit.
        const messages = ['x'.repeat(LARGE), 'é'.repeat(LARGE / 2), '\u{1f600}'.repeat(LARGE / 4)];
        for (const [n, message] of messages.entries()) {
          client.socket.send(message);
          await client.until(`echo ${n}`, () => client.received.length > n);
          sameText(client.received[n], message, client.label);
        }
      });

      test(`${carriage}: what has a meaning in a frame, in JSON or in a page`, async (t) => {
        const client = await openClient(t, `${gateway.url}/echo`, carriage);
        const messages = ['"', '\\', '\n\r\t', '\u2028\u2029', '</script>', 'a["x"]', 'o', 'h', 'c[3000,"x"]', '\0', ' '];
        for (const [n, message] of messages.entries()) {
          client.socket.send(message);
          await client.until(`echo ${n}`, () => client.received.length > n);
        }
        assert.deepEqual(client.received, messages);
      });
    }

    test(`${RAW}: bytes each way`, async (t) => {
      const client = await openClient(t, `${gateway.url}/echo`, RAW);
      const bytes = Buffer.from(Array.from({ length: LARGE }, (_, n) => (n * 7) % 256));
      for (const data of [bytes, 'text between', Buffer.alloc(0)]) {
        client.socket.send(data);
      }
      await client.until('the echoes', () => client.received.length >= 3);
      assert.deepEqual(client.received, [bytes, 'text between', Buffer.alloc(0)]);
    });
  });
}

describe('bytes for a client that has text only', { concurrency: CARRIAGES.length }, async () => {
  const texts = CARRIAGES.filter((carriage) => carriage !== RAW);
  const start = async (binary) => {
    const backend = await Backend.start({ after });
    const gateway = await Gateway.start({ after }, { route: routes(['commands'], [backend], { binary }) });
    return { backend, url: `${gateway.url}/commands` };
  };
  const [refusing, encoding] = await Promise.all(['refuse', 'base64'].map(start));

  test('are refused with 1003, which both sides get', async (t) => {
    for (const carriage of texts) {
      const client = await openClient(t, refusing.url, carriage);
      client.socket.send('before');
      client.socket.send('binary 10');
      assert.equal((await closureOf(client)).code, 1003, carriage);
      assert.deepEqual(client.received, ['before'], carriage);
    }
    for (const n of texts.keys()) {
      assert.equal((await refusing.backend.closure(n)).code, 1003);
    }
  });

  for (const carriage of texts) {
    test(`${carriage}: become base64 where the settings say so`, async (t) => {
      const client = await openClient(t, encoding.url, carriage);
      client.socket.send('binary 256');
      await client.until('the bytes', () => client.received.length > 0);
      assert.deepEqual([...Buffer.from(client.received[0], 'base64')], Array.from({ length: 256 }, (_, n) => n));
      await client.echo('goes on');
    });
  }
});
