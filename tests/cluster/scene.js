// Three nodes behind a balancer that sends each request to the next of them.
import { once } from 'node:events';
import { connect } from 'node:net';
import { ReverseProxy } from '../proxies/proxies.js';
import { freePort } from './ports.js';
import { Node, PATIENCE_MS, until } from './processes.js';

export const SECRET = 'the secret of all nodes of these tests';
export const BALANCERS = ['nginx', 'haproxy'];

// The arguments of a node; `more` are such that only some tests need.
export function nodeArgs({ secret = SECRET, url, bus, internal, more = [] }) {
  const args = ['--secret', secret, '--public', url, ...more];
  if (bus !== undefined) {
    args.push('--bus', bus.url);
  }
  if (internal !== undefined) {
    args.push('--internal', internal);
  }
  return args;
}

// Nodes that name a balancer at this port, or each itself.
export async function startNodes(t, { count = 3, port, ...options } = {}) {
  const args = (own) => nodeArgs({ url: `http://127.0.0.1:${port ?? own}`, ...options });
  return Promise.all(Array.from({ length: count }, () => Node.start(t, { args })));
}

export async function startCluster(t, { program = 'nginx', ...options } = {}) {
  const port = await freePort();
  const nodes = await startNodes(t, { ...options, port });
  const front = await ReverseProxy.start({ program, file: 'round-robin', port }, nodes);
  t.after(() => front.stop());
  return { nodes, front };
}

// Resolves when the sessions of a service have come to this number on a node.
export function openSessions(node, endpoint, number, ms = PATIENCE_MS) {
  return until(
    `${number} open sessions of ${endpoint}`,
    async () => (await node.stats()).endpoints[endpoint].open === number,
    ms,
  );
}

let serial = 0;

// The path of a session that nobody knows yet.
export function fresh(base) {
  serial += 1;
  return `${base}/000/session${process.pid}x${serial}`;
}

// Says something to HAProxy, as an operator does.
export async function administer(front, command) {
  const socket = connect(`${front.dir}/admin`);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text) => {
    answer += text;
  });
  socket.end(`${command}\n`);
  await once(socket, 'close');
  if (answer.trim() !== '') {
    throw new Error(`${command}: ${answer}`);
  }
}
