// Heart-beats that are lost on the way, and servers that are started again.
import assert from 'node:assert/strict';
import test, { after, describe } from 'node:test';
import { CARRIAGES, Legacy, Modern, RAW, Webstomp, clientsOf } from './stomp-clients.js';
import { Gate, StompServer } from './stomp-server.js';
import { unique } from './support.js';

const server = await StompServer.start({ after });

const BEAT_MS = 1_000;
// More than either side waits without a beat.
const IDLE_MS = 4 * BEAT_MS;

const KINDS = [Modern, Legacy, Webstomp].flatMap((Kind) => CARRIAGES.map((carriage) => [Kind, carriage]));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A client that has promised and asked for beats, and has said nothing for longer than is borne without them.
async function idle(t, address, Kind, carriage) {
  const clients = clientsOf(t, address);
  const client = clients.make(Kind, carriage, Kind.beats(BEAT_MS));
  const { headers } = await client.open();
  assert.equal(headers['heart-beat'], `${BEAT_MS},${BEAT_MS}`);
  // What is not acknowledged when the session ends, others get.
  const queue = `/queue/${unique('lost')}`;
  const messages = await client.subscribed(queue, { ack: 'client-individual' });
  client.send(queue, 'of the lost');
  await messages.next();
  await pause(IDLE_MS);
  await client.sent('/topic/nothing', '');
  return { client, clients, queue };
}

async function inherit(t, queue) {
  const heir = await clientsOf(t, server.address).open(Modern, RAW);
  const messages = await heir.subscribed(queue);
  const message = await messages.next('what the lost has not acknowledged');
  assert.deepEqual([message.body, message.headers.redelivered], ['of the lost', 'true']);
}

describe('what is lost', { concurrency: 64 }, () => {
  for (const [Kind, carriage] of KINDS) {
    test(`the server misses beats of ${Kind.title} over ${carriage}`, async (t) => {
      const { client, queue } = await idle(t, server.address, Kind, carriage);
      client.mute();
      const began = performance.now();
      const { headers, body } = await client.errors.next();
      const ms = performance.now() - began;
      assert.match(`${headers.message} ${body}`, /heart-beat/);
      await client.closures.next();
      // Three of them.
      assert.ok(ms > 1.5 * BEAT_MS && ms < 6 * BEAT_MS, `after ${ms} ms`);
      await inherit(t, queue);
    });

    test(`${Kind.title} over ${carriage} misses beats of the server`, async (t) => {
      const gate = await Gate.start(t, server);
      const { client, queue } = await idle(t, gate.address, Kind, carriage);
      gate.shut();
      const began = performance.now();
      await client.closures.next();
      const ms = performance.now() - began;
      // Two of them.
      assert.ok(ms > BEAT_MS && ms < 5 * BEAT_MS, `after ${ms} ms`);
      await inherit(t, queue);
    });
  }

  for (const [Kind, carriage] of KINDS) {
    test(`${Kind.title} over ${carriage} connects again`, async (t) => {
      let own = await StompServer.start(t);
      // Under Node, streams do not notice a server that is gone: beats do.
      const options = { ...Kind.beats(BEAT_MS), ...(Kind === Modern && { reconnectDelay: 100 }) };
      const clients = clientsOf(t, own.address);
      const topic = `/topic/${unique('again')}`;
      let client = await clients.open(Kind, carriage, options);
      for (const restarts of [0, 1, 2]) {
        if (restarts > 0) {
          await own.kill();
          await client.closures.next();
          own = await StompServer.start(t, { address: own.address });
          // The older clients leave it to the page.
          if (Kind === Modern) {
            await client.openAgain();
          } else {
            client = await clients.open(Kind, carriage, options);
          }
        }
        const messages = await client.subscribed(topic);
        await client.sent(topic, `after ${restarts}`);
        assert.equal((await messages.next()).body, `after ${restarts}`);
      }
    });
  }
});
