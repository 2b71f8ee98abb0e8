// Bodies that are no text, clients that split frames, and limits.
import assert from 'node:assert/strict';
import test, { after, describe } from 'node:test';
import {
  CARRIAGES, Legacy, Modern, Modern11, RAW, Splitting, Webstomp, clientsOf,
} from './stomp-clients.js';
import { StompServer } from './stomp-server.js';
import { TRANSPORTS, sameText, unique } from './support.js';

const server = await StompServer.start({ after });
const ordinary = await StompServer.start({ after }, { maxBody: null });

const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => byte);

// Cut at every border where they split, if it comes with one unit before it; or else without.
const PAIRS = '\u{1f600}'.repeat(20_000);

describe('bodies', { concurrency: 16 }, () => {
  for (const Kind of [Modern, Modern11]) {
    test(`${Kind.title} sends and receives bytes over ${RAW}`, async (t) => {
      const clients = clientsOf(t, server.address);
      const client = await clients.open(Kind, RAW);
      const topic = `/topic/${unique('bytes')}`;
      const messages = await client.subscribed(topic);
      const large = Uint8Array.from({ length: 1 << 20 }, (_, n) => (n * 7) % 256);
      for (const bytes of [EVERY_BYTE, new Uint8Array(0), large]) {
        client.send(topic, bytes, { 'content-type': 'application/octet-stream' });
        const { binaryBody, headers } = await messages.next();
        assert.deepEqual(Buffer.from(binaryBody), Buffer.from(bytes));
        assert.equal(headers['content-length'], `${bytes.length}`);
        assert.equal(headers['content-transfer-encoding'], undefined);
      }
      // Text comes as text, with what ends a frame in it.
      const text = `a\0b\n\0\u{1f600}`;
      client.send(topic, text);
      sameText((await messages.next()).body, text, client.label);
    });
  }

  for (const Kind of [Modern, Legacy, Webstomp]) {
    for (const carriage of TRANSPORTS) {
      test(`${Kind.title} receives bytes in base64 over ${carriage}`, async (t) => {
        const clients = clientsOf(t, server.address);
        const client = await clients.open(Kind, carriage);
        const sender = await clients.open(Modern, RAW);
        const topic = `/topic/${unique('bytes')}`;
        const messages = await client.subscribed(topic);
        sender.send(topic, EVERY_BYTE, { 'content-type': 'application/octet-stream' });
        const { body, headers } = await messages.next();
        assert.equal(headers['content-transfer-encoding'], 'base64');
        assert.equal(headers['content-type'], 'application/octet-stream');
        assert.equal(headers['content-length'], `${body.length}`);
        assert.deepEqual(Buffer.from(body, 'base64'), Buffer.from(EVERY_BYTE));
        // What says so comes with nothing else.
        sender.send(topic, 'text');
        const text = await messages.next();
        assert.deepEqual([text.body, text.headers['content-transfer-encoding']], ['text', undefined]);
      });
    }
  }

  for (const Kind of [Splitting, Legacy, Webstomp]) {
    for (const carriage of TRANSPORTS) {
      test(`${Kind.title} cuts pairs of surrogates over ${carriage}`, async (t) => {
        const client = await clientsOf(t, server.address).open(Kind, carriage);
        const answers = await client.subscribed('/user/queue/echo');
        for (const text of [PAIRS, `x${PAIRS}`, `\u00e9x${PAIRS}`]) {
          client.send('/app/echo', text, { 'content-type': 'text/plain' });
          sameText((await answers.next()).body, text, client.label);
        }
      });
    }

    // There each piece becomes UTF-8 by itself, in the client's WebSocket: the halves of a pair are lost before they are
    // sent, and more bytes come than the length says.
    test(`${Kind.title} spoils pairs of surrogates over ${RAW}`, async (t) => {
      const outcomes = [];
      for (const text of [PAIRS, `x${PAIRS}`]) {
        const client = await clientsOf(t, server.address).open(Kind, RAW);
        const answers = await client.subscribed('/user/queue/echo');
        client.send('/app/echo', text, { 'content-type': 'text/plain' });
        try {
          sameText((await answers.next()).body, text, client.label);
          outcomes.push('the same');
        } catch (error) {
          assert.match(error.message, /no NUL follows as many octets as content-length/);
          outcomes.push('an ERROR');
        }
      }
      assert.deepEqual(outcomes.sort(), ['an ERROR', 'the same']);
    });
  }

  test(`${Webstomp.title} splits bytes over ${RAW}`, async (t) => {
    const client = await clientsOf(t, server.address).open(Webstomp, RAW, { binary: true });
    const answers = await client.subscribed('/user/queue/echo');
    for (const text of [PAIRS, `x${PAIRS}`]) {
      client.send('/app/echo', text, { 'content-type': 'text/plain' });
      sameText((await answers.next()).body, text, client.label);
    }
  });

  test('headers survive where the client can say them', async (t) => {
    const clients = clientsOf(t, server.address);
    const client = await clients.open(Modern, RAW);
    const topic = `/topic/${unique('headers')}`;
    const messages = await client.subscribed(topic);
    const values = ['a:b', 'line\nbreak', 'back\\slash', 'c\rr', '\u00e9\u{1f600}', '::', ''];
    for (const value of values) {
      client.send(topic, '', { 'x-value': value });
      assert.equal((await messages.next()).headers['x-value'], value);
    }
  });

  for (const Kind of [Modern, Legacy, Webstomp]) {
    for (const carriage of CARRIAGES) {
      test(`${Kind.title} over ${carriage} is told of the limit`, async (t) => {
        const client = await clientsOf(t, ordinary.address).open(Kind, carriage);
        const answers = await client.subscribed('/user/queue/echo');
        client.send('/app/echo', 'x'.repeat(64 << 10));
        assert.equal((await answers.next()).body.length, 64 << 10);
        client.send('/app/echo', 'x'.repeat(65 << 10), { receipt: 'long' });
        const { headers, body } = await client.errors.next();
        assert.match(`${headers.message} ${body}`, /max_body_bytes/);
        await client.closures.next();
      });
    }
  }
});
