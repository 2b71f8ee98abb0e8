// Whose pages may connect, behind proxies that pass `Host` on and behind one that does not.
import { request as askHttp } from 'node:http';
import { request as askHttps } from 'node:https';
import { TestServer } from '../browser/servers.js';
import { Started, same, within } from '../browser/support.js';
import { ReverseProxy } from './proxies.js';

const PATIENCE_MS = 5_000;
const FOREIGN = 'https://evil.example';

const HANDSHAKE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

// Resolves with the status of the answer.
function ask(url, headers) {
  const asking = new Promise((resolve, reject) => {
    const request = (url.startsWith('https') ? askHttps : askHttp)(url, { headers, rejectUnauthorized: false });
    const settle = ({ statusCode }) => {
      resolve(statusCode);
      request.destroy();
    };
    request.on('response', settle).on('upgrade', settle).on('error', reject).end();
  });
  return within(PATIENCE_MS, `an answer from ${url}`, asking);
}

// What /info and a WebSocket's handshake answer.
async function statuses(front, service, headers) {
  const info = await ask(`${front.url}/${service}/info`, headers);
  const socket = await ask(`${front.url}/${service}/000/${Date.now()}${Math.random() * 1e9 | 0}/websocket`, {
    ...HANDSHAKE,
    ...headers,
  });
  return [info, socket];
}

const ALLOWED = [200, 101];
const REFUSED = [403, 403];

async function judge(program, file, tls, passesHost) {
  const started = new Started();
  try {
    const server = started.add(await TestServer.start());
    const front = started.add(await ReverseProxy.start({ program, file, tls }, [server]));
    const own = { origin: front.url };
    for (const [service, headers, expected, what] of [
      ['own_echo', own, passesHost ? ALLOWED : REFUSED, 'a page of its own, by Host'],
      ['own_echo', { ...own, 'sec-fetch-site': 'same-origin' }, ALLOWED, 'a page of its own, as the browser says'],
      ['own_echo', { origin: FOREIGN }, REFUSED, 'a foreign page'],
      ['own_echo', { origin: FOREIGN, 'sec-fetch-site': 'cross-site' }, REFUSED, 'a foreign page, as the browser says'],
      ['own_echo', {}, ALLOWED, 'no browser'],
      ['forwarded_echo', own, ALLOWED, 'a page of its own, as the proxy says'],
      ['forwarded_echo', { origin: FOREIGN }, REFUSED, 'a foreign page, as the proxy says'],
      ['echo', { origin: FOREIGN }, ALLOWED, 'any page'],
    ]) {
      same(await statuses(front, service, headers), expected, what);
    }
    return {};
  } finally {
    await started.end();
  }
}

export function originTests() {
  return [
    ['nginx', 'recommended', false, true],
    ['nginx', 'tls', true, true],
    ['nginx', 'another-host', false, false],
    ['haproxy', 'recommended', false, true],
    ['haproxy', 'tls', true, true],
  ].map(([program, file, tls, passesHost]) => ({
    label: `${program} ${file}, origins`,
    judge: () => judge(program, file, tls, passesHost),
    describe: () => (passesHost ? 'Host is passed on' : 'Host is not passed on'),
  }));
}
