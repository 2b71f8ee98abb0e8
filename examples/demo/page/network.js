// A connection over a proxy that misbehaves, and a record of how the client copes.

import {
  $, append, bytes, drawRoundTrips, duration, element, Link, milliseconds, randomId, showFrame, TRANSPORTS,
} from './common.js';

// Names this visitor's connections, for "cut everything now".
const visitor = randomId();
const MAX_SESSIONS = 6;
const SETTLED_MS = 30_000;
const GIVE_UP_WEBSOCKET_AFTER = 2;

let wanted = false;
let restarting = false;
let session = null;
let sessions = 0;
let shortWebSockets = 0;
let retry = null;
let frames = 0;

function mode() {
  const faults = [];
  if ($('no-websocket').checked) faults.push('no-websocket');
  if ($('cut').checked) faults.push(`cut-${seconds()}s`);
  if ($('buffered').checked) faults.push('buffered');
  return faults.join('-') || 'clean';
}

function seconds() {
  return Math.min(60, Math.max(1, Math.round(Number($('seconds').value)) || 3));
}

function setStatus(tone, text) {
  $('carrier').dataset.tone = tone;
  $('carrier').textContent = text;
}

// ---- the timeline

function note(text, tone = '') {
  $('timeline').querySelector('.empty')?.remove();
  const line = element('li', 'note', text);
  line.dataset.tone = tone;
  append($('timeline'), line);
}

// What the client allows an attempt at least: 300 ms for each round trip it expects. Timers are not exact.
function shortestTimeout(transport) {
  if (transport.startsWith('iframe-')) return 890;
  return transport === 'jsonp-polling' ? 290 : 590;
}

// A row of the timeline: the request for information that comes first, or one transport that is tried.
class Attempt {
  constructor(name) {
    this.name = name;
    this.startedAt = performance.now();
    this.broke = null;
    this.row = element('li', 'attempt');
    this.outcome = element('span', 'outcome', 'trying\u2026');
    this.track = element('span', 'track');
    this.bar = element('span', 'bar-of-time');
    this.track.append(this.bar);
    const at = duration(this.startedAt - session.startedAt);
    this.row.append(
      element('span', 'name mono', name),
      element('span', 'at', `at ${at}`),
      this.outcome,
      this.track,
    );
    this.settle('wait', 'trying\u2026');
    append($('timeline'), this.row);
    session.rows.push(this);
  }

  get took() {
    return (this.endedAt ?? performance.now()) - this.startedAt;
  }

  settle(tone, text) {
    this.row.dataset.tone = tone;
    this.outcome.textContent = text;
  }

  succeeded(tone, how) {
    this.endedAt = performance.now();
    this.settle(tone, `${how} after ${duration(this.took)}`);
  }

  failed() {
    if (this.endedAt) return;
    this.endedAt = performance.now();
    const early = this.took < shortestTimeout(this.name) ? ' (earlier timer)' : '';
    const took = duration(this.took);
    this.settle('bad', this.broke ? `${this.broke} after ${took}` : `nothing came within ${took}${early}`);
  }
}

// All bars of one session share one scale, from its start to now, or to when it was open.
function drawBars() {
  if (!session) return;
  const { rows, startedAt } = session;
  const whole = Math.max(1, ...rows.map((row) => row.startedAt + row.took - startedAt));
  for (const { bar, startedAt: from, took } of rows) {
    bar.style.left = `min(${((from - startedAt) / whole) * 100}%, 100% - 3px)`;
    bar.style.width = `${(took / whole) * 100}%`;
  }
}

function animate() {
  drawBars();
  if (link.state === 'connecting') requestAnimationFrame(animate);
}

// ---- the connection

const link = new Link('network', {
  frame(direction, channel, text) {
    frames += 1;
    $('network-count').textContent = String(frames);
    showFrame($('network-wire'), direction, channel, text);
    if (channel === 'info' && direction === 'in') session.rows[0].succeeded('aside', 'answered');
    const attempt = session?.rows.at(-1);
    if (direction === 'fail' && attempt && !attempt.endedAt) {
      attempt.broke = channel === 'websocket' ? 'refused' : text;
    }
  },
  attempt(transport) {
    session.rows.at(-1).failed();
    new Attempt(transport);
  },
  change: show,
  closed: ended,
});

