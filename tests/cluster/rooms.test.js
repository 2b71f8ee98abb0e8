// A room over three nodes, while one of them is drained and another one is killed.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Member } from './member.js';
import { Engine, pause, until } from './processes.js';
import { administer, startCluster } from './scene.js';
import { TRANSPORTS } from './sockjs.js';

const OF_EACH = 5;
const SAYS_EACH_MS = 100;
// Long enough for each member to say some lines.
const PHASE_MS = 600;

// All of them, talking all the time.
class Talk {
  constructor(t, url, key) {
    this.members = TRANSPORTS.flatMap((transport) =>
      Array.from({ length: OF_EACH }, (_, n) => new Member(t, url, transport, key, `${transport}-${n}`)),
    );
    t.after(() => clearInterval(this.timer));
  }

  async start() {
    await this.joined();
    this.timer = setInterval(() => this.members.forEach((member) => member.say()), SAYS_EACH_MS);
  }

  joined() {
    return Promise.all(this.members.map((member) => member.joined()));
  }

  // Some more lines of each.
  async goOn() {
    const before = this.members.map(({ sent }) => sent);
    await pause(PHASE_MS);
    await until('all to speak', () => this.members.every(({ sent }, n) => sent > before[n] + 2));
  }

  // Ends it, when each has got the last line of each.
  async end() {
    await this.joined();
    clearInterval(this.timer);
    await this.joined();
    const last = this.members.map((member) => [member.name, member.say()]);
    for (const member of this.members) {
      await until(`the last lines at ${member.name}`, () =>
        last.every(([name, number]) => member.of(name).at(-1) === number),
      );
    }
  }

  // Nobody has got a line twice, or before an earlier one of the same sender.
  checkOrder() {
    for (const member of this.members) {
      for (const { name } of this.members) {
        const numbers = member.of(name);
        const isRising = numbers.every((number, n) => n === 0 || number > numbers[n - 1]);
        assert.ok(isRising, `${member.name} got of ${name}: ${numbers}`);
      }
    }
  }

  // Each of these has got every line of each of these.
  checkWhole(some) {
    for (const member of some) {
      for (const { name, sent } of some) {
        assert.deepEqual(member.of(name), Array.from({ length: sent }, (_, n) => n + 1), `${name} at ${member.name}`);
      }
    }
  }

  get undisturbed() {
    return this.members.filter(({ closures }) => closures.length === 0);
  }
}

// Takes a node out of the balancer and ends it in order. Its members are told; those of other nodes notice nothing.
async function drain(talk, { nodes, front }) {
  const [node] = nodes;
  const own = talk.members.filter(({ port }) => port === node.port);
  const others = talk.members.filter((member) => !own.includes(member));
  assert.ok(own.length > 0 && others.length > 0, `${own.length} members are on the node that ends`);
  for (const { name, closures } of talk.members) {
    assert.deepEqual(closures, [], `${name}, before anything happens`);
  }
  await administer(front, 'set server sockjs/a state drain');
  const [code] = await node.terminate();
  assert.equal(code, 0, node.output);
  await talk.joined();
  for (const { name, closures } of own) {
    assert.deepEqual(closures, [{ code: 4001, reason: 'restarting' }], name);
  }
  for (const { name, closures } of others) {
    assert.deepEqual(closures, [], name);
  }
  await node.start();
  await administer(front, 'set server sockjs/a state ready');
}

async function run(t, kind, key) {
  const bus = await Engine.start(t, kind);
  const scene = await startCluster(t, { program: 'haproxy', bus });
  const talk = new Talk(t, scene.front.url, key);
  await talk.start();
  await talk.goOn();
  await drain(talk, scene);
  await talk.goOn();

  const [, victim] = scene.nodes;
  const own = talk.members.filter(({ port }) => port === victim.port);
  assert.ok(own.length > 0, 'the node that is killed has members');
  const before = own.map(({ closures }) => closures.length);
  await victim.kill();
  await until('its members to see a close', () => own.every(({ closures }, n) => closures.length > before[n]));
  await talk.joined();
  await talk.goOn();
  await talk.end();

  talk.checkOrder();
  const { undisturbed } = talk;
  assert.ok(undisturbed.length > 0, 'some have seen no close');
  talk.checkWhole(undisturbed);
  const lines = talk.members.reduce((sum, { sent }) => sum + sent, 0);
  t.diagnostic(`${lines} lines; ${undisturbed.length} of ${talk.members.length} members saw no close`);
  return talk;
}

for (const kind of Engine.kinds) {
  test(`${kind}: a room of 20 clients over three nodes, one drained and one killed: the others miss nothing`, async (t) => {
    await run(t, kind, 'lobby');
  });

  test(`${kind}: the same with a history: whoever comes back with a position misses nothing`, async (t) => {
    const talk = await run(t, kind, 'kept-lobby');
    const [first, ...others] = talk.members;
    // Which are all that anybody got, in one order.
    for (const member of others) {
      assert.deepEqual(member.lines, first.lines, member.name);
      assert.deepEqual(member.positions, first.positions, member.name);
    }
    assert.equal(new Set(first.positions).size, first.lines.length);
    for (const { name, outcomes, closures } of talk.members) {
      assert.deepEqual(outcomes.slice(1).filter((outcome) => outcome !== 'whole'), [], name);
      assert.ok(outcomes.length >= closures.length, name);
    }
  });
}
