// STOMP as its clients speak it: each client over each carriage does what pages do.
import assert from 'node:assert/strict';
import test, { after, describe } from 'node:test';
import { CARRIAGES, GUEST, Legacy, Modern, Modern11, RAW, Webstomp, clientsOf } from './stomp-clients.js';
import { StompServer } from './stomp-server.js';
import { sameText, unique } from './support.js';

const server = await StompServer.start({ after });

const KINDS = [
  ...[Modern, Legacy, Webstomp].flatMap((Kind) => CARRIAGES.map((carriage) => [Kind, carriage])),
  [Modern11, RAW],
];

const MEGABYTE = 1 << 20;

const bodies = async (subscription, count) => {
  const got = [];
  while (got.length < count) {
    got.push((await subscription.next()).body);
  }
  return got;
};

// That nothing else came: what a client sends itself comes in order.
async function fence(client, subscription, destination) {
  const text = unique('fence');
  client.send(destination, text);
  const message = await subscription.next('a fence');
  assert.equal(message.body, text, client.label);
  if (message.headers.ack) {
    message.ack();
  }
}

const SCENES = {
  async 'connects, and is turned away with a wrong passcode'({ client, clients, Kind, carriage }) {
    const connected = await client.open();
    assert.equal(connected.headers.version, Kind.version);
    assert.equal(connected.headers['user-name'], 'guest');
    assert.match(connected.headers.server, /^axum-stomp\//);
    assert.match(connected.headers.session, /^[\w-]{16,}$/);
    assert.equal(connected.headers['heart-beat'], '10000,10000');

    const stranger = clients.make(Kind, carriage);
    await assert.rejects(stranger.open({ ...GUEST, passcode: 'wrong' }), /access refused/);
    const error = await stranger.errors.next();
    assert.doesNotMatch(`${JSON.stringify(error.headers)}${error.body}`, /wrong|guest/);
    const { code } = await stranger.closures.next();
    // The older client of them does not give the code.
    assert.ok(code === 1002 || code === undefined, `closed with ${code}`);
  },

  async 'hears what others publish, with receipts in order'({ client, clients, Kind, carriage }) {
    await client.open();
    const other = await clients.open(Kind, carriage);
    const topic = `/topic/${unique('news')}`;
    const own = await client.subscribed(topic);
    const others = await other.subscribed(`${topic}/**`);
    const receipts = [];
    const sends = ['one', '', 'thr\u00e9\u{1f600}e'].map(async (text, index) => {
      await client.sent(topic, text, { 'content-type': 'text/plain', 'x-index': `${index}` });
      receipts.push(index);
    });
    await Promise.all(sends);
    assert.deepEqual(receipts, [0, 1, 2]);
    for (const subscription of [own, others]) {
      for (const [index, text] of ['one', '', 'thr\u00e9\u{1f600}e'].entries()) {
        const { headers, body } = await subscription.next();
        const { destination, 'content-type': type, 'x-index': number, subscription: id } = headers;
        assert.deepEqual([destination, type, number, id], [topic, 'text/plain', `${index}`, subscription.id]);
        sameText(body, text, client.label);
        assert.deepEqual(
          ['receipt', 'login', 'passcode', 'transaction', 'ack'].filter((name) => name in headers),
          [],
        );
      }
    }
    others.unsubscribe();
    // The receipt of something later says that it is done.
    await other.sent(topic, 'four');
    assert.deepEqual(other.unclaimed, []);
    assert.deepEqual(await bodies(own, 1), ['four']);
    await fence(client, own, topic);
    await other.subscribed('/topic/nothing');
  },

  async 'acknowledges one by one, gives back, and leaves the rest to others'({ client, clients, Kind, carriage }) {
    await client.open();
    const queue = `/queue/${unique('one')}`;
    const worker = await clients.open(Kind, carriage);
    const work = await worker.subscribed(queue, { ack: 'client-individual' });
    for (const text of ['a', 'b', 'c', 'd']) {
      await client.sent(queue, text);
    }
    const messages = [await work.next(), await work.next(), await work.next(), await work.next()];
    assert.deepEqual(messages.map(({ body }) => body), ['a', 'b', 'c', 'd']);
    assert.deepEqual(messages.map(({ headers }) => headers.redelivered), [undefined, undefined, undefined, undefined]);
    messages[1].ack();
    messages[0].nack();
    const again = await work.next('what was given back');
    assert.deepEqual([again.body, again.headers.redelivered], ['a', 'true']);
    again.ack();
    messages[2].nack({ requeue: 'false' });
    // It has acknowledged when it is heard.
    await worker.sent('/topic/nothing', '');
    worker.vanish();
    const heir = await client.subscribed(queue, { ack: 'client-individual' });
    const left = await heir.next('what was left');
    assert.deepEqual([left.body, left.headers.redelivered], ['d', 'true']);
    left.ack();
    await fence(client, heir, queue);
  },

  async 'acknowledges all up to one'({ client, clients, Kind, carriage }) {
    await client.open();
    const queue = `/queue/${unique('all')}`;
    const worker = await clients.open(Kind, carriage);
    const work = await worker.subscribed(queue, { ack: 'client' });
    for (const text of ['a', 'b', 'c', 'd', 'e']) {
      await client.sent(queue, text);
    }
    const messages = [await work.next(), await work.next(), await work.next(), await work.next(), await work.next()];
    messages[2].ack();
    // As asynchronous pages do: it is covered already.
    messages[0].ack();
    await worker.sent('/topic/nothing', '');
    work.unsubscribe();
    const heir = await client.subscribed(queue, { ack: 'client' });
    assert.deepEqual(await bodies(heir, 2), ['d', 'e']);
    await fence(client, heir, queue);
  },

  async 'shares a queue'({ client, clients, Kind, carriage }) {
    await client.open();
    const queue = `/queue/${unique('shared')}`;
    const worker = await clients.open(Kind, carriage);
    const shares = [await client.subscribed(queue), await worker.subscribed(queue)];
    for (let n = 0; n < 10; n += 1) {
      await client.sent(queue, `${n}`);
    }
    const got = await Promise.all(shares.map((share) => bodies(share, 5)));
    assert.deepEqual(got.flat().sort(), Array.from({ length: 10 }, (_, n) => `${n}`));
  },

  async 'commits and aborts'({ client, clients, Kind, carriage }) {
    await client.open();
    const [topic, queue] = [`/topic/${unique('tx')}`, `/queue/${unique('tx')}`];
    const heard = await client.subscribed(topic);
    const work = await client.subscribed(queue, { ack: 'client-individual' });
    const other = await clients.open(Kind, carriage);
    await other.sent(queue, 'taken');
    await other.sent(queue, 'kept');

    const commit = client.begin();
    client.send(topic, 'one', { transaction: commit.id });
    await client.sent(topic, 'two', { transaction: commit.id });
    (await work.next()).ack({ transaction: commit.id });
    await client.sent(topic, 'before');
    assert.deepEqual(await bodies(heard, 1), ['before']);
    commit.commit();
    assert.deepEqual(await bodies(heard, 2), ['one', 'two']);

    const abort = client.begin();
    client.send(topic, 'never', { transaction: abort.id });
    (await work.next()).ack({ transaction: abort.id });
    abort.abort();
    await fence(client, heard, topic);
    work.unsubscribe();
    const heir = await other.subscribed(queue, { ack: 'client-individual' });
    assert.deepEqual(await bodies(heir, 1), ['kept']);
    await fence(other, heir, queue);
  },

  async 'is answered by handlers'({ client, clients, Kind, carriage }) {
    await client.open();
    const tab = await clients.open(Kind, carriage);
    const answers = await client.subscribed('/user/queue/echo');
    const others = await tab.subscribed('/user/queue/echo');
    client.send('/app/echo', 'hello', { 'content-type': 'text/plain;charset=utf-8' });
    const echo = await answers.next();
    assert.deepEqual(
      [echo.body, echo.headers.destination, echo.headers['content-type']],
      ['hello', '/user/queue/echo', 'text/plain;charset=utf-8'],
    );
    await client.sent('/app/whoami');
    assert.deepEqual(await bodies(answers, 1), ['guest']);
    await client.sent('/app/slow');
    // The other tab has heard none of it.
    await fence(tab, others, '/app/echo');

    const hello = client.subscribe('/app/hello');
    assert.deepEqual(await bodies(hello, 1), ['hello']);
    const room = unique('room');
    const people = await tab.subscribed(`/topic/room/${room}`);
    client.send(`/app/broadcast/${room}`, 'to all');
    assert.deepEqual(await bodies(people, 1), ['to all']);
  },

  async 'hears of errors'({ client }) {
    await client.open();
    const failures = await client.subscribed('/user/queue/errors');
    client.send('/app/fail', 'x');
    assert.match((await failures.next()).body, /boom/);
    // The session lives.
    await client.sent('/topic/nothing', '');
    client.send('/app/fail', 'x', { receipt: 'failing' });
    const error = await client.errors.next();
    assert.equal(error.headers['receipt-id'], 'failing');
    assert.match(`${error.headers.message} ${error.body}`, /boom/);
    await client.closures.next();
  },

  async 'gets what is for a user in all tabs'({ client, clients, Kind, carriage }) {
    await client.open();
    const tab = await clients.open(Kind, carriage);
    const stranger = clients.make(Kind, carriage);
    const { headers } = await stranger.open({});
    const name = unique('private');
    const subscriptions = [];
    for (const each of [client, tab, stranger]) {
      subscriptions.push(await each.subscribed(`/user/queue/${name}`));
    }
    const sender = await clients.open(Modern, RAW);
    await sender.sent(`/user/guest/queue/${name}`, 'for guest');
    // Who has no user is known by the session.
    await sender.sent(`/user/${headers.session}/queue/${name}`, 'for the stranger');
    const [first, second, strange] = await Promise.all(subscriptions.map((each) => each.next()));
    assert.deepEqual([first.body, second.body, strange.body], ['for guest', 'for guest', 'for the stranger']);
    assert.equal(first.headers.destination, `/user/queue/${name}`);
    // From one of its own tabs as well.
    client.send(`/user/guest/queue/${name}`, 'from a tab');
    assert.deepEqual(await bodies(subscriptions[0], 1), ['from a tab']);
    assert.deepEqual(await bodies(subscriptions[1], 1), ['from a tab']);
  },

  async 'sends and receives a megabyte'({ client }) {
    await client.open();
    const answers = await client.subscribed('/user/queue/echo');
    const ascii = '0123456789abcdef'.repeat(MEGABYTE / 16);
    // Whole pairs of surrogates at every border at which clients split.
    const longer = '\u{1f600}'.repeat(MEGABYTE / 4);
    for (const text of [ascii, ...(client.constructor.splits ? [] : [longer])]) {
      client.send('/app/echo', text, { 'content-type': 'text/plain' });
      sameText((await answers.next('a megabyte')).body, text, client.label);
    }
    await fence(client, answers, '/app/echo');
  },
};

describe('STOMP', { concurrency: 32 }, () => {
  for (const [Kind, carriage] of KINDS) {
    for (const [name, run] of Object.entries(SCENES)) {
      test(`${Kind.title} over ${carriage} ${name}`, async (t) => {
        const clients = clientsOf(t, server.address);
        await run({ client: clients.make(Kind, carriage), clients, Kind, carriage });
      });
    }
  }
});
