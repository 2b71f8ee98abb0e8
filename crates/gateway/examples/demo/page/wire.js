// The two lists: what passes between browser and gateway, and between gateway and backend.

const MAX_LINES = 300;
const MAX_SHOWN = 600;

export const $ = (id) => document.getElementById(id);

export function element(name, className = '', text = '') {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

export function letter(backend) {
  const made = element('span', 'letter', backend);
  made.dataset.backend = backend;
  return made;
}

export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// Adds a line at the end of a list; keeps the end in view unless the reader scrolled up.
export function append(list, line) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(line);
  while (list.children.length > MAX_LINES) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function clock(at) {
  return new Date(at).toLocaleTimeString('en-GB') + `.${String(at % 1000).padStart(3, '0')}`;
}

function add(list, { at, direction, backend, head, body, folded, isTick }) {
  list.querySelector('.empty')?.remove();
  const line = element('li', `${direction}${isTick ? ' tick' : ''}`);
  const title = element('span', 'head');
  const arrow = { right: '\u2192', left: '\u2190', fail: '\u00d7' }[direction];
  title.append(`${arrow} `, ...(backend ? [letter(backend)] : []), element('span', '', head));
  line.append(element('time', '', clock(at)), title);
  if (body) {
    const more = body.length - MAX_SHOWN;
    const text = more > 0 ? `${body.slice(0, MAX_SHOWN)}\u2026 (${more} more)` : body;
    const shown = element(folded ? 'pre' : 'span', 'body mono', text);
    if (folded) {
      const details = element('details', 'body');
      details.append(element('summary', '', folded), shown);
      line.append(details);
    } else {
      line.append(shown);
    }
  }
  append(list, line);
}

// ---- browser and gateway: frames, as the tap hears them

function nameOf(direction, channel, text) {
  if (direction === 'fail') return '';
  if (channel === 'info') return 'what the server can';
  if (direction === 'out') return 'messages';
  if (/^h{2,}$/.test(text)) return 'padding';
  return { o: 'open', h: 'heartbeat', a: 'messages', m: 'message', c: 'close' }[text[0]] ?? '';
}

// Whether a frame holds nothing but ticks.
function holdsTicks(text) {
  const messages = text[0] === 'a' ? parsed(text.slice(1)) : undefined;
  return Array.isArray(messages) && messages.length > 0 && messages.every((one) => isTick(one));
}

const isTick = (message) => parsed(message)?.type === 'tick';

export function showFrame(direction, channel, text) {
  const name = nameOf(direction, channel, text);
  const isPadding = name === 'padding';
  const head = direction === 'fail' ? `${channel} ${text}` : name ? `${channel}: ${name}` : channel;
  add($('browser-wire'), {
    at: Date.now(),
    direction: { in: 'left', out: 'right', fail: 'fail' }[direction],
    head,
    body: direction === 'fail' ? '' : isPadding ? `${text.slice(0, 20)}\u2026 (${text.length} in all)` : text,
    isTick: direction === 'in' && holdsTicks(text),
  });
}

// ---- gateway and backend: what the backend has seen

const close = ({ code, reason }) => `close ${code}${reason ? ` "${reason}"` : ''}`;
const heads = {
  asked: () => ['right', 'handshake'],
  opened: () => ['left', '101: the WebSocket is open'],
  refused: ({ status }) => ['fail', `refused: ${status}`],
  waits: ({ seconds }) => ['left', `answers after ${seconds} s`],
  received: () => ['right', 'message'],
  sent: () => ['left', 'message'],
  closed: (entry) => ['right', close(entry)],
  closes: (entry) => ['left', close(entry)],
  lost: () => ['fail', 'connection lost'],
};

export function showSeen(entry) {
  const [direction, head] = heads[entry.what](entry);
  add($('backend-wire'), {
    at: entry.at,
    direction,
    backend: entry.backend,
    head,
    body: entry.text ?? entry.head,
    folded: entry.what === 'asked' ? 'the request, with its headers' : undefined,
    isTick: entry.what === 'sent' && isTick(entry.text),
  });
}

$('clear').addEventListener('click', () => {
  $('browser-wire').replaceChildren();
  $('backend-wire').replaceChildren();
});
$('ticks').addEventListener('change', ({ target }) => document.body.classList.toggle('quiet', !target.checked));
