// What an application knows of a client is the same on every node, whichever the request has come by.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ask, send } from './http.js';
import { BALANCERS, fresh, openSessions, startCluster, startNodes } from './scene.js';
import { Client, TRANSPORTS } from './sockjs.js';

const ADA = { cookie: 'theme=dark; login=for-people' };
const ROBOT = '?token=for-robots';

for (const program of BALANCERS) {
  test(`${program}: a token in the query stays with the session, over every transport`, async (t) => {
    const { front } = await startCluster(t, { program });
    await Promise.all(
      TRANSPORTS.map(async (transport) => {
        const client = await Client.open(t, `${front.url}/private${ROBOT}`, transport);
        await client.until('the greeting', () => client.received.length > 0);
        const hello = { user: 'R2', address: '127.0.0.1', client: '127.0.0.1' };
        assert.deepEqual(JSON.parse(client.received[0]), hello, client.label);
        for (let n = 0; n < 20; n += 1) {
          await client.echo(`${transport} ${n}`);
        }
        assert.equal(client.received.length, 21, client.label);
      }),
    );
    // EventSource under Node would ask again without end.
    for (const transport of TRANSPORTS.filter((name) => name !== 'eventsource')) {
      const stranger = new Client(t, `${front.url}/private?token=wrong`, transport);
      await stranger.closed();
      assert.equal(stranger.opened, 0, stranger.label);
    }
  });
}

// What is compared of two answers.
function essence({ status, headers, text }) {
  const { 'content-type': type, 'cache-control': cache, 'set-cookie': cookie, vary, 'retry-after': retry } = headers;
  return { status, text, type, cache, cookie, vary, retry };
}

// A session and who asks for what, one after the other.
const STEPS = [
  ['nobody opens', '/xhr', {}],
  ['a wrong token opens', '/xhr?token=wrong', {}],
  ['Ada opens by her cookie', '/xhr', { headers: ADA }],
  ['Ada polls', '/xhr', { headers: ADA }],
  ['nobody sends', '/xhr_send', { body: '["x"]' }],
  ['the robot sends', `/xhr_send${ROBOT}`, { body: '["x"]' }],
  ['the robot polls', `/xhr${ROBOT}`, {}],
  ['Ada sends', '/xhr_send', { headers: ADA, body: '["hello"]' }],
  ['Ada polls again', '/xhr', { headers: ADA }],
  ['Ada sends what is no JSON', '/xhr_send', { headers: ADA, body: 'hello' }],
  ['Ada sends nothing', '/xhr_send', { headers: ADA }],
  ['Ada asks for a script without a callback', '/jsonp', { method: 'GET', headers: ADA }],
  ['Ada sends by another method', '/xhr_send', { method: 'GET', headers: ADA }],
];

test('cookies and identity: every node gives the answers of the owner', async (t) => {
  const { nodes, front } = await startCluster(t);
  const below = await nodes[0].below('private');
  const answers = async (server) => {
    const session = fresh(below);
    const all = {};
    for (const [what, path, options] of STEPS) {
      all[what] = essence(await ask(server, `${session}${path}`, options));
    }
    return all;
  };
  const [owner, ...others] = [...nodes, front];
  const expected = await answers(owner);
  const statuses = STEPS.map(([what]) => expected[what].status);
  assert.deepEqual(statuses, [401, 401, 200, 200, 401, 404, 404, 204, 200, 500, 500, 500, 405]);
  assert.equal(expected['Ada polls'].text.startsWith('a["{\\"address\\":\\"127.0.0.1\\"'), true);
  assert.equal(expected['Ada polls again'].text, 'a["hello"]\n');
  for (const other of others) {
    assert.deepEqual(await answers(other), expected);
  }
  // Each of the sessions was one of the owner's.
  assert.equal((await nodes[0].stats()).endpoints.private.opened, others.length + 1);
});

test('the client’s address is the client’s, directly and through a balancer', async (t) => {
  const { nodes, front } = await startCluster(t);
  const below = await nodes[0].below('private');
  for (const [server, address] of [[nodes[0], '127.0.0.2'], [nodes[1], '127.0.0.2'], [front, '127.0.0.1']]) {
    const session = fresh(below);
    const from = { from: '127.0.0.2' };
    assert.equal((await ask(server, `${session}/xhr${ROBOT}`, from)).text, 'o\n');
    const { text } = await ask(server, `${session}/xhr${ROBOT}`, from);
    assert.deepEqual(JSON.parse(JSON.parse(text.slice(1))[0]), { user: 'R2', address, client: '127.0.0.2' });
  }
});

test('max_sessions_per_peer counts the sessions of a client, whichever way they have come', async (t) => {
  const { nodes, front } = await startCluster(t);
  const below = await nodes[0].below('limited');
  const opens = async (server, from) => {
    const { status, headers, text } = await ask(server, `${fresh(below)}/xhr`, { from });
    return [status, status === 200 ? text : headers['retry-after']];
  };
  assert.deepEqual(await opens(nodes[1], '127.0.0.2'), [200, 'o\n']);
  assert.deepEqual(await opens(front, '127.0.0.2'), [200, 'o\n']);
  for (const server of [...nodes, front, front, front]) {
    assert.deepEqual(await opens(server, '127.0.0.2'), [429, '5']);
  }
  assert.deepEqual(await opens(front, '127.0.0.3'), [200, 'o\n']);
  await openSessions(nodes[0], 'limited', 3);
});

test('a message is sent through one node and received through another', async (t) => {
  const nodes = await startNodes(t);
  const session = fresh(await nodes[0].below('echo'));
  assert.equal((await ask(nodes[1], `${session}/xhr`)).text, 'o\n');
  assert.equal((await send(nodes[2], session, ['hello'])).status, 204);
  assert.equal((await ask(nodes[1], `${session}/xhr`)).text, 'a["hello"]\n');
});
