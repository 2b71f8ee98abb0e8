// Two servers behind one proxy: no session's request may come to the server that does not know it.
import { inTurn } from '../browser/pages.js';
import { TestServer } from '../browser/servers.js';
import { DELAY_MS, PATIENCE_MS, Started, pause, same, step, within } from '../browser/support.js';
import { inBrowser, underNode } from './bench.js';
import { ReverseProxy } from './proxies.js';
import { Watchers } from './watchers.js';

const SESSIONS = 24;
const MESSAGES = 20;
const BURST = 5;
const OPENING_MS = 5_000;
const TRANSPORTS = ['xhr-polling', 'xhr-streaming'];

// As many clients with cookies of their own, and sessions of each of them.
const JARS = 20;
const SESSIONS_OF_A_JAR = 3;

async function withTwo(program, file, run) {
  const started = new Started();
  try {
    const servers = [started.add(await TestServer.start()), started.add(await TestServer.start())];
    const front = started.add(await ReverseProxy.start({ program, file }, servers));
    return await run({ servers, front, started });
  } finally {
    await started.end();
  }
}

// One session with many sends and polls, which interleave.
async function talk(bench, name, url, transport) {
  await bench.call('start', name, url, { transports: [transport], timeout: OPENING_MS });
  const { code, reason } = await bench.call('opening', name);
  if (code !== undefined) {
    throw new Error(`closed with ${code} "${reason}" instead of opening`);
  }
  await bench.call('bursts', name, MESSAGES, BURST);
}

// Many at a time; resolves with what became of each.
function talkAll(bench, front) {
  return Promise.allSettled(
    Array.from({ length: SESSIONS }, async (_, n) => {
      const name = `session-${n}`;
      await talk(bench, name, `${front.url}/commands`, TRANSPORTS[n % TRANSPORTS.length]);
      await bench.call('send', name, `name ${name}`);
      await bench.call('expect', name, [`named ${name}`], 'the answer to its name');
      // By the server, so that both sides know at once.
      await bench.call('send', name, 'close 4000 done');
      await bench.call('closing', name);
    }),
  );
}

async function bySession(program, file) {
  return withTwo(program, file, async ({ servers, front, started }) => {
    const watchers = await Watchers.open(servers, started);
    const bench = started.add(await underNode());
    const outcomes = await talkAll(bench, front);
    const failure = outcomes.find(({ status }) => status === 'rejected');
    if (failure !== undefined) {
      throw new Error(`a session is split: ${failure.reason.message}`);
    }
    await Promise.all(outcomes.map((_, n) => watchers.end(`session-${n}`, DELAY_MS)));
    const [here, there] = watchers.names();
    // A session that two servers know would be in both lists, without a name in one of them.
    const expected = outcomes.map((_, n) => `session-${n}`).sort();
    same([...here, ...there].sort(), expected, 'the sessions of both servers');
    if (here.length === 0 || there.length === 0) {
      throw new Error('all sessions went to one server');
    }
    return { what: `${SESSIONS} sessions, ${here.length} and ${there.length}` };
  });
}

// The test of the test: without affinity it has to fail.
async function split(program) {
  return withTwo(program, 'no-affinity', async ({ front, started }) => {
    const bench = started.add(await underNode());
    const outcomes = await talkAll(bench, front);
    const messages = outcomes.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.message);
    if (messages.length < SESSIONS / 2) {
      throw new Error(`only ${messages.length} of ${SESSIONS} sessions without affinity were noticed`);
    }
    const kinds = new Set(messages.map((message) => /^closed with \d+/.exec(message)?.[0] ?? message));
    same([...kinds], ['closed with 1006'], 'what the clients saw');
    return { what: `noticed, ${messages.length} of ${SESSIONS} sessions closed with 1006` };
  });
}

// A client with cookies, as the one under Node is not.
class Jar {
  cookies = new Map();
  #stop = new AbortController();

  constructor(front) {
    this.front = front;
  }

