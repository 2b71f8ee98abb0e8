// The page: one session through the gateway, and the backends behind it.
import { $, append, element, letter, parsed, showFrame, showSeen } from './wire.js';

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 4_000;
const LOOK_EVERY_MS = 300;
// The client's own limit for a transport to open follows the round trip, which says nothing about a slow backend.
const OPENING_MS = 8_000;
const NAMES = ['Ada', 'Bob', 'Cleo', 'Dan', 'Eve', 'Finn', 'Gus', 'Hana', 'Ines', 'Jo', 'Kim', 'Leo', 'Mia', 'Noor'];

// Who this tab is: in the query of its URL, which the gateway passes on to the backend.
const tab = [...crypto.getRandomValues(new Uint8Array(6))].map((n) => (n % 36).toString(36)).join('');

function setStatus(tone, text) {
  $('status').dataset.tone = tone;
  $('status').textContent = text;
}

function note(text) {
  append($('talk'), element('div', 'note', text));
}

// ---- the gateway and the backends

const cards = new Map();
const part = (card, name) => card.querySelector(`[data-part="${name}"]`);
// The backend that has this tab's session.
let home = null;
let backends = [];
let heard = 0;
let configured = null;

async function act(name, action) {
  const answer = await fetch(`backends/${name}/${action}`, { method: 'PUT' });
  const text = await answer.text();
  if (text) $('report').textContent = text;
  await look();
}

function cardOf(name) {
  let card = cards.get(name);
  if (!card) {
    card = $('backend').content.firstElementChild.cloneNode(true);
    card.dataset.backend = name;
    part(card, 'letter').textContent = name;
    card.addEventListener('click', ({ target }) => target.dataset.action && act(name, target.dataset.action));
    part(card, 'temper').addEventListener('change', ({ target }) => act(name, target.value));
    cards.set(name, card);
    $('backends').append(card);
  }
  return card;
}

function showBackend({ name, address, is_running: isRunning, is_drained: isDrained, temper }) {
  const card = cardOf(name);
  card.classList.toggle('home', name === home);
  card.classList.toggle('is-dead', !isRunning);
  part(card, 'title').textContent = name === home ? 'your session' : '';
  part(card, 'address').textContent = `ws://${address}/ws`;
  const badge = part(card, 'state');
  badge.textContent = !isRunning ? 'killed' : isDrained ? 'draining' : 'running';
  badge.dataset.tone = !isRunning ? 'bad' : isDrained ? 'wait' : 'good';
  // Somebody may be choosing.
  if (document.activeElement !== part(card, 'temper')) part(card, 'temper').value = temper;
  part(card, 'temper').disabled = !isRunning;
  const hidden = { kill: !isRunning, start: isRunning, drain: isDrained, undrain: !isDrained };
  for (const button of card.querySelectorAll('[data-action]')) button.hidden = hidden[button.dataset.action];
}

// What a reload has changed stands out.
function showConfig(text) {
  if (text === configured) return;
  const before = new Set(configured?.split('\n') ?? text.split('\n'));
  const lines = text.trimEnd().split('\n').map((line) => element('span', before.has(line) ? '' : 'changed', line));
  $('config').replaceChildren(...lines);
  configured = text;
}

let looking = null;

// One look at a time: each entry is shown once.
function look() {
  looking ??= lookNow().finally(() => (looking = null));
  return looking;
}

async function lookNow() {
  let overview;
  try {
    overview = await (await fetch(`overview?${new URLSearchParams({ tab, since: heard })}`)).json();
  } catch {
    setStatus('bad', 'The demo has ended');
    return;
  }
  for (const entry of overview.seen) {
    heard = entry.number;
    showSeen(entry);
  }
  showConfig(overview.config);
  $('sessions').textContent = `${overview.sessions} ${overview.sessions === 1 ? 'session' : 'sessions'}`;
  backends = overview.backends;
  backends.forEach(showBackend);
}

// ---- the session

let gateway = '';
let socket = null;
let wanted = false;
let timer = null;
let delay = FIRST_DELAY_MS;
// The last that the gateway has answered in place of a transport.
let refusal = null;

tap.listen(tab, (direction, channel, text) => {
  if (direction === 'fail') refusal = `${channel} ${text}`;
  showFrame(direction, channel, text);
});

