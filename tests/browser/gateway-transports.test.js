// Each transport in each browser through sockjs-gateway to backends that know nothing of SockJS: see README.md.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { freePort } from '../cluster/ports.js';
import { until } from '../cluster/processes.js';
import { Backend, Gateway, routes } from '../gateway/programs.js';
import { RabbitMq } from '../gateway/rabbitmq.js';
import { cook } from '../gateway/recipes.js';
import { BROWSERS, launch, quit } from './browsers.js';
import { ORIGINS, TRANSPORTS, endings } from './cells.js';
import { call, openPage } from './pages.js';
import { Proxy } from './proxy.js';
import { CLIENT, pageFile, startPages } from './servers.js';
import { Started, same, step } from './support.js';
import { possibilities, title } from './table.js';
import { OPENING_MS, Visit } from './visit.js';

const MESSAGES = 1000;
const BURST = 50;

// Those that have sessions open when their backend is killed: a browser has six connections to a server at most.
// Those that take longest to be done with come first.
const GROUPS = [
  ['jsonp-polling', 'iframe-xhr-polling', 'xhr-polling'],
  ['iframe-htmlfile', 'htmlfile', 'iframe-eventsource'],
  ['eventsource', 'xhr-streaming', 'websocket'],
];
assert.deepEqual(GROUPS.flat(), [...TRANSPORTS].reverse());

// Of the transports that the client tries by itself, so many fail at once.
const AT_ONCE = 3;

// Tests at a time in each browser: some have to wait until the gateway misses their pages.
const TOGETHER = 3;

// What a backend is told when its client has closed, by how the gateway sees that.
const TOLD = {
  'client-closed': { code: 1000, reason: '' },
  'connection-lost': { code: 1001, reason: 'Client connection lost' },
  'timed-out': { code: 1001, reason: 'Client timed out' },
};

const REFUSED = [2000, 'All transports failed'];

const ownerOf = (started) => ({ after: (end) => started.add(null, end) });

// The gateway has no pages. Of its own origin they come from something that stands before it.
async function frontOf(gateway, origin, started) {
  return origin === 'same-origin' ? started.add(await Proxy.start(gateway.port, { files: pageFile })) : gateway;
}

// A gateway of its own before a backend of its own.
async function startScene({ origin, kind }, started) {
  const owner = ownerOf(started);
  const backend = await Backend.start(owner, kind);
  const to = (path, service) => ({ path, backends: [backend.url(service)] });
  const gateway = await Gateway.start(owner, {
    defaults: {
      origins: origin === 'same-origin' ? 'same' : [pages.url],
      legacy_transports: true,
      client_script: CLIENT,
      // A poll that no browser takes back ends with it: see docs/browsers.md.
      heartbeat: '1s',
    },
    route: [
      to('/echo', '/echo'),
      to('/refused', '/refuse/401'),
      // By the path of a connection the backend says which transport's it was.
      ...TRANSPORTS.map((transport) => to(`/commands/${transport}`, `/commands/${transport}`)),
    ],
  });
  const front = await frontOf(gateway, origin, started);
  return { backend, front, url: (route) => `${front.url}/${route}` };
}

class GatewayVisit extends Visit {
  constructor({ verdict, ...visit }) {
    super(visit);
    Object.assign(this, verdict);
  }

  // What is to be seen as long as the backend lives.
  async judge({ backend, front, url }, started) {
    const page = await this.openPage(front, started);
    this.page = page;
    if (!this.isPossible) {
      await step('opening', () => this.checkRefusal(backend, url('echo'), 0));
      return;
    }
    const commands = url(`commands/${this.transport}`);
    await step('client close', async () => {
      await this.open(page, 'closer', commands);
      await this.close(page, 'closer');
    });
    await step('open', () => this.open(page, 'echo', url('echo')));
    await this.messages(page, 'echo', MESSAGES, BURST);
    await this.large(page, 'echo');
    this.closure = await step('server close', async () => {
      await this.open(page, 'closed', commands);
      return this.closedByServer(page, 'closed');
    });
    await step('refusal', () => this.checkRefusal(backend, url('refused'), 1));
  }

  // The client gives up, after as many tries that the backend has heard of.
  async checkRefusal(backend, url, tries) {
    const before = await backend.stats();
    const { code, reason } = await this.tryOpen(this.page, 'refused', url);
    same([code, reason], REFUSED, 'the close event');
    const now = await backend.stats();
    same(now.requests - before.requests, tries, 'handshakes at the backend');
    same(now.opened, before.opened, 'connections that the backend has taken');
  }

