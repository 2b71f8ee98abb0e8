// What browsers send to the server for scripts other than sockjs-client.
import { openPage } from './pages.js';
import { TestServer } from './servers.js';
import { PATIENCE_MS, Started, same, step, within } from './support.js';

// These run in the page.

// As polyfills of EventSource do it. The header takes a preflight, for which the page is no part: it sees an error
// where that is refused.
async function openStream(url, headers, credentials) {
  const response = await fetch(url, { headers, credentials });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('data: o')) {
    const { value, done } = await reader.read();
    if (done) {
      break;
    }
    text += value;
  }
  await reader.cancel();
  return `${response.status} ${text.trim()}`;
}

// Sends a frame when the session is open; resolves with the frame that answers it.
function answerTo(url, frame) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onclose = ({ code, reason }) => resolve(`closed with ${code} "${reason}"`);
    socket.onmessage = ({ data }) => {
      if (data === 'o') {
        socket.send(frame);
        return;
      }
      resolve(data);
      socket.close();
    };
  });
}

const PREFLIGHTS = [
  [{ 'cache-control': 'no-cache' }, 'omit'],
  [{ 'cache-control': 'no-cache' }, 'include'],
  [{ 'cache-control': 'no-cache', 'last-event-id': '1', 'x-requested-with': 'XMLHttpRequest' }, 'include'],
];

// A frame with a single string, and its text.
const SINGLE = ['a', '', '[1]', '\u00e9\u{1f600}"\\\n\0'];

let sessions = 0;

function sessionOf(server, transport) {
  sessions += 1;
  return `${server.url}/echo/000/bare${sessions}/${transport}`;
}

async function preflights(page, server) {
  for (const [headers, credentials] of PREFLIGHTS) {
    const url = sessionOf(server, 'eventsource');
    const what = `${Object.keys(headers).join(', ')}, credentials: ${credentials}`;
    const opened = step(what, () => page.evaluate(openStream, url, headers, credentials));
    same(await within(PATIENCE_MS, what, opened), '200 data: o', what);
  }
}

async function singleStrings(page, server) {
  for (const text of SINGLE) {
    const url = sessionOf(server, 'websocket').replace('http', 'ws');
    const frame = JSON.stringify(text);
    const answer = await within(PATIENCE_MS, `the answer to ${frame}`, page.evaluate(answerTo, url, frame));
    // The server escapes more than it has to.
    const seen = answer.startsWith('a[') ? JSON.parse(answer.slice(1)) : answer;
    same(seen, [text], `the answer to ${frame}`);
  }
}

const KINDS = {
  'an eventsource of another origin with headers that take a preflight': preflights,
  'a WebSocket that sends a single string': singleStrings,
};

export function bareTests(browser, pages) {
  return Object.entries(KINDS).map(([name, run]) => ({
    label: `${browser.kind} without the client: ${name}`,
    judge: async () => {
      const started = new Started();
      try {
        const server = started.add(await TestServer.start());
        await run(await openPage(browser, `${pages.url}/`, started), server);
        return {};
      } finally {
        await started.end();
      }
    },
  }));
}
