// The page: one session, the room that it is in, and the processes behind it.

const NO_NAME = 4400;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 5_000;
const LOOK_EVERY_MS = 500;
const TRAIL = 14;
const MAX_LINES = 400;
const COUNTS_OF_A_ROW = 40;

const $ = (id) => document.getElementById(id);

function element(name, className = '', text = '') {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function letter(node, name = 'span') {
  const made = element(name, 'letter', node);
  made.dataset.node = node;
  return made;
}

// Adds a line at the end; keeps the end in view unless the reader scrolled up.
function append(list, line) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(line);
  while (list.children.length > MAX_LINES) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function tell(tone, ...text) {
  const line = element('li');
  const time = element('time', '', new Date().toLocaleTimeString('en-GB'));
  const what = element('span');
  what.dataset.tone = tone;
  what.append(...text);
  line.append(time, what);
  append($('events'), line);
}

function setStatus(tone, text) {
  $('status').dataset.tone = tone;
  $('status').textContent = text;
}

// ---- at which node each request comes in

// The node that has this tab's session.
let home = null;
// Counts this tab's sessions: which node has the session is known some requests after its first one.
let session = 0;
const came = new Map();
let last = null;

function cameIn(node, what) {
  came.set(node, (came.get(node) ?? 0) + 1);
  last = { node, what };
  const mark = letter(node, 'li');
  mark.title = `${what}, at node ${node}`;
  mark.dataset.session = session;
  mark.classList.toggle('home', node === home);
  $('trail').append(mark);
  while ($('trail').children.length > TRAIL) $('trail').firstElementChild.remove();
  showNodes();
}

// The client picks up the browser's constructor while it loads. A WebSocket and an EventSource do not tell the headers of
// their answers; of the latter, those of the sends are seen.
const OPENS = XMLHttpRequest.prototype.open;
XMLHttpRequest.prototype.open = function (method, url, ...rest) {
  const what = new URL(url, document.baseURI).pathname.split('/').pop();
  this.addEventListener('readystatechange', () => {
    if (this.readyState !== XMLHttpRequest.HEADERS_RECEIVED) return;
    const edge = this.getResponseHeader('x-edge');
    if (edge) cameIn(edge, what);
  });
  return OPENS.call(this, method, url, ...rest);
};

// ---- the processes

let processes = [];
const cards = new Map();

function cardOf(name) {
  let card = cards.get(name);
  if (!card) {
    card = $('node').content.firstElementChild.cloneNode(true);
    card.dataset.node = name;
    card.addEventListener('click', ({ target }) => act(name, target.dataset.action));
    cards.set(name, card);
    $('nodes').append(card);
  }
  return card;
}

const part = (card, name) => card.querySelector(`[data-part="${name}"]`);
const TONES = { running: 'good', starting: 'wait', draining: 'wait', killed: 'bad', drained: '', ended: 'bad' };

// A process that has ended says how: "killed", "drained: 3 sessions closed, ...", or why it could not start.
function wordFor({ state, how }) {
  if (state !== 'ended') return state;
  return how === 'killed' ? how : how.startsWith('drained: ') ? 'drained' : state;
}

function showState(card, process) {
  const { state } = process;
  const badge = part(card, 'state');
  badge.textContent = wordFor(process);
  badge.dataset.tone = TONES[badge.textContent];
  for (const button of card.querySelectorAll('[data-action]')) {
    const starts = button.dataset.action === 'start';
    button.hidden = starts !== (state === 'ended');
    button.disabled = state === 'starting' || (state === 'draining' && button.dataset.action === 'drain');
  }
}

function showNodes() {
  for (const process of processes.filter(({ kind }) => kind === 'node')) {
    const { name, state, pid, how, address } = process;
    const card = cardOf(name);
    card.classList.toggle('home', name === home);
    card.classList.toggle('is-ended', state === 'ended');
    part(card, 'letter').textContent = name;
    part(card, 'title').textContent = name === home ? 'your session' : '';
    const ended = how === 'killed' ? `nobody listens at ${address}` : how?.replace('drained: ', '');
    part(card, 'detail').textContent = ended ?? `${address}${pid ? `, process ${pid}` : ''}`;
    part(card, 'detail').title = part(card, 'detail').textContent;
    showState(card, process);
    const tabs = [];
    for (const { user, tabs: of } of people.values()) {
      for (const { id, data } of of) {
        if (data.node !== name) continue;
        const tab = element('li', '', `${user} `);
        tab.append(element('small', '', data.transport));
        tab.classList.toggle('own', name === home && user === own.name && data.transport === own.transport);
        tab.dataset.id = id;
        tabs.push(tab);
      }
    }
    part(card, 'tabs').replaceChildren(...tabs);
    const count = came.get(name) ?? 0;
    const here = part(card, 'came');
    here.classList.toggle('now', last?.node === name);
    here.textContent = count === 0 ? 'no request yet' : count === 1 ? '1 request' : `${count} requests`;
    if (last?.node === name) {
      const on = home && name !== home && last.what !== 'info' ? ` → ${home}` : '';
      here.textContent = `${last.what}${on} (${count})`;
    }
  }
  const bus = processes.find(({ name }) => name === 'nats');
  if (bus) showState($('bus'), bus);
}

async function look() {
  try {
    const overview = await (await fetch('processes')).json();
    for (const process of overview.processes) {
      const before = processes.find(({ name }) => name === process.name);
      if (!before || before.state === process.state || process.state === 'starting') continue;
      const what = process.kind === 'node' ? `node ${process.name}` : 'NATS';
      const word = wordFor(process);
      const how = word === 'drained' || word === 'ended' ? `: ${process.how.replace('drained: ', '')}` : '';
      tell('', `${what} ${word === 'ended' ? 'has' : 'is'} ${word}${how}`);
    }
    processes = overview.processes;
    $('counting').checked = overview.is_counting;
    $('heard').textContent = `${overview.heard} ${overview.heard === 1 ? 'node is' : 'nodes are'} heard`;
    showNodes();
  } catch {
    setStatus('bad', 'The example has ended');
  }
}

async function act(name, action) {
  if (!action) return;
  await fetch(`processes/${name}/${action}`, { method: 'PUT' });
  await look();
}

$('bus').addEventListener('click', ({ target }) => act('nats', target.dataset.action));
$('counting').addEventListener('change', ({ target }) => fetch(`counting/${target.checked}`, { method: 'PUT' }));

// ---- the room

let people = new Map();
// The number that the counter has said last, to see a gap or a double.
let counted = null;
// How many of the lines that come now were said while this tab was away.
let missed = 0;

function showPeople() {
  const tabs = [...people.values()].reduce((sum, { tabs }) => sum + tabs.length, 0);
  $('people').textContent = people.size === 0 ? '' : `${people.size} here, in ${tabs} ${tabs === 1 ? 'tab' : 'tabs'}`;
  showNodes();
}

function showCount(count, isLate) {
  let row = $('talk').lastElementChild;
  if (!row?.matches('.counts') || row.children.length >= COUNTS_OF_A_ROW) {
    row = element('div', 'counts');
    append($('talk'), row);
  }
  const mark = element('span', isLate ? 'late' : '', count);
  if (counted !== null && count !== counted + 1) mark.classList.add('wrong');
  counted = count;
  row.append(mark);
  $('talk').scrollTop = $('talk').scrollHeight;
}

function showLine({ from, node, text, count }) {
  const isLate = missed > 0;
  if (isLate) missed -= 1;
  if (count !== undefined) {
    showCount(count, isLate);
    return;
  }
  const line = element('div', isLate ? 'said late' : 'said');
  const what = element('span');
  what.append(element('span', 'who', `${from}: `), text);
  line.append(letter(node), what);
  append($('talk'), line);
}

function note(text) {
  append($('talk'), element('div', 'note', text));
}

// ---- the session

const NAMES = ['Ada', 'Bob', 'Cleo', 'Dan', 'Eve', 'Finn', 'Gus', 'Hana', 'Ines', 'Jo', 'Kim', 'Leo', 'Mia', 'Noor'];
let socket = null;
let timer = null;
let delay = FIRST_DELAY_MS;
// That of the last line that is shown: what is behind it comes after a reconnection.
let position = null;
let own = { name: '', transport: '' };
let closedAt = null;
let wanted = false;

const on = {
  room({ node, transport, position: here, begins_anew: beginsAnew, lines }) {
    const away = closedAt === null ? null : ((Date.now() - closedAt) / 1000).toFixed(1);
    closedAt = null;
    home = node;
    own.transport = transport;
    for (const mark of $('trail').querySelectorAll(`[data-session="${session}"]`)) {
      mark.classList.toggle('home', mark.dataset.node === node);
    }
    setStatus('good', `Connected over ${transport}, at node ${node}`);
    if (position === null) {
      tell('good', `connected over ${transport}: the session is at node ${node}`);
    } else if (beginsAnew) {
      note('Too much was said meanwhile. The last lines:');
      tell('bad', `back after ${away} s at node ${node}, but what was missed is no longer kept`);
    } else {
      missed = lines;
      const what = lines === 0 ? 'nothing was missed' : lines === 1 ? 'with a missed line' : `with ${lines} missed lines`;
      tell('good', `back after ${away} s, at node ${node}: ${what}`);
    }
    if (beginsAnew) counted = null;
    position = here;
    showNodes();
  },
  line({ position: here, line }) {
    position = here;
    showLine(line);
  },
  present({ present }) {
    people = new Map(present.map((one) => [one.user, one]));
    showPeople();
  },
  changed({ gone, here }) {
    gone.forEach((user) => people.delete(user));
    here.forEach((one) => people.set(one.user, one));
    showPeople();
  },
  refused({ text }) {
    note(`Not said, for the bus is away: ${text}`);
  },
};

function showConnected() {
  const open = socket?.readyState === SockJS.OPEN;
  $('connect').textContent = wanted ? 'Disconnect' : 'Connect';
  $('connect').classList.toggle('main', !wanted);
  $('name').disabled = $('transport').disabled = wanted;
  $('words').disabled = $('send').disabled = !open;
}

function connect() {
  session += 1;
  const query = new URLSearchParams({ name: own.name });
  if (position !== null) query.set('since', position);
  const transport = $('transport').value;
  // The client's own limit for a transport to open follows the round trip, and can be short for a busy machine.
  socket = new SockJS(`/chat?${query}`, null, { transports: transport ? [transport] : undefined, timeout: 5000 });
  socket.onopen = showConnected;
  socket.onmessage = ({ data }) => {
    delay = FIRST_DELAY_MS;
    const event = JSON.parse(data);
    on[event.type]?.(event);
  };
  socket.onclose = ({ code, reason }) => {
    closedAt ??= Date.now();
    missed = 0;
    if (home !== null) tell(wanted ? 'bad' : '', `closed: ${code} ${reason}`);
    home = null;
    last = null;
    people.clear();
    showPeople();
    if (code === NO_NAME) wanted = false;
    if (wanted) {
      setStatus('wait', `Away: ${code} ${reason}`);
      timer = setTimeout(connect, delay * (0.5 + Math.random()));
      delay = Math.min(2 * delay, LONGEST_DELAY_MS);
    } else {
      setStatus('', `Closed: ${code} ${reason}`);
    }
    showConnected();
  };
  showConnected();
}

$('controls').addEventListener('submit', (event) => {
  event.preventDefault();
  wanted = !wanted;
  if (wanted) {
    own = { name: $('name').value.trim(), transport: '' };
    sessionStorage.setItem('name', own.name);
    setStatus('wait', 'Connecting…');
    connect();
  } else {
    clearTimeout(timer);
    if (socket?.readyState <= SockJS.OPEN) socket.close();
    else setStatus('', 'Not connected');
    showConnected();
  }
});

$('say').addEventListener('submit', (event) => {
  event.preventDefault();
  if (socket?.readyState !== SockJS.OPEN || !$('words').value.trim()) return;
  socket.send(JSON.stringify({ type: 'say', text: $('words').value }));
  $('words').value = '';
});

if (typeof SockJS === 'undefined') {
  setStatus('bad', 'The client script sockjs.min.js could not be loaded.');
  $('connect').disabled = true;
} else {
  const asked = new URLSearchParams(location.search);
  $('name').value =
    asked.get('name') ?? sessionStorage.getItem('name') ?? NAMES[Math.floor(Math.random() * NAMES.length)];
  if (asked.has('transport')) $('transport').value = asked.get('transport');
  $('controls').requestSubmit();
}
await look();
setInterval(look, LOOK_EVERY_MS);
