// The example `cluster`: three nodes behind nginx without affinity, NATS between them, nodes that are killed and drained,
// and clients that come back to what they have missed.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import SockJS from 'sockjs-client';
import { Example } from './example.js';
import { PATIENCE_MS, TRANSPORTS } from './support.js';

// Of each transport.
const MEMBERS = 3;

async function until(what, probe, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await probe();
    if (found) {
      return found;
    }
    if (Date.now() > end) {
      throw new Error(`${patience / 1000} s have passed while waiting for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// A client that comes back when its session is closed, as the page does.
class Member {
  // What it has been told of the room, over all of its sessions.
  lines = [];
  closures = [];
  rooms = [];
  people = new Map();
  position = null;

  constructor(example, transport, name) {
    this.example = example;
    this.transport = transport;
    this.name = name;
    this.#open();
  }

  // That of its session; null while it is away.
  get node() {
    return this.isThere ? this.rooms.at(-1).node : null;
  }

  #open() {
    const query = new URLSearchParams({ name: this.name });
    if (this.position !== null) {
      query.set('since', this.position);
    }
    const options = { transports: [this.transport], timeout: PATIENCE_MS };
    this.socket = new SockJS(this.example.url(`/chat?${query}`), null, options);
    this.socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    this.socket.onclose = ({ code, reason }) => {
      if (this.isThere) {
        this.closures.push({ code, reason, node: this.node });
      }
      this.isThere = false;
      if (!this.isDone) {
        this.timer = setTimeout(() => this.#open(), 50);
      }
    };
  }

  #take({ type, ...event }) {
    if (type === 'room') {
      this.isThere = true;
      this.rooms.push(event);
      this.position = event.position;
    } else if (type === 'line') {
      this.position = event.position;
      this.lines.push(event.line.text ?? event.line.count);
    } else if (type === 'present') {
      this.people = new Map(event.present.map((one) => [one.user, one]));
    } else if (type === 'changed') {
      event.gone.forEach((user) => this.people.delete(user));
      event.here.forEach((one) => this.people.set(one.user, one));
    } else {
      throw new Error(`${this.name} was told ${type}`);
    }
  }

  // Sends what the chat ignores. Under Node the client does not notice that a stream is cut off, as it does in
  // browsers: it takes a request that fails.
  probe() {
    if (this.isThere) {
      this.socket.send('{}');
    }
  }

  say(text) {
    this.socket.send(JSON.stringify({ type: 'say', text }));
  }

  end() {
    this.isDone = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}

// How many nodes are heard on the bus.
async function heard(example) {
  return (await (await fetch(example.url('/processes'))).json()).heard;
}

async function overview(example) {
  const { processes } = await (await fetch(example.url('/processes'))).json();
  return Object.fromEntries(processes.map((process) => [process.name, process]));
}

async function act(example, name, action) {
  const { status } = await fetch(example.url(`/processes/${name}/${action}`), { method: 'PUT' });
  return status;
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    assert.equal(error.code, 'ESRCH');
    return false;
  }
}

// What a node itself says to whoever asks whether it is ready.
async function ready(example, name) {
  const { address } = (await overview(example))[name];
  const answer = await fetch(`http://${address}/ready`);
  return [answer.status, (await answer.text()).trim()];
}

const pidsOf = (processes) => Object.values(processes).map(({ pid }) => pid);

async function start(t) {
  const example = await Example.start('example-cluster', t);
  // Its parts end by themselves, however it ends.
  t.after(() => example.ended);
  return example;
}

test('clients over each transport outlive nodes that are killed and drained', async (t) => {
  const example = await start(t);
  const members = TRANSPORTS.flatMap((transport) =>
    Array.from({ length: MEMBERS }, (_, n) => new Member(example, transport, `${transport} ${n}`)),
  );
  t.after(() => members.forEach((member) => member.end()));
  const areThere = () => members.every((member) => member.isThere);
  await until('all members', areThere);
  const at = (node) => members.filter((member) => member.node === node);

  // Sessions of all nodes, and each node is told of all of them.
  await until('presence', () => members.every(({ people }) => people.size === members.length));
  for (const { people } of members) {
    for (const member of members) {
      const { node, transport } = people.get(member.name).tabs[0].data;
      assert.deepEqual([node, transport], [member.node, member.transport]);
    }
  }
  const used = new Set(members.map(({ node }) => node));
  assert.deepEqual([...used].sort(), ['a', 'b', 'c'], `requests go to the nodes in turn: ${example.output}`);
  // One WebSocket speaks while other nodes than its own come and go.
  const speaker = members.find(({ transport }) => transport === 'websocket');
  const [first, second] = [...used].filter((node) => node !== speaker.node);

  // What one says reaches all, whatever node they are at, once and in one order.
  const said = [];
  const sayAll = async (word) => {
    for (const member of members) {
      said.push(`${word} of ${member.name}`);
      member.say(said.at(-1));
    }
    await until(`what all say: ${word}`, () =>
      members.every(({ lines }) => said.every((text) => lines.includes(text))),
    );
  };
  await sayAll('hello');

  // A node is killed. All of its sessions close and come back elsewhere; of the others, those whose request
  // was at the killed node. Meanwhile something is said.
  const [killed, others] = [at(first), members.filter(({ node }) => node !== first)];
  const before = await overview(example);
  assert.equal(await act(example, first, 'kill'), 204);
  const killedAt = Date.now();
  for (const text of ['one', 'two', 'three']) {
    said.push(text);
    speaker.say(text);
  }
  const streaming = members.filter(({ transport }) => transport === 'xhr-streaming');
  const probing = setInterval(() => streaming.forEach((member) => member.probe()), 100);
  t.after(() => clearInterval(probing));
  await until('the end of the killed sessions', () => killed.every(({ closures }) => closures.length > 0), 5_000);
  t.diagnostic(`${killed.length} sessions closed within ${Date.now() - killedAt} ms of the kill`);
  for (const { closures, transport } of killed) {
    assert.ok([1002, 1006].includes(closures[0].code), `${transport}: ${JSON.stringify(closures)}`);
  }
  for (const { closures, transport } of others.filter(({ transport }) => transport === 'websocket')) {
    assert.deepEqual(closures, [], `${transport} at another node`);
  }
  await until('all members again', areThere);
  assert.deepEqual(at(first), []);
  assert.equal(isAlive(before[first].pid), false);
  assert.equal((await overview(example))[first].how, 'killed');
  for (const member of killed) {
    assert.equal(member.rooms.at(-1).begins_anew, false, `${member.name} has got what it missed`);
  }
  // Nobody is there twice any more: neither at the killed node, nor by a session whose answer that node has taken along.
  const isWhere = ({ people }, { name, node }) =>
    people.get(name)?.tabs.length === 1 && people.get(name).tabs[0].data.node === node;
  await until('presence as it is', () => members.every((told) => members.every((one) => isWhere(told, one))));
  await sayAll('after the kill');

  // It is started again, and another one drains. Its own sessions are told so, and come back elsewhere.
  assert.equal(await act(example, first, 'start'), 204);
  await until('its start', async () => (await overview(example))[first].state === 'running');
  const drained = at(second);
  const marks = new Map(members.map((member) => [member, member.closures.length]));
  const newClosures = (member) => member.closures.slice(marks.get(member));
  assert.ok(drained.length > 0);
  assert.equal(await act(example, second, 'drain'), 204);
  await until('the end of the drained sessions', () => drained.every((member) => newClosures(member).length > 0));
  for (const member of drained) {
    const [{ code, reason }] = newClosures(member);
    assert.deepEqual([code, reason], [1001, 'Going away'], member.name);
  }
  const { how } = await until('the end of the drained node', async () => {
    const node = (await overview(example))[second];
    return node.state === 'ended' && node;
  });
  assert.match(how, new RegExp(`^drained: ${drained.length} sessions closed, 0 lost with 0 messages, 0 handlers`));
  // It has said goodbye: nobody waits until it counts as dead, after three seconds.
  await until('its goodbye', async () => (await heard(example)) === 2, 1_500);
  await until('all members again', areThere);
  await sayAll('after the drain');
  // No session of another node has ended, though requests of all of them came in at the one that drained.
  for (const member of members.filter((member) => !drained.includes(member))) {
    assert.deepEqual(newClosures(member), [], member.name);
  }

  // Each has got each line once, all in one order, and no number of the counter is missing.
  const texts = (lines) => lines.filter((line) => typeof line === 'string');
  for (const { name, lines } of members) {
    assert.deepEqual(texts(lines), texts(members[0].lines), name);
    const counts = lines.filter((line) => typeof line === 'number');
    assert.deepEqual(counts, counts.map((_, n) => counts[0] + n), name);
    assert.ok(counts.length > 2, name);
  }
  assert.deepEqual(texts(members[0].lines).sort(), said.sort());

  // Nothing is left of it.
  const pids = [example.process.pid, ...pidsOf(await overview(example)).filter(Boolean)];
  assert.equal(pids.length, 5);
  members.forEach((member) => member.end());
  await example.stop();
  await until('the end of all processes', () => !pids.some(isAlive));
});

test('the buttons of the page do what they say, and no more', async (t) => {
  const example = await start(t);
  assert.match(await (await fetch(example.url('/'))).text(), /<title>A chat on three nodes<\/title>/);
  for (const [name, action, status] of [
    ['d', 'kill', 404],
    ['nginx', 'kill', 404],
    ['a', 'pardon', 404],
    ['a', 'start', 409],
  ]) {
    assert.equal(await act(example, name, action), status, `${action} ${name}`);
  }
  // A form of another page could ask for that.
  const posted = await fetch(example.url('/processes/a/kill'), { method: 'POST' });
  assert.equal(posted.status, 405);

  // The bus: who is connected stays so, and lines are refused, until it is back with what it has kept.
  const ada = new Member(example, 'xhr-streaming', 'Ada');
  t.after(() => ada.end());
  await until('a number of the counter', () => ada.lines.length > 0);
  assert.deepEqual(await ready(example, 'a'), [200, 'ready']);
  assert.equal(await act(example, 'nats', 'kill'), 204);
  await until('the end of the bus', async () => (await overview(example)).nats.state === 'ended');
  // All nodes are without the bus: none is out of service for that.
  const degraded = await until('a node that says so', async () => {
    const [status, text] = await ready(example, 'a');
    return text.startsWith('degraded: no bus') && status;
  });
  assert.equal(degraded, 200);
  assert.equal(await act(example, 'nats', 'start'), 204);
  const count = ada.lines.length;
  await until('the counter to go on', () => ada.lines.length > count + 1);
  await until('a node that is ready', async () => (await ready(example, 'a'))[1] === 'ready');
  assert.deepEqual(ada.lines, ada.lines.map((_, n) => ada.lines[0] + n));
  assert.deepEqual(ada.closures, []);
  ada.end();
});

test('a node that drains gets no new clients', async (t) => {
  const example = await start(t);
  // A client that opens a session and does not come back: its node waits for it.
  const info = async () => {
    const answer = await fetch(example.url('/chat/info'));
    assert.equal(answer.status, 200);
    return { ...(await answer.json()), node: answer.headers.get('x-edge') };
  };
  const { base_url: base, node } = await info();
  const opened = await fetch(`${base}/000/silent/xhr?name=Silent`, { method: 'POST' });
  assert.equal(await opened.text(), 'o\n');
  assert.equal(await act(example, node, 'drain'), 204);
  const state = async () => (await overview(example))[node].state;
  await until('the drain', async () => (await state()) === 'draining');
  assert.deepEqual(await ready(example, node), [503, 'draining']);
  const answers = [];
  while (answers.length < 30) {
    answers.push((await info()).node);
  }
  assert.equal(await state(), 'draining');
  const others = ['a', 'b', 'c'].filter((name) => name !== node);
  assert.deepEqual([...new Set(answers)].sort(), others);
});

test('nothing stays behind if the example is killed', async (t) => {
  const example = await start(t);
  const pids = pidsOf(await overview(example));
  assert.equal(pids.filter(isAlive).length, 5);
  const scratch = path.join(tmpdir(), `axum-sockjs-cluster-${example.process.pid}`);
  assert.ok(existsSync(scratch));
  example.process.kill('SIGKILL');
  await until('the end of all processes', () => !pids.some(isAlive));
  await until('the end of what they have written', () => !existsSync(scratch));
});

test('nothing stays behind if the example is asked twice to end', async (t) => {
  const example = await start(t);
  const pids = pidsOf(await overview(example));
  // A client that does not come back: its node would wait for it.
  const { base_url: base } = await (await fetch(example.url('/chat/info'))).json();
  await (await fetch(`${base}/000/silent/xhr?name=Silent`, { method: 'POST' })).text();
  example.process.kill('SIGTERM');
  await until('the drain', async () => {
    const states = Object.values(await overview(example)).map(({ state }) => state);
    return states.includes('draining') && states.includes('ended');
  });
  example.process.kill('SIGTERM');
  await until('the end of all processes', () => !pids.some(isAlive), 4_000);
});
