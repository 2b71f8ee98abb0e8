// The unmodified client, without any option, behind proxies that spoil WebSocket or streams: which transport
// it ends up with, and whether the server is rid of the attempts before.
import { call, openPage } from './pages.js';
import { Proxy, upgrades } from './proxy.js';
import { TestServer } from './servers.js';
import { DELAY_MS, LAST_POLL_MS, Started, median, pause, same, step } from './support.js';
import { Watcher } from './watcher.js';

const SAMPLES = 3;
const MESSAGES = 50;
const BURST = 10;

// Transports as their URLs name them, and as the server does.
const NAMES = { xhr_streaming: 'xhr-streaming', xhr: 'xhr-polling', jsonp: 'jsonp-polling' };

const refuse = (status) => ({ upgrade: upgrades.refuse(status), refused: true });

export const CASES = [
  { name: 'passes everything', conduct: {}, expected: 'websocket' },
  { name: 'answers WebSocket with 403', conduct: refuse(403), expected: 'xhr-streaming' },
  { name: 'answers WebSocket with 502', conduct: refuse(502), expected: 'xhr-streaming' },
  {
    name: 'drops WebSocket right after the 101',
    conduct: { upgrade: upgrades.silentThenCut(0) },
    expected: 'xhr-streaming',
  },
  {
    name: 'passes the 101, no message, and cuts WebSocket after 300 ms',
    conduct: { upgrade: upgrades.silentThenCut(300) },
    expected: 'xhr-streaming',
  },
  {
    name: 'passes the 101, and never a message',
    conduct: { upgrade: upgrades.silent },
    expected: 'xhr-streaming',
  },
  {
    name: 'answers WebSocket with 502, and holds answers back until they are whole',
    conduct: { ...refuse(502), buffer: true },
    expected: 'xhr-polling',
  },
];

const CUT_MS = 500;

export class Fallback {
  constructor({ browser, name, conduct, expected }) {
    Object.assign(this, { browser, name, conduct, expected });
    this.label = `${browser.kind} behind a proxy that ${name}`;
  }

  // Resolves with { transport, ms }.
  async judge() {
    const times = [];
    while (times.length < SAMPLES) {
      // Each time another port: Firefox makes a port wait whose WebSocket has failed before.
      times.push(await step(`opening ${times.length + 1}`, () => this.sample()));
    }
    return { transport: this.expected, ms: Math.round(median(times)) };
  }

  async sample() {
    const started = new Started();
    try {
      const { page, proxy, watcher } = await setScene(this.browser, this.conduct, started);
      const ms = await open(page, 'main', proxy, this.expected);
      await talk(page, 'main');
      // The attempts before are over while the session that came of them goes on.
      const attempts = [...proxy.sessions.values()].slice(0, -1);
      await checkEnds(watcher, attempts, DELAY_MS);
      await call(page, 'fence', 'main');
      await hangUp(page, 'main');
      const polls = this.expected === 'xhr-polling';
      await checkEnds(watcher, [...proxy.sessions.values()], polls ? LAST_POLL_MS : DELAY_MS);
      checkAttempts(watcher);
      return ms;
    } finally {
      await started.end();
    }
  }
}

// A connection that is cut later is no matter of falling back: the client says so, and the application's new
// socket gets the next transport if it asks for it.
export class LateCut {
  constructor({ browser }) {
    this.browser = browser;
    this.name = `cuts WebSocket after ${CUT_MS} ms`;
    this.label = `${browser.kind} behind a proxy that ${this.name}`;
  }

  async judge() {
    const started = new Started();
    try {
      const conduct = { upgrade: upgrades.cut(CUT_MS) };
      const { page, proxy, watcher } = await setScene(this.browser, conduct, started);
      await open(page, 'main', proxy, 'websocket');
      const { code, wasClean } = await step('the cut', () => call(page, 'closing', 'main'));
      same([code, wasClean], [1006, false], 'the close event');
      await checkEnds(watcher, ['websocket'], DELAY_MS);
      same(watcher.ends[0].reason, 'connection-lost', 'how the server saw it end');

      const others = { transports: ['xhr-streaming', 'xhr-polling'] };
      const ms = await open(page, 'next', proxy, 'xhr-streaming', others);
      await talk(page, 'next');
      await pause(2 * CUT_MS);
      await call(page, 'fence', 'next');
      await hangUp(page, 'next');
      await checkEnds(watcher, [...proxy.sessions.values()], DELAY_MS);
      checkAttempts(watcher);
      const transport = 'websocket, 1006 at the cut, then at the next try xhr-streaming';
      return { transport, ms: Math.round(ms) };
    } finally {
      await started.end();
    }
  }
}

async function setScene(browser, conduct, started) {
  const server = started.add(await TestServer.start());
  const proxy = started.add(await Proxy.start(server.port, conduct));
  const watcher = started.add(await Watcher.open(server.url));
  const page = await openPage(browser, `${proxy.url}/`, started);
  return { proxy, watcher, page };
}

async function open(page, name, proxy, expected, options) {
  await call(page, 'start', name, `${proxy.url}/commands`, options);
  const { code, reason, transport, ms } = await call(page, 'opening', name);
  if (code !== undefined) {
    throw new Error(`closed with ${code} "${reason}" instead of opening`);
  }
  same(transport, expected, 'the transport');
  return ms;
}

async function talk(page, name) {
  await call(page, 'send', name, `name ${name}`);
  await call(page, 'expect', name, [`named ${name}`], 'the answer to its name');
  await call(page, 'bursts', name, MESSAGES, BURST);
}

async function hangUp(page, name) {
  await call(page, 'hangUp', name, 3001, 'bye');
  const { code, reason } = await call(page, 'closing', name);
  same([code, reason], [3001, 'bye'], 'the close event');
}

// Waits until as many sessions of each transport have ended.
async function checkEnds(watcher, transports, ms) {
  const expected = transports.map((transport) => NAMES[transport] ?? transport).sort();
  const wanted = JSON.stringify(expected);
  await watcher.until(ms, `the ends of ${expected.join(', ')}`, () => {
    const seen = watcher.ends.map((end) => end.transport).sort();
    return JSON.stringify(seen) === wanted ? true : undefined;
  });
}

// An attempt never got a name, and its client has not said goodbye unless it had a WebSocket to do it.
function checkAttempts(watcher) {
  for (const { name, transport, reason } of watcher.ends) {
    const expected = reason === 'connection-lost' || (transport === 'websocket' && reason === 'client-closed');
    if (name === '-' && !expected) {
      throw new Error(`the server saw an attempt over ${transport} end as ${reason}`);
    }
  }
}