function open() {
  sessions += 1;
  session = { startedAt: performance.now(), rows: [] };
  const without = shortWebSockets >= GIVE_UP_WEBSOCKET_AFTER;
  const transports = without ? TRANSPORTS.filter((name) => name !== 'websocket') : undefined;
  note(`Session ${sessions}${without ? ', without WebSocket' : ''}: path /broken/${mode()}`, 'title');
  setStatus('wait', 'Connecting\u2026');
  new Attempt('/info');
  link.open(`broken/${mode()}~${visitor}`, transports);
  animate();
}

function show() {
  const attempt = session?.rows.at(-1);
  if (link.state === 'open' && !attempt.endedAt) {
    attempt.succeeded('good', 'open');
    session.openedAt = performance.now();
    drawBars();
    const failed = session.rows.length - 2;
    const before = failed ? `${failed} failed before` : 'the first one tried';
    setStatus('good', `Carried by ${link.transport} after ${duration(link.openedAfter)}, ${before}`);
  }
  $('cut-now').disabled = link.state !== 'open';
  $('start').textContent = wanted ? 'Disconnect' : 'Connect';
  $('start').classList.toggle('main', !wanted);
  const figures = drawRoundTrips($('network-spark'), link.trips);
  $('network-opened').textContent = link.openedAfter === null ? '\u2013' : duration(link.openedAfter);
  $('network-last').textContent = figures ? milliseconds(figures.last) : '\u2013';
  $('network-sent').textContent = bytes(link.bytes.out);
  $('network-received').textContent = bytes(link.bytes.in);
}

// After a connection is lost, opens another one, as an application would.
function ended() {
  const { code, reason } = link.closed;
  session.rows.at(-1).failed();
  drawBars();
  const lasted = session.openedAt ? performance.now() - session.openedAt : 0;
  const saidGoodbye = code === 1000 || (code >= 3000 && code < 5000);
  note(`Closed${lasted ? ` after ${duration(lasted)}` : ''}${lasted ? '' : ' before it opened'}: ${code} ${reason || 'connection lost'}`, saidGoodbye ? '' : 'bad');
  if (wanted && !saidGoodbye) {
    again(lasted);
  } else if (!restarting) {
    wanted = false;
    setStatus('', `Closed: ${code} ${reason}`);
  }
  restarting = false;
  show();
}

function again(lasted) {
  if (lasted > SETTLED_MS) {
    sessions = 0;
    shortWebSockets = 0;
  } else if (lasted && session.rows.at(-1).name === 'websocket') {
    shortWebSockets += 1;
  }
  if (sessions >= MAX_SESSIONS) {
    wanted = false;
    setStatus('bad', `Given up after ${MAX_SESSIONS} sessions`);
    return;
  }
  if (shortWebSockets === GIVE_UP_WEBSOCKET_AFTER) {
    note('WebSockets open, but do not last: the page leaves them out from here on.');
  }
  setStatus('wait', 'Lost. Opening another session in a second\u2026');
  retry = setTimeout(open, 1000);
}

function start() {
  wanted = true;
  sessions = 0;
  shortWebSockets = 0;
  frames = 0;
  $('network-count').textContent = '0';
  $('network-wire').replaceChildren();
  $('timeline').replaceChildren();
  open();
}

function stop() {
  wanted = false;
  clearTimeout(retry);
  if (link.socket) {
    link.close();
  } else {
    setStatus('', 'Not connected');
    show();
  }
}

$('network-form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (wanted) {
    stop();
  } else {
    start();
  }
});

// A switch takes effect at once.
$('network-form').addEventListener('change', () => {
  $('seconds').value = String(seconds());
  if (!wanted) return;
  clearTimeout(retry);
  if (link.socket) {
    restarting = true;
    link.close();
  }
  setTimeout(() => wanted && start(), 100);
});

$('cut-now').addEventListener('click', () => {
  note('You cut all connections.');
  fetch(`cut/${visitor}`, { method: 'POST' }).catch(() => note('The server cannot be reached.', 'bad'));
});

show();