const on = {
  hello({ backend, name }) {
    home = backend;
    setStatus('good', `Connected over ${socket.transport}; backend ${backend} has the session`);
    backends.forEach(showBackend);
    note(`Hello ${name}, this is backend ${backend}.`);
    showConnected();
  },
  said({ from, backend, text }) {
    const line = element('div', 'said');
    const what = element('span');
    what.append(element('span', 'who', `${from}: `), text);
    line.append(letter(backend), what);
    append($('talk'), line);
  },
};

function transmit(message) {
  const text = JSON.stringify(message);
  // An iframe gets the message in quotes; what it does with it cannot be seen from here.
  if (socket.transport.startsWith('iframe-')) tap.report(tab, 'out', 'iframe', JSON.stringify(text));
  socket.send(text);
}

function showConnected() {
  const isOpen = socket?.readyState === SockJS.OPEN;
  $('connect').textContent = wanted ? 'Disconnect' : 'Connect';
  $('connect').classList.toggle('main', !wanted);
  $('name').disabled = $('transport').disabled = wanted;
  $('words').disabled = $('send').disabled = $('close').disabled = !isOpen;
  $('browser-link').classList.toggle('on', isOpen);
  $('backend-link').classList.toggle('on', isOpen && home !== null);
  const transport = isOpen ? socket.transport : $('transport').value;
  part($('browser-link'), 'label').textContent = transport || 'SockJS';
  $('over').textContent = isOpen ? `, over ${socket.transport}` : '';
}

function connect() {
  const query = new URLSearchParams({ view: tab, name: $('name').value.trim() });
  const transport = $('transport').value;
  refusal = null;
  let hasOpened = false;
  setStatus('wait', 'Connecting…');
  socket = new SockJS(`${gateway}/chat?${query}`, null, {
    transports: transport ? [transport] : undefined,
    timeout: OPENING_MS,
  });
  socket.onopen = () => {
    hasOpened = true;
    showConnected();
  };
  socket.onmessage = ({ data }) => {
    delay = FIRST_DELAY_MS;
    const message = parsed(data);
    on[message?.type]?.(message);
  };
  socket.onclose = ({ code, reason }) => {
    home = null;
    backends.forEach(showBackend);
    const how = `${code}${reason ? ` ${reason}` : ''}`;
    if (hasOpened) {
      note(`Closed: ${how}`);
    } else {
      note(`Did not open: ${how}${refusal ? ` (${refusal})` : ''}`);
    }
    if (wanted) {
      setStatus('wait', `${hasOpened ? 'Closed' : 'Did not open'}: ${how}. Trying again`);
      timer = setTimeout(connect, delay * (0.5 + Math.random()));
      delay = Math.min(2 * delay, LONGEST_DELAY_MS);
    } else {
      setStatus('', `Closed: ${how}`);
    }
    showConnected();
  };
  showConnected();
}

$('controls').addEventListener('submit', (event) => {
  event.preventDefault();
  wanted = !wanted;
  if (wanted) {
    sessionStorage.setItem('name', $('name').value.trim());
    delay = FIRST_DELAY_MS;
    connect();
    return;
  }
  clearTimeout(timer);
  if (socket?.readyState <= SockJS.OPEN) socket.close();
  else setStatus('', 'Not connected');
  showConnected();
});

$('close').addEventListener('click', () => {
  transmit({ type: 'close', code: 4001, reason: 'enough' });
});

$('say').addEventListener('submit', (event) => {
  event.preventDefault();
  if (socket?.readyState !== SockJS.OPEN || !$('words').value.trim()) return;
  transmit({ type: 'say', text: $('words').value });
  $('words').value = '';
});

$('transport').addEventListener('change', showConnected);

function load(url) {
  return new Promise((resolve, reject) => {
    const script = element('script');
    script.src = url;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${url} could not be loaded.`));
    document.head.append(script);
  });
}

const { port, client } = await (await fetch('place')).json();
gateway = `http://${location.hostname}:${port}`;
try {
  // Behind the tap: the client picks up the browser's constructors while it loads.
  await load(new URL(client, gateway));
  const asked = new URLSearchParams(location.search);
  $('name').value =
    asked.get('name') ?? sessionStorage.getItem('name') ?? NAMES[Math.floor(Math.random() * NAMES.length)];
  if (asked.has('transport')) $('transport').value = asked.get('transport');
  await look();
  $('controls').requestSubmit();
} catch (error) {
  setStatus('bad', error.message);
  $('connect').disabled = true;
}
setInterval(look, LOOK_EVERY_MS);
