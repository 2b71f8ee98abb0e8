// A node is killed: its sessions end at once for their clients, and nothing of it stays at the others.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ask, open, send } from './http.js';
import { pause, until } from './processes.js';
import { fresh, openSessions, startCluster, startNodes } from './scene.js';
import { Client, OPENING_MS, OVER_HTTP, SockJS, TRANSPORTS } from './sockjs.js';

// "Within a second of their next request": each of these has one waiting.
const NOTICE_MS = 1_000;
const INTERRUPTED = 'c[1002,"Connection interrupted"]';
// Longer than what is kept for a node that is lost: see the guide.
const FORGOTTEN_MS = 40_000;

test('the owner is killed: its clients get a close event within a second, the others go on', async (t) => {
  const { nodes, front } = await startCluster(t);
  const tags = await Promise.all(nodes.map((node) => node.below('echo')));
  // Through the edges that stay: whose edge dies is another matter.
  const [owner, ...edges] = nodes;
  const clients = await Promise.all(
    TRANSPORTS.flatMap((transport) =>
      nodes.map(async (node) => {
        const client = await Client.open(t, `${front.url}/echo`, transport);
        await client.echo('before');
        return client;
      }),
    ),
  );
  const isOf = (node) => (client) => client.base === tags[nodes.indexOf(node)];
  const lost = clients.filter((client) => client.transport !== 'websocket' && isOf(owner)(client));
  assert.ok(lost.length > 0, 'some sessions are those of the first node');
  // What waits at the edges that stay, so that each knows at once.
  const streams = await Promise.all(
    edges.map(async (edge) => {
      const stream = await open(edge, `${fresh(tags[0])}/xhr_streaming`);
      await stream.until('o\n');
      return stream;
    }),
  );

  const killed = performance.now();
  await owner.kill();
  for (const stream of streams) {
    assert.equal(await stream.ended, 'whole', 'the stream ends with a frame');
    assert.ok(stream.text.endsWith(`o\n${INTERRUPTED}\n`), stream.text.slice(-100));
  }
  for (const client of lost) {
    const { at } = await client.closed();
    assert.ok(at - killed < NOTICE_MS, `${client.label} was told after ${at - killed} ms`);
  }
  // Sessions of the others go on, or end visibly, where they came by the one that was killed.
  for (const client of clients.filter((one) => !lost.includes(one))) {
    await until(`an end or an answer of ${client.label}`, async () => {
      if (client.closure === null && !client.received.includes('after')) {
        client.socket.send('after');
        await pause(100);
      }
      return client.closure !== null || client.received.includes('after');
    });
  }
  for (const edge of edges) {
    for (const path of ['xhr', 'xhr_streaming']) {
      const began = performance.now();
      const answer = await ask(edge, `${fresh(tags[0])}/${path}`);
      assert.ok(answer.text.endsWith(`${INTERRUPTED}\n`), answer.text.slice(-100));
      assert.ok(performance.now() - began < NOTICE_MS, 'a second for a request that comes later, too');
    }
    assert.equal((await send(edge, fresh(tags[0]), ['x'])).status, 502);
    // Its own sessions, and those of the other one.
    for (const tag of tags.slice(1)) {
      const session = fresh(tag);
      assert.equal((await ask(edge, `${session}/xhr`)).text, 'o\n');
      assert.equal((await send(edge, session, ['x'])).status, 204);
      assert.equal((await ask(edge, `${session}/xhr`)).text, 'a["x"]\n');
    }
  }
  const again = await Client.open(t, `${front.url}/echo`, 'xhr-polling');
  await again.echo('again');
});

// Sends numbered messages without end, some at a time, and opens a new session when one closes. What has not come
// back by then is sent again: that is all that a client needs to know.
class Sender {
  acknowledged = 0;
  closures = 0;
  error = null;

  constructor(t, url, transport, name) {
    Object.assign(this, { url, transport, name });
    this.#open();
    t.after(() => this.end());
  }

  #open() {
    const socket = new SockJS(this.url, null, { transports: [this.transport], timeout: OPENING_MS });
    this.socket = socket;
    let sent = this.acknowledged;
    const more = () => {
      while (sent < this.acknowledged + 10) {
        socket.send(`${this.name} ${sent}`);
        sent += 1;
      }
    };
    let opened = false;
    socket.onopen = () => {
      opened = true;
      more();
    };
    socket.onmessage = ({ data }) => {
      // In order, without a gap and without one twice.
      if (data !== `${this.name} ${this.acknowledged}`) {
        this.error ??= new Error(`${data} came where ${this.name} ${this.acknowledged} was due`);
      }
      this.acknowledged += 1;
      more();
    };
    socket.onclose = () => {
      this.closures += opened ? 1 : 0;
      this.timer = this.done ? undefined : setTimeout(() => this.#open(), 50);
    };
  }

