// The chat, over the transport that is chosen.

import {
  $, append, byteLength, bytes, drawRoundTrips, element, milliseconds, parsed, showFrame, showLine, transmit,
  withTrip,
} from './common.js';

const VIEW = 'chat';
const PING_EVERY_MS = 1000;

let socket = null;
let ownId = null;
let traffic;
let roundTrips = [];
let pinger = null;
let pingUnderway = false;

function setStatus(tone, text) {
  $('status').dataset.tone = tone;
  $('status').textContent = text;
}

// ---- chat

function showNews(text) {
  append($('talk'), element('div', 'news', text));
}

function showSaid(from, text) {
  const own = from === ownId;
  const line = element('div', own ? 'own' : '');
  line.append(element('span', 'who', own ? 'you' : from), element('span', 'what', text));
  append($('talk'), line);
}

function showPeople(count) {
  $('people').textContent = count === 1 ? '1 person here' : `${count} people here`;
}

// ---- traffic

tap.listen(VIEW, (direction, channel, text) => showFrame($('wire'), direction, channel, text));

function showEvent(text) {
  showLine($('wire'), 'event', text);
}

function count(way, text) {
  traffic[way].messages += 1;
  traffic[way].bytes += byteLength(text);
  showCounts();
}

function showCounts() {
  for (const way of ['sent', 'received']) {
    $(way).textContent = String(traffic[way].messages);
    $(way).append(element('small', '', bytes(traffic[way].bytes)));
  }
}

// ---- round trips

function showRoundTrips() {
  const figures = drawRoundTrips($('spark'), roundTrips);
  if (!figures) {
    $('last').textContent = $('average').textContent = '\u2013';
    return;
  }
  $('last').textContent = milliseconds(figures.last);
  $('last').append(element('small', '', `highest ${milliseconds(figures.highest)}`));
  $('average').textContent = milliseconds(figures.average);
  $('average').append(element('small', '', `of the last ${roundTrips.length}`));
}

function ping() {
  // A slow answer is one long round trip, not a queue of pings.
  if ($('ping').checked && !pingUnderway) {
    pingUnderway = true;
    say({ type: 'ping', at: Math.round(performance.now() * 10) / 10 });
  }
}

// ---- connection

function say(message) {
  if (socket.readyState === SockJS.OPEN) count('sent', transmit(socket, VIEW, message));
}

function receive(text) {
  count('received', text);
  const message = parsed(text);
  switch (message?.type) {
    case 'hello':
      ownId = String(message.id);
      // Inside an iframe the server sees the transport that works in there.
      setStatus('good', `Connected over ${socket.transport} as ${ownId}` +
        (message.transport === socket.transport ? '' : ` (to the server: ${message.transport})`));
      showPeople(message.people);
      showNews(`You are ${ownId}.`);
      break;
    case 'said':
      showSaid(String(message.from), String(message.text));
      break;
    case 'joined':
    case 'left':
      showPeople(message.people);
      if (String(message.id) !== ownId) {
        showNews(`${message.id} ${message.type === 'joined' ? 'came in' : 'left'}.`);
      }
      break;
    case 'pong':
      pingUnderway = false;
      roundTrips = withTrip(roundTrips, message.at);
      showRoundTrips();
      break;
  }
}

function showConnected(state) {
  const open = state === 'open';
  $('connect').textContent = { idle: 'Connect', connecting: 'Cancel', open: 'Disconnect' }[state];
  $('connect').classList.toggle('main', state === 'idle');
  $('transport').disabled = state !== 'idle';
  $('words').disabled = $('send').disabled = !open;
}

function connect() {
  const transport = $('transport').value;
  const startedAt = performance.now();
  ownId = null;
  traffic = { sent: { messages: 0, bytes: 0 }, received: { messages: 0, bytes: 0 } };
  roundTrips = [];
  pingUnderway = false;
  showCounts();
  showRoundTrips();
  showConnected('connecting');
  setStatus('wait', 'Connecting\u2026');
  showEvent(`connecting, transport: ${transport || 'automatic'}`);

  const endpoint = new URL(`chat?view=${VIEW}`, document.baseURI).href;
  socket = new SockJS(endpoint, null, transport ? { transports: [transport] } : {});
  socket.onopen = () => {
    const took = milliseconds(performance.now() - startedAt);
    showEvent(`opened over ${socket.transport} after ${took}`);
    setStatus('good', `Connected over ${socket.transport}`);
    showConnected('open');
    // On a touch screen this would bring up the keyboard.
    if (matchMedia('(pointer: fine)').matches) $('words').focus({ preventScroll: true });
    ping();
    pinger = setInterval(ping, PING_EVERY_MS);
  };
  socket.onmessage = ({ data }) => receive(data);
  socket.onclose = ({ code, reason, wasClean }) => {
    const unclean = wasClean ? '' : ', not clean';
    showEvent(`closed: ${code} ${reason}${unclean}`);
    setStatus(wasClean ? '' : 'bad', `Closed: ${code} ${reason}`);
    if (ownId !== null) showNews('Disconnected.');
    $('people').textContent = '';
    const typing = document.activeElement === $('words');
    clearInterval(pinger);
    socket = null;
    showConnected('idle');
    if (typing) $('connect').focus();
  };
}

$('controls').addEventListener('submit', (event) => {
  event.preventDefault();
  if (socket) {
    socket.close();
  } else {
    connect();
  }
});

$('say').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('words').value;
  if (socket && text.trim()) {
    say({ type: 'say', text });
    $('words').value = '';
  }
  $('words').focus();
});

$('show-pings').addEventListener('change', ({ target }) => {
  $('wire').classList.toggle('quiet', !target.checked);
  $('wire').scrollTop = $('wire').scrollHeight;
});

$('clear').addEventListener('click', () => $('wire').replaceChildren());

// ---- the three parts of the page

const tabs = [...document.querySelectorAll('[role="tab"]')];

function showTab(name) {
  const chosen = tabs.find((tab) => tab.dataset.tab === name) ?? tabs[0];
  for (const tab of tabs) {
    const selected = tab === chosen;
    tab.setAttribute('aria-selected', String(selected));
    tab.tabIndex = selected ? 0 : -1;
    $(tab.getAttribute('aria-controls')).hidden = !selected;
  }
  document.body.dataset.tab = chosen.dataset.tab;
}

function goTo(tab) {
  history.replaceState(null, '', `#${tab.dataset.tab}`);
  showTab(tab.dataset.tab);
}

for (const [n, tab] of tabs.entries()) {
  tab.addEventListener('click', () => goTo(tab));
  tab.addEventListener('keydown', ({ key }) => {
    const next = { ArrowRight: n + 1, ArrowLeft: n - 1, Home: 0, End: -1 }[key];
    if (next === undefined) return;
    const other = tabs.at(next % tabs.length);
    goTo(other);
    other.focus();
  });
}
window.addEventListener('hashchange', () => showTab(location.hash.slice(1)));
showTab(location.hash.slice(1));

if (typeof SockJS === 'undefined') {
  setStatus('bad', 'The client script sockjs.min.js could not be loaded.');
  for (const control of ['connect', 'transport', 'all', 'start']) $(control).disabled = true;
}
