// What is tested: files of nginx/ and haproxy/, and what comes of each of them.

// In the client's order, as far as it offers them under Node.
export const TRANSPORTS = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];

const FAILED = { code: 2000, reason: 'All transports failed' };

const plain = { echo: '/echo', commands: '/commands' };
const prefixed = { echo: '/app/realtime', commands: '/app/commands' };

// `chosen` is what the client takes that is left to choose, `fails` what it cannot open. `browsers` go through
// it too, and nothing else runs beside one that is `alone`. `title` is its name in the tables.
function configuration(program, file, title, more = {}) {
  const { chosen = 'websocket', fails = [], ...others } = more;
  const expected = { default: chosen };
  for (const transport of TRANSPORTS) {
    expected[transport] = fails.includes(transport) ? FAILED : transport;
  }
  return { program, file, title, expected, paths: plain, backends: 1, browsers: false, ...others };
}

const NO_UPGRADE = { chosen: 'xhr-streaming', fails: ['websocket'], browsers: true };

export const SMOKE = [
  configuration('nginx', 'recommended', 'recommended', { browsers: true }),
  configuration('nginx', 'no-upgrade', 'no Upgrade, HTTP/1.0', NO_UPGRADE),
  configuration('nginx', 'forced-buffering', 'no Upgrade, forced buffering, HTTP/1.0', {
    chosen: 'xhr-polling',
    fails: ['websocket', 'xhr-streaming', 'eventsource'],
    browsers: true,
    alone: true,
  }),
  configuration('nginx', 'forced-buffering-chunked', 'no Upgrade, forced buffering, HTTP/1.1', {
    chosen: 'xhr-streaming',
    fails: ['websocket'],
  }),
  configuration('nginx', 'no-buffering', 'proxy_buffering off'),
  configuration('nginx', 'gzip', 'gzip for everything', { browsers: true }),
  configuration('nginx', 'prefix', 'another prefix', { paths: prefixed }),
  configuration('nginx', 'tls', 'TLS and HTTP/2', { tls: true, browsers: true }),
  configuration('nginx', 'affinity-server', 'two backends, by server part', { backends: 2 }),
  configuration('nginx', 'affinity-session', 'two backends, by session part', { backends: 2 }),
  configuration('haproxy', 'recommended', 'recommended', { browsers: true }),
  configuration('haproxy', 'delay', 'without http-no-delay'),
  configuration('haproxy', 'no-upgrade', 'no Upgrade', NO_UPGRADE),
  configuration('haproxy', 'gzip', 'gzip for everything', { browsers: true }),
  configuration('haproxy', 'prefix', 'another prefix', { paths: prefixed }),
  configuration('haproxy', 'tls', 'TLS and HTTP/2', { tls: true, browsers: true }),
  configuration('haproxy', 'affinity-server', 'two backends, by server part', { backends: 2 }),
  configuration('haproxy', 'affinity-session', 'two backends, by session part', { backends: 2 }),
];
