// Every transport side by side, each in a card with a connection of its own.

import { $, bytes, drawRoundTrips, duration, Link, milliseconds, showFrame, TRANSPORTS } from './common.js';

// htmlfile works from the page's own origin only, and WebSockets are not counted among the connections.
const AT_HOME = ['websocket', 'htmlfile'];

// Where else the server listens, if it can be reached from here.
async function findOrigins() {
  if (location.protocol !== 'http:') return [];
  try {
    const signal = AbortSignal.timeout(3000);
    const ports = await (await fetch('ports', { signal })).json();
    const origins = ports.map((port) => `http://${location.hostname}:${port}`);
    await Promise.all(origins.map((origin) => fetch(`${origin}/ping/info`, { signal })));
    return origins;
  } catch {
    $('few').hidden = false;
    return [];
  }
}

let origins;

async function endpointFor(transport) {
  origins ??= findOrigins();
  const others = await origins;
  if (AT_HOME.includes(transport) || others.length === 0) return 'ping';
  return `${others[TRANSPORTS.indexOf(transport) % others.length]}/ping`;
}

class Card {
  constructor(transport) {
    this.transport = transport;
    this.frames = 0;
    this.root = $('card').content.firstElementChild.cloneNode(true);
    this.parts = Object.fromEntries(
      [...this.root.querySelectorAll('[data-part]')].map((part) => [part.dataset.part, part]));
    this.parts.name.textContent = transport;
    this.parts.name.id = `card-${transport}`;
    this.root.setAttribute('aria-labelledby', this.parts.name.id);
    this.parts.wire.setAttribute('aria-label', `Frames of ${transport}`);
    this.parts.button.disabled = typeof SockJS === 'undefined';
    this.parts.button.addEventListener('click', () => this.toggle());
    this.parts.more.addEventListener('toggle', () => {
      this.parts.wire.scrollTop = this.parts.wire.scrollHeight;
    });
    this.link = new Link(`card-${transport}`, {
      frame: (...frame) => this.showFrame(...frame),
      change: () => this.show(),
    });
    this.show();
  }

  get active() {
    return this.link.state === 'connecting' || this.link.state === 'open';
  }

  toggle() {
    if (this.active) {
      this.link.close();
    } else {
      this.open();
    }
  }

  async open() {
    if (this.active || this.opening) return;
    this.opening = true;
    const endpoint = await endpointFor(this.transport);
    this.opening = false;
    this.frames = 0;
    this.parts.wire.replaceChildren();
    this.link.open(endpoint, [this.transport]);
  }

  showFrame(direction, channel, text) {
    this.frames += 1;
    showFrame(this.parts.wire, direction, channel, text);
    this.parts.count.textContent = String(this.frames);
    const sign = { in: '\u2190', out: '\u2192', fail: '\u00d7' }[direction];
    this.parts.latest.textContent = `${sign} ${text.slice(0, 120)}`;
  }

  // The state as a tone and a text.
  state() {
    const { state, closed, attempts, info } = this.link;
    if (state === 'idle') return ['', 'not open'];
    if (state === 'connecting') return ['wait', 'connecting\u2026'];
    if (state === 'open') return ['good', 'open'];
    if (closed.code === 2000 && attempts === 0) {
      const off = this.transport === 'websocket' && info?.websocket === false;
      return ['bad', `not available: ${off ? 'switched off on the server' : 'this browser does not have it'}`];
    }
    return [closed.code === 1000 ? '' : 'bad', `closed: ${closed.code} ${closed.reason}`];
  }

  show() {
    const { parts, link } = this;
    const [tone, text] = this.state();
    if (parts.state.textContent !== text) {
      parts.state.textContent = text;
      parts.state.dataset.tone = tone;
      parts.button.textContent = { connecting: 'Cancel', open: 'Close' }[link.state] ?? 'Open';
      parts.button.setAttribute('aria-label', `${parts.button.textContent} ${this.transport}`);
      changed();
    }
    const figures = drawRoundTrips(parts.spark, link.trips);
    parts.opened.textContent = link.openedAfter === null ? '\u2013' : duration(link.openedAfter);
    parts.last.textContent = figures ? milliseconds(figures.last) : '\u2013';
    parts.average.textContent = figures ? milliseconds(figures.average) : '\u2013';
    parts.highest.textContent = figures ? milliseconds(figures.highest) : '\u2013';
    parts.sent.textContent = bytes(link.bytes.out);
    parts.received.textContent = bytes(link.bytes.in);
  }
}

let cards = [];

function changed() {
  const open = cards.filter((card) => card.link.state === 'open').length;
  const active = cards.some((card) => card.active);
  $('all').textContent = active ? 'Close all' : 'Open all';
  $('all').classList.toggle('main', !active);
  $('summary').textContent = active || open ? `${open} of ${cards.length} open` : 'None is open';
  $('summary').dataset.tone = open === cards.length ? 'good' : active ? 'wait' : '';
}

cards = TRANSPORTS.map((transport) => new Card(transport));
$('cards').append(...cards.map((card) => card.root));
changed();

$('all').addEventListener('click', () => {
  if (cards.some((card) => card.active)) {
    for (const card of cards) card.link.close();
  } else {
    for (const card of cards) card.open();
  }
});
