// What all parts of the page share: texts, lists of frames, plots, and a
// connection that pings once per second and remembers what it saw.

export const TRANSPORTS = [
  'websocket', 'xhr-streaming', 'eventsource', 'iframe-eventsource', 'htmlfile', 'iframe-htmlfile',
  'xhr-polling', 'iframe-xhr-polling', 'jsonp-polling',
];
const MAX_LINES = 300;
const MAX_SHOWN = 600;
const SAMPLES = 60;
const PING_EVERY_MS = 1000;

export const $ = (id) => document.getElementById(id);
export const byteLength = (text) => new TextEncoder().encode(text).length;

export function bytes(count) {
  if (count < 1000) return `${count}\u00a0B`;
  if (count < 1e6) return `${(count / 1000).toFixed(1)}\u00a0kB`;
  return `${(count / 1e6).toFixed(1)}\u00a0MB`;
}

export function milliseconds(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)}\u00a0ms`;
}

export function duration(value) {
  return value < 1000 ? milliseconds(value) : `${(value / 1000).toFixed(1)}\u00a0s`;
}

function clock() {
  const now = new Date();
  const part = (value, digits) => String(value).padStart(digits, '0');
  return `${part(now.getHours(), 2)}:${part(now.getMinutes(), 2)}:` +
    `${part(now.getSeconds(), 2)}.${part(now.getMilliseconds(), 3)}`;
}

export function element(name, className = '', text = '') {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
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

// ---- frames

const arrows = { in: '\u2190', out: '\u2192', fail: '\u00d7', event: '\u2022' };

// What a frame is, for the heading of its line.
function nameOf(direction, channel, text) {
  if (direction === 'fail') return '';
  if (channel === 'info') return 'server information';
  if (direction === 'out') return 'messages';
  if (/^h{2,}$/.test(text)) return 'padding';
  return { o: 'open', h: 'heartbeat', a: 'messages', m: 'message', c: 'close' }[text[0]] ?? '';
}

// Whether a frame holds nothing but this page's pings or the answers to them.
function isPing(text) {
  const found = parsed(text.replace(/^a/, ''));
  const messages = typeof found === 'string' ? [found] : found;
  return Array.isArray(messages) && messages.length > 0 && messages.every((message) => {
    const type = typeof message === 'string' ? parsed(message)?.type : undefined;
    return type === 'ping' || type === 'pong';
  });
}

export function showLine(list, direction, heading, text, ping = false) {
  list.querySelector('.empty')?.remove();
  const line = element('li', direction + (ping ? ' ping' : ''));
  line.append(
    element('span', 'when mono', clock()),
    element('span', 'head', `${arrows[direction]} ${heading}`),
  );
  if (text) {
    const more = text.length - MAX_SHOWN;
    line.append(
      element('span', 'size', direction === 'fail' ? '' : bytes(byteLength(text))),
      element('span', 'body mono', more > 0 ? `${text.slice(0, MAX_SHOWN)}\u2026 (${more} more)` : text),
    );
  }
  append(list, line);
}

export function showFrame(list, direction, channel, text) {
  const name = nameOf(direction, channel, text);
  const shown = name === 'padding' ? `${text.slice(0, 20)}\u2026 (${text.length} in all)` : text;
  showLine(list, direction, name ? `${channel}: ${name}` : channel, shown, isPing(text));
}

// ---- round trips

// Draws them, and gives the last, the average and the highest, or null if there are none.
export function drawRoundTrips(svg, trips) {
  const path = svg.querySelector('path');
  if (trips.length === 0) {
    path.setAttribute('d', '');
    svg.setAttribute('aria-label', 'Round trips: none yet');
    return null;
  }
  const last = trips.at(-1);
  const average = trips.reduce((sum, value) => sum + value, 0) / trips.length;
  const highest = Math.max(...trips);
  const step = 100 / (SAMPLES - 1);
  path.setAttribute('d', trips.map((value, n) => {
    const x = 100 - (trips.length - 1 - n) * step;
    const y = 37 - (value / highest) * 34;
    return `${n ? 'L' : 'M'}${x.toFixed(2)} ${y.toFixed(2)}`;
  }).join(''));
  svg.setAttribute('aria-label',
    `Round trips: last ${milliseconds(last)}, average ${milliseconds(average)}, ` +
    `highest ${milliseconds(highest)} of ${trips.length}`);
  return { last, average, highest };
}

export const withTrip = (trips, at) => [...trips, Math.max(0, performance.now() - at)].slice(-SAMPLES);

// ---- a connection

// Sends a message and lets the tap know where it cannot see it by itself.
export function transmit(socket, view, message) {
  const text = JSON.stringify(message);
  // An iframe gets the message in quotes; what it does with it cannot be seen from here.
  if (socket.transport.startsWith('iframe-')) tap.report(view, 'out', 'iframe', JSON.stringify(text));
  socket.send(text);
  return text;
}

// One connection at a time to the endpoint that answers pings. `on` has:
// frame(direction, channel, text), attempt(transport), change() after anything else, closed().
export class Link {
  constructor(view, on) {
    this.view = view;
    this.on = on;
    this.state = 'idle';
    this.reset();
    tap.listen(view, (direction, channel, text) => {
      // The padding before a stream and the server information count too: all of it is on the wire.
      if (direction !== 'fail') this.bytes[direction] += byteLength(text);
      if (channel === 'info' && direction === 'in') this.info = parsed(text);
      on.frame(direction, channel, text);
      on.change();
    });
  }

  reset() {
    this.bytes = { in: 0, out: 0 };
    this.trips = [];
    this.attempts = 0;
    this.openedAfter = null;
    this.closed = null;
    this.info = null;
    this.pingUnderway = false;
  }

  open(endpoint, transports) {
    this.reset();
    this.state = 'connecting';
    const startedAt = performance.now();
    const url = new URL(endpoint, document.baseURI);
    url.searchParams.set('view', this.view);
    const socket = new SockJS(url.href, null, {
      transports,
      sessionId: () => {
        // The client asks for an id right before each attempt, and then notes what it tries.
        this.attempts += 1;
        queueMicrotask(() => this.on.attempt?.(socket._transport?.transportName ?? 'unknown'));
        return randomId();
      },
    });
    this.socket = socket;
    socket.onopen = () => {
      this.state = 'open';
      this.openedAfter = performance.now() - startedAt;
      this.transport = socket.transport;
      this.ping();
      this.pinger = setInterval(() => this.ping(), PING_EVERY_MS);
      this.on.change();
    };
    socket.onmessage = ({ data }) => {
      const message = parsed(data);
      if (message?.type !== 'pong') return;
      this.pingUnderway = false;
      this.trips = withTrip(this.trips, message.at);
      this.on.change();
    };
    socket.onclose = ({ code, reason }) => {
      clearInterval(this.pinger);
      this.state = 'closed';
      this.closed = { code, reason };
      this.socket = null;
      this.on.change();
      this.on.closed?.();
    };
    this.on.change();
  }

  ping() {
    // A slow answer is one long round trip, not a queue of pings.
    if (this.pingUnderway || this.socket?.readyState !== SockJS.OPEN) return;
    this.pingUnderway = true;
    transmit(this.socket, this.view, { type: 'ping', at: Math.round(performance.now() * 10) / 10 });
  }

  close() {
    this.socket?.close();
  }
}

export function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((n) => (n % 36).toString(36)).join('');
}