  async post(path, body = '') {
    const cookie = [...this.cookies].map((pair) => pair.join('=')).join('; ');
    const headers = cookie === '' ? {} : { cookie };
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(PATIENCE_MS)]);
    const answer = await fetch(`${this.front.url}${path}`, { method: 'POST', headers, body, signal });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
    return answer;
  }

  async poll(path, expected) {
    const answer = await this.post(`${path}/xhr`);
    same([answer.status, await answer.text()], [200, `${expected}\n`], `the poll of ${path}`);
  }

  async send(path, message) {
    const { status } = await this.post(`${path}/xhr_send`, JSON.stringify([message]));
    same(status, 204, `the status of the send to ${path}`);
  }

  async polling(path) {
    await this.poll(path, 'o');
    for (let n = 0; n < MESSAGES; n += 1) {
      await this.send(path, `${n}`);
      await this.poll(path, `a["${n}"]`);
    }
  }

  async streaming(path) {
    const answer = await this.post(`${path}/xhr_streaming`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const until = async (end) => {
      while (!text.endsWith(end)) {
        const { value, done } = await within(PATIENCE_MS, `${end.trim()} of ${path}`, reader.read());
        if (done) {
          throw new Error(`the stream of ${path} ended before ${end.trim()}`);
        }
        text += value;
      }
    };
    await until('h\no\n');
    for (let n = 0; n < MESSAGES; n += 1) {
      await this.send(path, `${n}`);
      await until(`a["${n}"]\n`);
    }
  }

  async stop() {
    this.#stop.abort();
  }
}

// Which server a cookie leads to, as the two proxies write it.
const LEADS_TO = { nginx: /\.([ab])$/, haproxy: /^([ab])~/ };

async function byCookie(program) {
  return withTwo(program, 'affinity-cookie', async ({ front, started }) => {
    const seen = { a: 0, b: 0 };
    await Promise.all(
      Array.from({ length: JARS }, async (_, j) => {
        const jar = started.add(new Jar(front));
        // The answer to the first request brings the cookie.
        await jar.polling(`/cookie_needed_echo/000/jar${j}first`);
        const first = jar.cookies.get('JSESSIONID');
        await Promise.all(
          Array.from({ length: SESSIONS_OF_A_JAR - 1 }, (_, n) =>
            jar[n % 2 === 0 ? 'streaming' : 'polling'](`/cookie_needed_echo/00${n}/jar${j}next${n}`),
          ),
        );
        same(jar.cookies.get('JSESSIONID'), first, 'the cookie after more sessions');
        const to = LEADS_TO[program].exec(first)?.[1];
        if (to === undefined) {
          throw new Error(`the cookie ${first} names no server`);
        }
        seen[to] += 1;
      }),
    );
    if (seen.a === 0 || seen.b === 0) {
      throw new Error('all clients went to one server');
    }
    return { what: `${JARS * SESSIONS_OF_A_JAR} sessions of ${JARS} clients, ${seen.a} and ${seen.b} of them` };
  });
}

async function byCookieInBrowser(program, browser) {
  return withTwo(program, 'affinity-cookie', async ({ front, started }) => {
    // With cookies of its own: those of another proxy on this machine would be sent here too, for a cookie
    // does not care about ports.
    const context = await inTurn(browser.driver, () => browser.driver.createBrowserContext());
    started.add(context, () => inTurn(context, () => context.close()));
    const page = started.add(await inBrowser({ driver: context }, front, started));
    const sessions = 6;
    for (let n = 0; n < sessions; n += 1) {
      const transport = TRANSPORTS[n % TRANSPORTS.length];
      const name = `session-${n}`;
      await step(`${name}, ${transport}`, () => talk(page, name, `${front.url}/cookie_needed_echo`, transport));
      await page.call('hangUp', name, 3000, 'done');
      // For the poll that ends with it to give its connection back.
      await pause(20);
    }
    return { what: `${sessions} sessions` };
  });
}

export function affinityTests(program, browsers) {
  const describe = ({ what }) => what;
  const tests = ['affinity-server', 'affinity-session'].map((file) => ({
    label: `${program} ${file}, many sessions`,
    judge: () => bySession(program, file),
    describe,
  }));
  tests.push({ label: `${program} affinity-cookie, many sessions`, judge: () => byCookie(program), describe });
  for (const browser of browsers) {
    const judge = () => byCookieInBrowser(program, browser);
    tests.push({ label: `${program} affinity-cookie, ${browser.kind}`, judge, describe });
  }
  tests.push({ label: `${program} no-affinity, many sessions`, judge: () => split(program), describe });
  return tests;
}
