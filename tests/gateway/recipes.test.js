// The recipes of crates/gateway/recipes, each started as it is written. That of RabbitMQ: rabbitmq.test.js.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import test, { before } from 'node:test';
import { BALANCERS } from '../cluster/scene.js';
import { freePort } from '../cluster/ports.js';
import { scratch, until } from '../cluster/processes.js';
import { exchange, OVER_HTTP, WebSocket } from '../cluster/sockjs.js';
import { ReverseProxy, makeCertificate, trustUnderNode } from '../proxies/proxies.js';
import { CARRIAGES, RAW, closureOf, openAll, openClient } from './clients.js';
import { Cooked, Gateway } from './programs.js';
import { cook, recipe } from './recipes.js';

before(trustUnderNode);

async function startBackend(t, name, port) {
  const own = await freePort();
  return Cooked.start(t, cook(name, [[port, own]]), own);
}

const python = (t) => startBackend(t, 'python/backend.py', '9000');
const node = (t) => startBackend(t, 'node/backend.mjs', '9001');

async function startGateway(t, name, changes) {
  const port = await freePort();
  return Gateway.startWith(t, cook(name, [['8080', port], ...changes]), port);
}

// What one says, all hear.
async function chat(t, url, carriages = CARRIAGES) {
  const room = await openAll(t, url, carriages);
  // Each is in the room when it has heard itself.
  for (const [n, client] of room.entries()) {
    client.socket.send(`here ${n}`);
    await client.until('its own words', () => client.received.includes(`here ${n}`));
  }
  room.forEach((client, n) => client.socket.send(`hello of ${n}`));
  const all = room.map((_, n) => `hello of ${n}`);
  for (const client of room) {
    await client.until('all words', () => all.every((word) => client.received.includes(word)));
  }
  return room;
}

test('python', async (t) => {
  const backend = await python(t);
  const gateway = await startGateway(t, 'python/gateway.toml', [['9000', backend.port]]);
  const room = await chat(t, `${gateway.url}/chat`);
  // "its clients get a close event at once, and connect again"
  await backend.kill();
  await Promise.all(room.map((client) => client.closed(1_000)));
  await backend.start();
  await until('a client again', () => openClient(t, `${gateway.url}/chat`, RAW).then(() => true));
});

test('node', async (t) => {
  const backend = await node(t);
  const gateway = await startGateway(t, 'node/gateway.toml', [['9001', backend.port]]);
  const [raw, ...others] = await chat(t, `${gateway.url}/chat`);
  assert.match(backend.output, /^127\.0\.0\.1 has come/);
  const bytes = Buffer.from([0, 255, 128]);
  raw.socket.send(bytes);
  await raw.until('bytes', () => raw.received.some((data) => bytes.equals(Buffer.from(data))));
  for (const client of others) {
    await client.until('base64', () => client.received.includes(bytes.toString('base64')));
  }
});

test('nginx, with TLS', async (t) => {
  const backend = await node(t);
  const gateway = await startGateway(t, 'nginx/gateway.toml', [['9001', backend.port]]);
  const { certificate, key } = await makeCertificate();
  const port = await freePort();
  const text = recipe('nginx/nginx.conf', [
    ['127.0.0.1:8080', `127.0.0.1:${gateway.port}`],
    ['listen 443', `listen 127.0.0.1:${port}`],
    ['/etc/ssl/chat.example.crt', certificate],
    ['/etc/ssl/chat.example.key', key],
  ]);
  const front = await ReverseProxy.start({ program: 'nginx', text, tls: true, port }, []);
  t.after(() => front.stop());
  // A browser's: sockjs-client's WebSocket takes no certificate of a test under Node.
  await chat(t, `${front.url}/chat`, OVER_HTTP);
  const open = (headers) =>
    new Promise((resolve) => {
      const url = `wss://127.0.0.1:${port}/chat/websocket`;
      const socket = new WebSocket(url, { rejectUnauthorized: false, headers });
      t.after(() => socket.terminate());
      socket.on('open', () => resolve(101));
      socket.on('unexpected-response', (_, { statusCode }) => resolve(statusCode));
      socket.on('error', ({ message }) => resolve(message));
    });
  // The page's own origin is the one that nginx has, and the client's address is nginx's word.
  assert.equal(await open({ Origin: `https://127.0.0.1:${port}` }), 101);
  assert.equal(await open({ Origin: `http://127.0.0.1:${gateway.port}` }), 403);
  assert.equal(await open({ 'X-Forwarded-For': '203.0.113.7', Forwarded: 'for=203.0.113.7' }), 101);
  await until('those who have come', () => backend.output.split('has come').length > OVER_HTTP.length + 2);
  assert.doesNotMatch(backend.output, /203\.0\.113/);
});

async function startTwoGateways(t, program) {
  const backend = await python(t);
  const port = await freePort();
  const secret = `${scratch()}/secret`;
  writeFileSync(secret, randomBytes(32).toString('hex'));
  const [own, clusters] = [[await freePort(), await freePort()], [await freePort(), await freePort()]];
  const gateways = await Promise.all(
    ['a', 'b'].map((name, n) =>
      Gateway.startWith(
        t,
        cook(`two-gateways/gateway-${name}.toml`, [
          [`808${n + 1}`, own[n]],
          [`818${n + 1}`, clusters[n]],
          ['9000', backend.port],
          ['/etc/sockjs-gateway/cluster-secret', secret],
          ['http://chat.example', `http://127.0.0.1:${port}`],
        ]),
        own[n],
      ),
    ),
  );
  const [file, listen] = program === 'nginx' ? ['nginx.conf', 'listen 80'] : ['haproxy.cfg', 'bind 0.0.0.0:80'];
  const text = recipe(`two-gateways/${file}`, [
    ['127.0.0.1:8081', `127.0.0.1:${own[0]}`],
    ['127.0.0.1:8082', `127.0.0.1:${own[1]}`],
    [listen, `${listen.split(' ')[0]} 127.0.0.1:${port}`],
  ]);
  const front = await ReverseProxy.start({ program, text, port }, []);
  t.after(() => front.stop());
  return { backend, gateways, front };
}

for (const program of BALANCERS) {
  test(`two gateways behind ${program}, round robin: 1,000 messages each way over each transport, once and in order`, async (t) => {
    const { front } = await startTwoGateways(t, program);
    // One after the other: what one says, all would hear.
    for (const carriage of CARRIAGES) {
      const client = await openClient(t, `${front.url}/chat`, carriage);
      await exchange(client, 1000, carriage);
      client.socket.close();
      await client.closed();
    }
    await chat(t, `${front.url}/chat`);
  });
}

test('two gateways: one is stopped: its clients are told through the other, whose sessions go on', async (t) => {
  const { front, gateways } = await startTwoGateways(t, 'haproxy');
  const clients = (await Promise.all([1, 2, 3, 4].map(() => openAll(t, `${front.url}/chat`, OVER_HTTP)))).flat();
  const [code] = await gateways[0].terminate();
  assert.equal(code, 0, gateways[0].output);
  const told = clients.filter(({ closure }) => closure !== null);
  for (const client of told) {
    const { code: closed } = await closureOf(client);
    assert.ok(closed >= 1000, `${closed}`);
  }
  const going = clients.filter(({ closure }) => closure === null);
  assert.ok(told.length > 0 && going.length > 0, `${told.length} were told, ${going.length} go on`);
  going[0].socket.send('still here');
  for (const client of going) {
    await client.until('the words of another', () => client.received.includes('still here'));
  }
});
