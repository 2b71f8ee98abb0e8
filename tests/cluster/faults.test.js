// Nodes that stand still, that cannot reach each other, or that are none.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import test from 'node:test';
import { ask, open, send } from './http.js';
import { freePort } from './ports.js';
import { Node, until } from './processes.js';
import { Relay } from './relay.js';
import { fresh, nodeArgs, startNodes } from './scene.js';
import { DirectSocket } from './sockjs.js';

const INTERRUPTED = 'c[1002,"Connection interrupted"]';
// By the defaults: silence that is looked at each second is two of them at the most, and to answer takes two more. The rest
// is for the machine.
const GIVEN_UP_MS = 6_000;
// What others may have to wait meanwhile, on a machine that is busy.
const RESPONSIVE_MS = 1_000;

// Measures one round trip after the other, until it is stopped.
class Pulse {
  worst = 0;
  count = 0;

  constructor(node, tag) {
    this.running = this.#run(node, tag);
    this.running.catch(() => {});
  }

  async #run(node, tag) {
    const session = fresh(tag);
    assert.equal((await ask(node, `${session}/xhr`)).text, 'o\n');
    while (!this.isStopped) {
      const began = performance.now();
      assert.equal((await send(node, session, [`${this.count}`])).status, 204);
      assert.equal((await ask(node, `${session}/xhr`)).text, `a["${this.count}"]\n`);
      this.count += 1;
      this.worst = Math.max(this.worst, performance.now() - began);
    }
  }

  async stop() {
    this.isStopped = true;
    await this.running;
    assert.ok(this.count > 10, `${this.count} round trips`);
    assert.ok(this.worst < RESPONSIVE_MS, `a round trip took ${Math.round(this.worst)} ms`);
  }
}

// A poll and a stream of sessions of a tag, which wait at a node.
async function wait(node, tag) {
  const [polled, streamed] = [fresh(tag), fresh(tag)];
  assert.equal((await ask(node, `${polled}/xhr`)).text, 'o\n');
  const stream = await open(node, `${streamed}/xhr_streaming`);
  await stream.until('o\n');
  return { poll: ask(node, `${polled}/xhr`), stream };
}

// That both end with the same frame, in time.
async function areGivenUp({ poll, stream }, began) {
  assert.equal((await poll).text, `${INTERRUPTED}\n`);
  assert.equal(await stream.ended, 'whole');
  assert.ok(stream.text.endsWith(`o\n${INTERRUPTED}\n`), stream.text.slice(-100));
  const after = performance.now() - began;
  assert.ok(after < GIVEN_UP_MS, `given up after ${Math.round(after)} ms`);
  return after;
}

test('an owner that stands still is given up in the stated time, and the edge serves all others', async (t) => {
  const [owner, edge, other] = await startNodes(t);
  const [tag, own, others] = await Promise.all([owner, edge, other].map((node) => node.below('echo')));
  const waiting = await wait(edge, tag);
  const socket = await DirectSocket.open(t, edge, 'echo');
  const pulses = [new Pulse(edge, own), new Pulse(edge, others)];

  const began = performance.now();
  owner.freeze();
  // One that comes later, for the same session or a new one.
  const late = ask(edge, `${fresh(tag)}/xhr`);
  const sent = send(edge, fresh(tag), ['x']);
  const after = await areGivenUp(waiting, began);
  assert.equal((await late).text, `${INTERRUPTED}\n`);
  assert.equal((await sent).status, 502);
  // From now on at once.
  const refused = performance.now();
  assert.equal((await ask(edge, `${fresh(tag)}/xhr`)).text, `${INTERRUPTED}\n`);
  assert.equal((await send(edge, fresh(tag), ['x'])).status, 502);
  assert.ok(performance.now() - refused < RESPONSIVE_MS, 'what comes later is refused at once');
  await socket.echo('still here');
  await Promise.all(pulses.map((pulse) => pulse.stop()));

  owner.thaw();
  await until('the owner to be used again', async () => (await ask(edge, `${fresh(tag)}/xhr`)).text === 'o\n');
  t.diagnostic(`given up after ${Math.round(after)} ms; others waited ${pulses.map(({ worst }) => Math.round(worst))} ms`);
});

test('owner and edge cannot reach each other: lost for those sessions, WebSockets and own sessions go on', async (t) => {
  // All the others reach the owner by this way.
  const port = await freePort();
  const way = await Relay.start(t, port);
  const url = `http://127.0.0.1:${await freePort()}`;
  const owner = await Node.start(t, { port, args: nodeArgs({ url, internal: way.address }) });
  const edge = await Node.start(t, { args: nodeArgs({ url }) });
  const [tag, own] = await Promise.all([owner, edge].map((node) => node.below('echo')));
  const waiting = await wait(edge, tag);
  assert.ok(way.connections > 0, 'the edge uses the internal address');
  const sockets = await Promise.all([owner, edge].map((node) => DirectSocket.open(t, node, 'echo')));
  // The owner's own sessions, at the owner; the edge's, at either, since that way is another one.
  const pulses = [new Pulse(owner, tag), new Pulse(edge, own), new Pulse(owner, own)];

  const began = performance.now();
  way.cut();
  await areGivenUp(waiting, began);
  assert.equal((await send(edge, fresh(tag), ['x'])).status, 502);
  for (const socket of sockets) {
    await socket.echo('still here');
  }
  await Promise.all(pulses.map((pulse) => pulse.stop()));

  way.heal();
  await until('the way to be used again', async () => (await ask(edge, `${fresh(tag)}/xhr`)).text === 'o\n');
});