  async through(count) {
    await until(`${count} messages of ${this.name}, which has ${this.acknowledged}`, () => {
      if (this.error) {
        return this.error;
      }
      return this.acknowledged >= count;
    });
    if (this.error) {
      throw this.error;
    }
  }

  end() {
    this.done = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}

test('owners are killed at any moment: each message comes once and in order, or the session visibly ends', async (t) => {
  const { nodes, front } = await startCluster(t);
  const senders = TRANSPORTS.flatMap((transport) =>
    [1, 2, 3].map((n) => new Sender(t, `${front.url}/echo`, transport, `${transport}-${n}`)),
  );
  const all = (more) => Promise.all(senders.map((sender) => sender.through(sender.acknowledged + more)));
  await all(20);
  for (const node of nodes) {
    await node.kill();
    await all(20);
    // At its address again, where it knows none of its sessions.
    await node.start();
    await all(20);
  }
  const closures = senders.reduce((sum, { closures }) => sum + closures, 0);
  assert.ok(closures > 0, 'the kills came under load');
  t.diagnostic(`${closures} sessions ended, of ${senders.length} clients`);
});

test('nothing stays at an edge of a node that was killed: no task, no connection, no file', async (t) => {
  const nodes = await startNodes(t);
  const [owner, ...edges] = nodes;
  const tag = await owner.below('echo');
  const usage = async (edge) => ({ tasks: (await edge.stats()).tasks, files: edge.files() });
  const before = await Promise.all(edges.map(usage));
  const waiting = await Promise.all(
    edges.flatMap((edge) =>
      Array.from({ length: 50 }, async (_, n) => {
        const session = fresh(tag);
        if (n % 2 === 0) {
          const stream = await open(edge, `${session}/xhr_streaming`);
          await stream.until('o\n');
          return { ended: stream.ended };
        }
        assert.equal((await ask(edge, `${session}/xhr`)).text, 'o\n');
        return { ended: ask(edge, `${session}/xhr`) };
      }),
    ),
  );
  for (const [n, edge] of edges.entries()) {
    const now = await usage(edge);
    assert.ok(now.files > before[n].files + 50 && now.tasks > before[n].tasks, JSON.stringify(now));
  }
  await owner.kill();
  await Promise.all(waiting.map(({ ended }) => ended));
  for (const [n, edge] of edges.entries()) {
    let now;
    await until(
      `${JSON.stringify(before[n])} again`,
      async () => {
        now = await usage(edge);
        return now.tasks <= before[n].tasks && now.files <= before[n].files;
      },
      FORGOTTEN_MS,
    ).catch((error) => {
      throw new Error(`${error.message}, not ${JSON.stringify(now)}`);
    });
  }
});

test('an owner that is started again at its address has lost its sessions, and never opens one of them anew', async (t) => {
  const nodes = await startNodes(t);
  const [owner, edge] = nodes;
  const old = await owner.below('echo');
  const session = fresh(old);
  assert.equal((await ask(edge, `${session}/xhr`)).text, 'o\n');
  await owner.kill();
  await owner.start();
  // By the owner itself and through the others; the session that was, and any other one of that tag.
  for (const server of nodes) {
    for (const path of [session, fresh(old)]) {
      assert.equal((await send(server, path, ['x'])).status, 404);
      assert.equal((await ask(server, `${path}/xhr`)).text, `${INTERRUPTED}\n`);
      const events = await ask(server, `${path}/eventsource`, { method: 'GET' });
      assert.equal(events.text, `\r\ndata: ${INTERRUPTED}\r\n\r\n`);
    }
  }
  assert.equal((await owner.stats()).endpoints.echo.opened, 0);
  const now = await owner.below('echo');
  assert.notEqual(now, old);
  assert.equal((await ask(edge, `${fresh(now)}/xhr`)).text, 'o\n');
});

test('the edge is killed: the owner sees a lost connection, as from a client', async (t) => {
  const [owner, edge] = await startNodes(t);
  const tag = await owner.below('echo');
  for (const path of OVER_HTTP.map((name) => name.replace('-', '_').replace('xhr_polling', 'xhr'))) {
    const session = fresh(tag);
    const method = path === 'eventsource' ? 'GET' : 'POST';
    if (path === 'xhr') {
      assert.equal((await ask(edge, `${session}/${path}`)).text, 'o\n');
      open(edge, `${session}/${path}`).catch(() => {});
    } else {
      const stream = await open(edge, `${session}/${path}`, { method });
      await stream.until('o');
    }
  }
  // The poll, too.
  await until('all to wait', async () => (await owner.stats()).endpoints.echo.attached === OVER_HTTP.length);
  await edge.kill();
  await openSessions(owner, 'echo', 0);
  assert.deepEqual((await owner.stats()).endpoints.echo.closed, { 'connection-lost': OVER_HTTP.length });
});
