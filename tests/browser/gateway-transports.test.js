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
import { Visit } from './visit.js';

const MESSAGES = 1000;

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

class GatewayVisit extends Visit {
  constructor({ kind, verdict, ...visit }) {
    super(visit);
    Object.assign(this, { kind, isPossible: verdict.isPossible, query: verdict.query });
  }

  async start(started) {
    const owner = ownerOf(started);
    this.backend = await Backend.start(owner, this.kind);
    const refused = { path: '/refused', backends: [this.backend.url('/refuse/401')] };
    const gateway = await Gateway.start(owner, {
      defaults: {
        origins: this.origin === 'same-origin' ? 'same' : [this.pages.url],
        legacy_transports: true,
        client_script: CLIENT,
        // A poll that no browser takes back ends with it: see docs/browsers.md.
        heartbeat: '1s',
      },
      route: [...routes(['echo', 'commands'], [this.backend]), refused],
    });
    const front = await frontOf(gateway, this.origin, started);
    this.page = await this.openPage(front, started);
    this.url = (route) => `${front.url}/${route}`;
  }

  async judge(started) {
    await step('start', () => this.start(started));
    if (!this.isPossible) {
      await step('opening', () => this.checkImpossible());
      return;
    }
    await step('client close', async () => {
      await this.open(this.page, 'closer', this.url('commands'));
      await this.close(this.page, 'closer');
    });
    await step('open', () => this.open(this.page, 'echo', this.url('echo')));
    await this.messages(this.page, 'echo', MESSAGES);
    await this.large(this.page, 'echo');
    const closure = await step('server close', async () => {
      await this.open(this.page, 'closed', this.url('commands'));
      return this.closedByServer(this.page, 'closed');
    });
    await step('refusal', () => this.checkRefusal());
    await step('the ends at the backend', () => this.checkEnds(closure));
    await step('kill', () => this.kill());
  }

  async checkImpossible() {
    const { code, reason } = await this.tryOpen(this.page, 'echo', this.url('echo'));
    same([code, reason], REFUSED, 'the close event');
    same((await this.backend.stats()).requests, 0, 'connections to the backend');
  }

  async checkRefusal() {
    const { requests, opened } = await this.backend.stats();
    const { code, reason } = await this.tryOpen(this.page, 'refused', this.url('refused'));
    same([code, reason], REFUSED, 'the close event');
    const now = await this.backend.stats();
    same([now.requests - requests, now.opened - opened], [1, 0], 'handshakes that the backend has refused and taken');
  }

  // Of the session that the backend has closed, and of the one that the page has. No other ends.
  async checkEnds(closure) {
    const closes = await until('two ends', async () => {
      const stats = await this.backend.stats();
      return stats.closes.length >= 2 && stats.closes;
    });
    const expected = endings(this.transport).map((ending) => [closure, TOLD[ending]]);
    const sorted = (ends) => JSON.stringify([...ends].sort((a, b) => b.code - a.code));
    assert.ok(expected.some((ends) => sorted(ends) === sorted(closes)), JSON.stringify(closes));
  }

  async kill() {
    await call(this.page, 'fence', 'echo');
    await this.backend.kill();
    await this.checkClosure(this.page, 'echo', [1011, 'Backend connection lost', true]);
  }

  // The client without any option tries all that it has.
  async fallBack(started) {
    await step('start', () => this.start(started));
    await call(this.page, 'start', 'refused', this.url('refused'), {});
    const { code, reason } = await call(this.page, 'opening', 'refused');
    same([code, reason], REFUSED, 'the close event');
    const { requests, opened } = await this.backend.stats();
    same(opened, 0, 'connections that the backend has taken');
  }
}

const shared = new Started();
const pages = shared.add(await startPages());
const possible = await possibilities(Object.keys(BROWSERS));
// It takes its time to start, and only the last tests want it.
const starting = RabbitMq.start(ownerOf(shared));
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

      // Those that take longest to be done with come first.
      for (const transport of [...TRANSPORTS].reverse()) {
        for (const origin of ORIGINS) {
          const verdict = possible.get(`${title(name)}, ${origin} ${transport}`);
          for (const kind of Backend.kinds) {
            const label = `${name} ${origin} ${transport} to ${kind}${verdict.isPossible ? '' : ', not possible'}`;
            testStarted(label, (started) => new GatewayVisit({ browser, pages, origin, transport, kind, verdict }).judge(started));
          }
        }
      }

      for (const origin of ORIGINS) {
        for (const kind of Backend.kinds) {
          const visit = { browser, pages, origin, kind, verdict: { query: '' } };
          testStarted(`${name} ${origin}: the client's own choice, and ${kind} refuses`, (started) =>
            new GatewayVisit(visit).fallBack(started));
        }
      }

      testStarted(`${name}: stompjs over xhr-polling to RabbitMQ`, (started) => judgeStomp(browser, started));
    });
  }
});