test('forged, truncated and foreign tags are 404 everywhere, and nothing is called', async (t) => {
  const nodes = await startNodes(t, { count: 2 });
  // A node of another cluster, which would be called by this way.
  const port = await freePort();
  const way = await Relay.start(t, port);
  const args = nodeArgs({ url: 'http://127.0.0.1:9', secret: 'the secret of another cluster, as long', internal: way.address });
  const foreigner = await Node.start(t, { port, args });
  const [prefix, tag] = (await nodes[0].below('echo')).split('~');
  const foreign = (await foreigner.below('echo')).split('~')[1];
  const middle = Math.floor(tag.length / 2);
  const changed = tag[middle] === 'A' ? 'B' : 'A';
  const forged = {
    empty: '',
    invented: 'A'.repeat(tag.length),
    address: `127.0.0.1:${port}`,
    truncated: tag.slice(0, -1),
    longer: `${tag}A`,
    changed: tag.slice(0, middle) + changed + tag.slice(middle + 1),
    foreign,
  };
  const opened = async () => (await Promise.all(nodes.map((node) => node.stats()))).map((one) => one.endpoints.echo.opened);
  for (const [what, text] of Object.entries(forged)) {
    for (const node of nodes) {
      const session = fresh(`${prefix}~${text}`);
      for (const path of ['xhr', 'xhr_streaming']) {
        assert.equal((await ask(node, `${session}/${path}`)).status, 404, `${what}, ${path}`);
      }
      assert.equal((await ask(node, `${session}/eventsource`, { method: 'GET' })).status, 404, what);
      assert.equal((await send(node, session, ['x'])).status, 404, what);
    }
  }
  assert.deepEqual(await opened(), [0, 0]);
  assert.equal(way.connections, 0, 'nobody has called the node of another cluster');
  // What only nodes may say.
  const headers = { 'sockjs-forwarded': 'AAAA' };
  assert.equal((await ask(nodes[0], `${fresh(`${prefix}~${tag}`)}/xhr`, { headers })).status, 404);
  assert.deepEqual(await opened(), [0, 0]);
  const stats = await nodes[0].stats();
  assert.equal(stats.forwarded, 1, 'none but this one had such a header');
});

test('a header of a forwarded request is of no use for another session', async (t) => {
  const port = await freePort();
  const way = await Relay.start(t, port);
  const url = `http://127.0.0.1:${await freePort()}`;
  const owner = await Node.start(t, { port, args: nodeArgs({ url, internal: way.address }) });
  const edge = await Node.start(t, { args: nodeArgs({ url }) });
  const tag = await owner.below('echo');
  const session = fresh(tag);
  assert.equal((await ask(edge, `${session}/xhr`)).text, 'o\n');
  const requests = way.bytes.split('\r\n\r\n').filter((head) => head.includes(session));
  const seen = /^sockjs-forwarded: (\S+)/im.exec(requests[0])[1];
  const replayed = (path) => ask(owner, path, { headers: { 'sockjs-forwarded': seen } });
  assert.equal((await replayed(`${fresh(tag)}/xhr`)).status, 404);
  assert.equal((await replayed(`${session}/xhr_streaming`)).status, 404);
  assert.equal((await replayed(`${session}/xhr?t=1`)).status, 404);
  assert.equal((await owner.stats()).endpoints.echo.opened, 1);
});

test('a tag is no way to make a node call what is none', async (t) => {
  const port = await freePort();
  const url = `http://127.0.0.1:${await freePort()}`;
  const owner = await Node.start(t, { port, args: nodeArgs({ url }) });
  const edge = await Node.start(t, { args: nodeArgs({ url }) });
  const session = fresh(await owner.below('echo'));
  await owner.kill();
  // At its address there is something else now, which answers everything.
  const asked = [];
  const stranger = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.cookie ?? ''}`.trim());
    response.end('o\n');
  });
  t.after(() => {
    stranger.closeAllConnections();
    stranger.close();
  });
  stranger.listen(port, '127.0.0.1');
  await once(stranger, 'listening');
  const headers = { cookie: 'login=for-people' };
  assert.equal((await ask(edge, `${session}/xhr`, { headers })).text, `${INTERRUPTED}\n`);
  assert.equal((await send(edge, session, ['secret'], { headers })).status, 502);
  assert.deepEqual([...new Set(asked)], ['GET /echo/~'], 'it is asked whether it is a node, and nothing else');
});

test('two nodes that take each other’s address for their own get no request, and no session', async (t) => {
  const ports = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${await freePort()}`;
  const nodes = await Promise.all(
    ports.map((port, n) =>
      Node.start(t, { port, args: nodeArgs({ url, internal: `127.0.0.1:${ports[1 - n]}` }) }),
    ),
  );
  const other = await Node.start(t, { args: nodeArgs({ url }) });
  const tags = await Promise.all(nodes.map((node) => node.below('echo')));
  for (const [server, tag] of [[other, tags[0]], [other, tags[1]], [nodes[0], tags[1]], [nodes[1], tags[0]]]) {
    const session = fresh(tag);
    assert.equal((await ask(server, `${session}/xhr`)).text, `${INTERRUPTED}\n`);
    assert.equal((await send(server, session, ['x'])).status, 502);
  }
  for (const node of nodes) {
    const { forwarded, endpoints } = await node.stats();
    assert.equal(endpoints.echo.opened, 0);
    assert.ok(forwarded < 20, `${forwarded} requests`);
  }
});