  // Of the session that the backend has closed, and of the one that the page has. No other ends.
  async checkEnds(backend) {
    const path = `/commands/${this.transport}`;
    const closes = await until('two ends', async () => {
      const found = (await backend.stats()).closes.filter((close) => close.path === path);
      return found.length >= 2 && found;
    });
    const sorted = (ends) => JSON.stringify(ends.map(({ code, reason }) => `${code} ${reason}`).sort());
    const expected = endings(this.transport).map((ending) => sorted([this.closure, TOLD[ending]]));
    assert.ok(expected.includes(sorted(closes)), `got ${sorted(closes)} for ${expected.join(' or ')}`);
  }

  async checkKilled() {
    await this.checkClosure(this.page, 'echo', [1011, 'Backend connection lost', true]);
  }
}

async function judgeGroup(browser, group, { origin, kind }, started) {
  const scene = await step('start', () => startScene({ origin, kind }, started));
  const visits = group.map((transport) => {
    const verdict = possible.get(`${title(browser.kind)}, ${origin} ${transport}`);
    return new GatewayVisit({ browser, pages, origin, transport, verdict });
  });
  const each = async (some, name, check) => {
    for (const visit of some) {
      await step(`${visit.transport}: ${name}`, () => check(visit));
    }
  };
  await each(visits, 'while the backend lives', (visit) => visit.judge(scene, started));
  const open = visits.filter(({ isPossible }) => isPossible);
  await each(open, 'the ends at the backend', (visit) => visit.checkEnds(scene.backend));
  await each(open, 'the open session', (visit) => call(visit.page, 'fence', 'echo'));
  same((await scene.backend.stats()).closes.length, 2 * open.length, 'ends at the backend');
  await scene.backend.kill();
  await each(open, 'the end of the backend', (visit) => visit.checkKilled());
}

// The client, not told which transports, tries all that it has.
async function judgeFallback(browser, { origin, kind }, started) {
  const { backend, front, url } = await step('start', () => startScene({ origin, kind }, started));
  const page = await new Visit({ browser, pages, origin }).openPage(front, started);
  await call(page, 'start', 'refused', url('refused'), { timeout: OPENING_MS });
  const { code, reason } = await call(page, 'opening', 'refused');
  same([code, reason], REFUSED, 'the close event');
  const { requests, opened } = await backend.stats();
  // The others may be given up before they have asked.
  if (requests < AT_ONCE) {
    throw new Error(`the backend has refused ${requests} handshakes`);
  }
  same(opened, 0, 'connections that the backend has taken');
}

const shared = new Started();
const pages = shared.add(await startPages());
const possible = await possibilities(Object.keys(BROWSERS));
// It takes its time to start, and only the last tests want it.
const starting = RabbitMq.start(ownerOf(shared));
// Until they do, its failure is not one that nobody handles.
starting.catch(() => {});
after(async () => {
  await starting.catch(() => {});
  await shared.end();
});

// STOMP's page through the settings of the recipe to RabbitMQ.
async function judgeStomp(browser, started) {
  const broker = await starting;
  const port = await freePort();
  const settings = cook('rabbitmq/gateway.toml', [['8080', port], ['15674', broker.port]]);
  const gateway = await Gateway.startWith(ownerOf(started), settings, port);
  const front = await frontOf(gateway, 'same-origin', started);
  const page = await openPage(browser, `${front.url}/stomp.html`, started);
  const target = { url: `${front.url}/stomp`, transport: 'xhr-polling', user: null };
  const { transport } = await step('connect', () => call(page, 'connect', 'main', target));
  same(transport, 'xhr-polling', 'the transport');
  await step('exchange', () => call(page, 'exchange', 'main'));
  await step('leave', () => call(page, 'leave', 'main'));
}

function testStarted(label, run) {
  test(label, async (t) => {
    const started = new Started();
    t.after(() => started.end());
    await run(started);
  });
}

describe('through the gateway', { concurrency: true }, () => {
  for (const name of Object.keys(BROWSERS)) {
    describe(name, { concurrency: TOGETHER }, () => {
      const browser = { kind: name };
      before(async () => {
        browser.driver = await launch(name);
      });
      after(() => quit(browser.driver));

      for (const origin of ORIGINS) {
        for (const kind of Backend.kinds) {
          for (const group of GROUPS) {
            testStarted(`${group.join(', ')}: ${origin}, to ${kind}`, (started) =>
              judgeGroup(browser, group, { origin, kind }, started));
          }
        }
      }
      for (const [n, origin] of ORIGINS.entries()) {
        const kind = Backend.kinds[n];
        testStarted(`the client's own choice: ${origin}, to ${kind}, which refuses`, (started) =>
          judgeFallback(browser, { origin, kind }, started));
      }
      testStarted('stompjs over xhr-polling to RabbitMQ', (started) => judgeStomp(browser, started));
    });
  }
});
