// Clients can provoke server errors at will: what comes of the server behind a proxy that watches for them.
import { TestServer } from '../browser/servers.js';
import { Started, same, step } from '../browser/support.js';
import { underNode } from './bench.js';
import { ReverseProxy } from './proxies.js';

const ERRORS = 50;
const OPENING_MS = 2_000;

async function post(front, path, body) {
  const answer = await fetch(`${front.url}${path}`, { method: 'POST', body });
  await answer.arrayBuffer();
  return answer.status;
}

// Opens a session and sends it bodies that are no JSON; resolves with the statuses of the answers.
async function provoke(front) {
  same(await post(front, '/echo/000/hostile/xhr', ''), 200, 'the opening poll');
  const statuses = [];
  for (let n = 0; n < ERRORS; n += 1) {
    statuses.push(await post(front, '/echo/000/hostile/xhr_send', 'no JSON'));
  }
  return statuses;
}

async function open(bench, front, name) {
  await bench.call('start', name, `${front.url}/echo`, { transports: ['xhr-streaming'], timeout: OPENING_MS });
  const { code, reason } = await bench.call('opening', name);
  if (code !== undefined) {
    throw new Error(`closed with ${code} "${reason}" instead of opening`);
  }
  await bench.call('fence', name);
}

async function behind(file, judge) {
  const started = new Started();
  try {
    const server = started.add(await TestServer.start());
    const front = started.add(await ReverseProxy.start({ program: 'haproxy', file }, [server]));
    const bench = started.add(await underNode());
    await step('before', () => open(bench, front, 'before'));
    return await judge({ bench, front, statuses: await provoke(front) });
  } finally {
    await started.end();
  }
}

function staysUp() {
  return behind('health', async ({ bench, front, statuses }) => {
    same([...new Set(statuses)], [500], 'the statuses of the answers');
    await step('the session from before', () => bench.call('fence', 'before'));
    await step('a new session', () => open(bench, front, 'after'));
    return { what: `up after ${ERRORS} errors` };
  });
}

// The test of the test: where answers are observed, the proxy has to take the server out.
function goesDown() {
  return behind('observe-layer7', async ({ statuses }) => {
    same(statuses[0], 500, 'the first answer');
    const refused = statuses.indexOf(503);
    if (refused === -1) {
      throw new Error(`the proxy has passed all ${ERRORS} errors on`);
    }
    return { what: `down after ${refused} errors` };
  });
}

export function errorTests() {
  return [
    { label: 'haproxy health, errors at will', judge: staysUp, describe: ({ what }) => what },
    { label: 'haproxy observe-layer7, errors at will', judge: goesDown, describe: ({ what }) => what },
  ];
}
