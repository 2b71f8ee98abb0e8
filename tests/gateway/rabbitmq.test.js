// The recipe rabbitmq: stompjs over each transport of SockJS to RabbitMQ's Web-STOMP.
import assert from 'node:assert/strict';
import test, { after, describe } from 'node:test';
import { freePort } from '../cluster/ports.js';
import { until } from '../cluster/processes.js';
import { CARRIAGES, Legacy, Modern, RAW, Webstomp, clientsOf } from '../node/stomp-clients.js';
import { TRANSPORTS, sameText, unique } from '../node/support.js';
import { Gateway } from './programs.js';
import { RabbitMq } from './rabbitmq.js';
import { cook } from './recipes.js';

const broker = await RabbitMq.start({ after });
const port = await freePort();
const settings = cook('rabbitmq/gateway.toml', [['8080', port], ['15674', broker.port]]);
const gateway = await Gateway.startWith({ after }, settings, port);
const address = { sockjs: `${gateway.url}/stomp`, webSocket: `ws://127.0.0.1:${port}/stomp/websocket` };

describe('RabbitMQ', { concurrency: CARRIAGES.length }, () => {
  for (const carriage of CARRIAGES) {
    test(`stompjs over ${carriage}: connect, subscribe, send, receipt, disconnect`, async (t) => {
      const clients = clientsOf(t, address);
      const client = clients.make(Modern, carriage);
      const { headers } = await client.open();
      assert.equal(headers.version, '1.2');
      assert.match(headers.server, /^RabbitMQ/);
      const destination = `/queue/${unique('gateway')}`;
      const messages = await client.subscribed(destination, { 'auto-delete': 'true', ack: 'client-individual' });
      const bodies = Array.from({ length: 100 }, (_, n) => `${n} "é" \u{1f600}`);
      for (const body of bodies.slice(0, -1)) {
        client.send(destination, body);
      }
      await client.sent(destination, bodies.at(-1), { kind: 'last' });
      for (const body of bodies) {
        const message = await messages.next();
        sameText(message.body, body, client.label);
        message.ack();
      }
      await client.confirmed((receipt) => messages.unsubscribe(receipt));
      await client.disconnect();
      assert.equal((await client.closures.next()).code, 1000);
    });

    test(`stompjs over ${carriage}: a body of 64 KiB`, async (t) => {
      const client = await clientsOf(t, address).open(Modern, carriage);
      const topic = `/topic/${unique('large')}`;
      const messages = await client.subscribed(topic);
      const body = 'é'.repeat(32 << 10);
      client.send(topic, body);
      sameText((await messages.next()).body, body, client.label);
    });

    test(`stompjs over ${carriage}: heart-beats, and the end where they stop`, async (t) => {
      const clients = clientsOf(t, address);
      const client = clients.make(Modern, carriage, Modern.beats(1_000));
      const { headers } = await client.open();
      const [theirs] = headers['heart-beat'].split(',').map(Number);
      assert.ok(theirs > 0 && theirs <= 1_000, headers['heart-beat']);
      // RabbitMQ gives up a client that is silent.
      client.mute();
      const { code } = await client.closures.next();
      assert.notEqual(code, undefined);
      assert.notEqual(client.lostBeats, true, 'those of RabbitMQ came');
    });

    test(`a wrong passcode over ${carriage}: RabbitMQ’s ERROR comes`, async (t) => {
      const client = clientsOf(t, address).make(Modern, carriage);
      client.open({ login: 'guest', passcode: 'wrong' }).catch(() => {});
      const { headers } = await client.errors.next();
      assert.match(headers.message, /Bad CONNECT/);
    });
  }

  for (const Kind of [Legacy, Webstomp]) {
    test(`${Kind.title} over ${TRANSPORTS.at(-1)}`, async (t) => {
      const client = await clientsOf(t, address).open(Kind, TRANSPORTS.at(-1));
      const topic = `/topic/${unique('older')}`;
      const messages = await client.subscribed(topic);
      await client.sent(topic, 'hello');
      assert.equal((await messages.next()).body, 'hello');
    });
  }

  test('bytes that a client over a WebSocket publishes', async (t) => {
    const clients = clientsOf(t, address);
    const sender = await clients.open(Modern, RAW);
    const receiver = await clients.open(Modern, 'xhr-streaming');
    const topic = `/topic/${unique('bytes')}`;
    const messages = await receiver.subscribed(topic);
    // Bytes that are UTF-8 come as the text they are.
    const text = 'bytes of text: é \u{1f600}';
    await sender.sent(topic, new TextEncoder().encode(text));
    sameText((await messages.next()).body, text, receiver.label);
    // Others cannot be told over SockJS: the session ends, and its client notices.
    await sender.sent(topic, Uint8Array.from([0xff, 0xfe, 0x80]));
    const { code, reason } = await receiver.closures.next();
    assert.deepEqual([code, reason], [1011, 'Backend protocol error']);
  });

  test('RabbitMQ learns of a client that leaves without a word', async (t) => {
    const clients = clientsOf(t, address);
    const watcher = await clients.open(Modern, RAW);
    const queue = `/queue/${unique('left')}`;
    const client = await clients.open(Modern, 'websocket');
    await client.subscribed(queue, { exclusive: 'true', 'auto-delete': 'true' });
    client.vanish();
    // The queue was for that connection only.
    await until('the queue to be free', async () => {
      const another = clients.make(Modern, RAW);
      await another.open();
      await another.subscribed(queue, { exclusive: 'true', 'auto-delete': 'true' });
      return true;
    });
    await watcher.disconnect();
  });
});
