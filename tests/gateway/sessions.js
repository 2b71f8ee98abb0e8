// Sessions by hand: requests as sockjs-client makes them, whose answers are seen as they are.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { ask } from '../cluster/http.js';
import { fresh } from '../cluster/scene.js';
import { WebSocket } from '../cluster/sockjs.js';

const CALLBACK = '?c=callback';

// The requests that open a session, by the names of the transports.
export const OPENINGS = {
  xhr: { method: 'POST', tail: '/xhr' },
  'xhr-streaming': { method: 'POST', tail: '/xhr_streaming' },
  eventsource: { method: 'GET', tail: '/eventsource' },
  htmlfile: { method: 'GET', tail: `/htmlfile${CALLBACK}` },
  jsonp: { method: 'GET', tail: `/jsonp${CALLBACK}` },
};

// The answer to a request that is to open a session of `/route`.
export function begin(gateway, route, { transport = 'xhr', session = fresh(route), query = '', headers = {} } = {}) {
  const { method, tail } = OPENINGS[transport];
  return ask(gateway, `${session}${tail}${query}`, { method, headers });
}

// The path of a session over XHR polling that has opened.
export async function opened(gateway, route, { query = '', headers = {} } = {}) {
  const session = fresh(route);
  const { status, text } = await ask(gateway, `${session}/xhr${query}`, { headers });
  assert.deepEqual([status, text], [200, 'o\n'], `${route}: ${text}`);
  return session;
}

// The messages, or the close frame, that the next poll brings.
export async function poll(gateway, session) {
  const { text } = await ask(gateway, `${session}/xhr`);
  return JSON.parse(text.slice(1));
}

// The status and the headers that a WebSocket's handshake is refused with.
export async function refusal(gateway, path, headers = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}${path}`, { headers });
  socket.on('error', () => {});
  const [request, answer] = await Promise.race([
    once(socket, 'unexpected-response'),
    once(socket, 'open').then(() => assert.fail(`${path} opens`)),
  ]);
  request.destroy();
  return { status: answer.statusCode, headers: answer.headers };
}
