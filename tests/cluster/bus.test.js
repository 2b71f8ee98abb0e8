// NATS and Redis are killed, stopped and started again under nodes that go on.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ask } from './http.js';
import { Member } from './member.js';
import { Engine, until } from './processes.js';
import { startNodes } from './scene.js';

// A silent engine is lost after twice this time, in which a busy machine answers.
const PING_MS = 1_000;

// A room, with two members on one node and one on another.
class Room {
  constructor(t, [one, other], key) {
    const at = (node, name) => new Member(t, `http://127.0.0.1:${node.port}`, 'websocket', key, name);
    [this.ada, this.bob, this.eve] = [at(one, 'ada'), at(one, 'bob'), at(other, 'eve')];
  }

  joined() {
    return Promise.all([this.ada, this.bob, this.eve].map((member) => member.joined()));
  }

  // Ada says a line, which is to reach these.
  async reaches(...members) {
    const number = this.ada.say();
    for (const member of members) {
      await until(`line ${number} at ${member.name}`, () => member.of('ada').includes(number));
    }
    return number;
  }

  // Ada says something until the other node hears it.
  async flowsAgain() {
    await until('lines to flow again', () => {
      this.ada.say();
      return this.eve.of('ada').at(-1) > this.ada.sent - 10 && this.eve.of('ada').length > this.heard;
    });
    await this.reaches(this.ada, this.bob, this.eve);
  }

  // Each has got each line at most once and in order.
  check() {
    for (const member of [this.ada, this.bob, this.eve]) {
      const numbers = member.of('ada');
      assert.ok(numbers.every((number, n) => n === 0 || number > numbers[n - 1]), `${member.name}: ${numbers}`);
    }
  }
}

async function start(t, kind) {
  const engine = await Engine.start(t, kind);
  const nodes = await startNodes(t, { count: 2, bus: engine, more: ['--ping-interval', `${PING_MS}`] });
  const [room, kept] = [new Room(t, nodes, 'lobby'), new Room(t, nodes, 'kept-lobby')];
  await Promise.all([room.joined(), kept.joined()]);
  for (const one of [room, kept]) {
    await one.reaches(one.ada, one.bob, one.eve);
  }
  const bus = async (node) => (await node.stats()).bus;
  const all = (status) =>
    until(`both nodes to be ${status}`, async () => {
      const states = await Promise.all(nodes.map(bus));
      return states.every((one) => one.status === status);
    });
  const mark = () => {
    for (const one of [room, kept]) {
      one.heard = one.eve.of('ada').length;
    }
  };
  return { engine, nodes, room, kept, bus, all, mark };
}

// Without the engine, which both nodes know: those of one node go on, and who speaks is told.
async function goesOnWithout({ nodes, room, kept, bus }) {
  const { refused } = await bus(nodes[0]);
  const [told, heard] = [room.ada.unsent.length, room.eve.lines.length];
  await room.reaches(room.ada, room.bob);
  await until('the publisher to be told', () => room.ada.unsent.length > told);
  assert.equal(room.ada.unsent.at(-1), 'Disconnected');
  assert.equal(room.eve.lines.length, heard);
  assert.ok((await bus(nodes[0])).refused > refused, 'it is counted');
  // A line without a position would be a hole for whoever comes back.
  const lines = kept.bob.lines.length;
  kept.ada.say();
  await until('the refusal', () => kept.ada.unsent.length > 0);
  assert.equal(kept.ada.unsent.at(-1), 'Bus(Disconnected)');
  assert.equal(kept.bob.lines.length, lines);
}

for (const kind of Engine.kinds) {
  test(`${kind} is killed and started again: local delivery goes on, publishers learn, messages flow again`, async (t) => {
    const scene = await start(t, kind);
    const { engine, nodes, room, kept, all, mark } = scene;
    await engine.kill();
    await all('reconnecting');
    await goesOnWithout(scene);
    mark();
    await engine.start();
    await all('connected');
    await room.flowsAgain();
    await kept.flowsAgain();
    for (const one of [room, kept]) {
      one.check();
    }
    // Of the room with history nobody has missed a line that was taken.
    assert.deepEqual(kept.eve.lines, kept.ada.lines);
    assert.deepEqual(kept.eve.positions, kept.ada.positions);
    for (const { closures } of [room.ada, room.bob, room.eve, kept.ada, kept.bob, kept.eve]) {
      assert.deepEqual(closures, []);
    }
    // The members on the other node are known again.
    await until('one room of each kind', async () => {
      const { text } = await ask(nodes[1], '/presence', { method: 'GET' });
      return text === '{"3":2}';
    });
  });

  test(`${kind} stands still: it is noticed, and what was lost on the way is counted as a gap`, async (t) => {
    const scene = await start(t, kind);
    const { engine, nodes, room, bus, all, mark } = scene;
    const { missed } = await bus(nodes[1]);
    engine.freeze();
    // Nobody can know yet.
    for (let n = 0; n < 10; n += 1) {
      await room.reaches(room.ada, room.bob);
    }
    assert.deepEqual(room.ada.unsent, []);
    await all('reconnecting');
    await goesOnWithout(scene);
    mark();
    // What it has taken is lost with it.
    await engine.kill();
    await engine.start();
    await all('connected');
    await room.flowsAgain();
    room.check();
    await until('the gap to be counted', async () => (await bus(nodes[1])).missed >= missed + 10);
  });

  test(`${kind} stands still for a while: messages flow again when it goes on`, async (t) => {
    const scene = await start(t, kind);
    const { engine, room, kept, all, mark } = scene;
    engine.freeze();
    await all('reconnecting');
    await goesOnWithout(scene);
    mark();
    engine.thaw();
    await all('connected');
    await room.flowsAgain();
    await kept.flowsAgain();
    room.check();
    kept.check();
    assert.deepEqual(kept.eve.lines, kept.ada.lines);
  });
}
