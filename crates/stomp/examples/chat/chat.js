// The page of the chat. What it does with STOMP is what a page of a Spring application does.
'use strict';

const $ = (id) => document.getElementById(id);
const MOST_LINES = 500;

let client = null;
let me = '';
let room = '';
let rooms = [];
// The lines of the room, by their ids.
let lines = new Map();
let ofRoom = [];

// --- STOMP

function connect(name) {
  me = name;
  client = new StompJs.Client({
    webSocketFactory: () => new SockJS('/stomp'),
    connectHeaders: { login: name },
    reconnectDelay: 1000,
    maxReconnectDelay: 30000,
    reconnectTimeMode: StompJs.ReconnectionTimeMode.EXPONENTIAL,
    onConnect: connected,
    onStompError: refused,
    onWebSocketClose: () => {
      if (client?.active) {
        show('wait', 'connection lost, trying again');
      }
    },
  });
  show('wait', 'connecting');
  client.activate();
}

function connected(frame) {
  me = frame.headers['user-name'];
  show('good', 'connected');
  client.subscribe('/user/queue/errors', ({ body }) => complain(body));
  client.subscribe('/topic/rooms', ({ body }) => showRooms(JSON.parse(body)));
  client.subscribe('/app/rooms', ({ body }) => showRooms(JSON.parse(body)));
  ofRoom = [];
  enter(room || roomOfUrl());
}

// The name is not a name, or the server ends the session: there is no point in trying again with it.
function refused(frame) {
  const { message } = frame.headers;
  leave(message === 'access refused' ? 'The server does not take this name.' : `The server says: ${message}`);
}

function enter(name) {
  ofRoom.forEach((subscription) => subscription.unsubscribe());
  if (room !== name) {
    lines = new Map();
  }
  room = name;
  history.replaceState(null, '', `#${room}`);
  showRoom();
  ofRoom = [
    client.subscribe(`/topic/rooms/${room}/people`, ({ body }) => showPeople(JSON.parse(body))),
    client.subscribe(`/topic/rooms/${room}`, ({ body }) => add([JSON.parse(body)])),
    // One answer: what was said before.
    client.subscribe(`/app/rooms/${room}`, ({ body }) => {
      const answer = JSON.parse(body);
      // After a restart of the server the lines begin anew.
      lines = new Map();
      add(answer.lines);
      showPeople(answer.people);
    }),
  ];
}

function say(text) {
  client.publish({
    destination: `/app/rooms/${room}`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text }),
  });
}

function leave(why = '') {
  client?.deactivate();
  client = null;
  $('chat').hidden = true;
  $('door').hidden = false;
  $('refused').textContent = why;
  $('refused').hidden = why === '';
  $('name').focus();
}

// --- The page

function show(tone, text) {
  $('state').dataset.tone = tone;
  $('state').textContent = text;
  $('me').textContent = me;
  const isConnected = tone === 'good';
  for (const control of document.querySelectorAll('#say *, #other *, #rooms button')) {
    control.disabled = !isConnected;
  }
}

function roomOfUrl() {
  const name = location.hash.slice(1);
  return /^[a-z0-9-]{1,30}$/.test(name) ? name : 'lobby';
}

function make(tag, className = '', text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// The same name has the same colour everywhere.
function hue(name) {
  let sum = 0;
  for (const character of name) {
    sum = (sum * 31 + character.codePointAt(0)) % 9973;
  }
  // Names that are alike are far apart.
  return Math.round(sum * 137.5) % 360;
}

function showRooms(list) {
  rooms = list;
  const shown = rooms.some(({ name }) => name === room) || !room ? rooms : [...rooms, { name: room, people: 0 }];
  $('rooms').replaceChildren(
    ...shown.map(({ name, people }) => {
      const button = make('button');
      button.type = 'button';
      const number = make('span', 'number', people || '');
      number.title = `${people} here`;
      button.append(make('span', '', `#${name}`), number);
      button.disabled = !client?.connected;
      if (name === room) {
        button.setAttribute('aria-current', 'true');
      }
      button.onclick = () => enter(name);
      const item = make('li');
      item.append(button);
      return item;
    }),
  );
}

function showRoom() {
  $('title').textContent = room;
  complain('');
  showRooms(rooms);
  showLines();
  showPeople([]);
  $('text').focus();
}

function showPeople(people) {
  $('people').replaceChildren(
    ...people.map((name) => {
      const item = make('li', '', name);
      if (name === me) {
        item.append(make('span', 'you soft', '(you)'));
      }
      item.dataset.initial = [...name][0].toUpperCase();
      item.style.setProperty('--hue', hue(name));
      return item;
    }),
  );
  $('count').textContent = people.length === 1 ? '1 person' : people.length ? `${people.length} people` : '';
}

function add(more) {
  const newest = Math.max(0, ...lines.keys());
  const fresh = more.filter(({ id }) => !lines.has(id));
  fresh.forEach((line) => lines.set(line.id, line));
  if (fresh.every(({ id }) => id > newest) && newest > 0) {
    append(fresh);
  } else {
    showLines();
  }
}

function showLines() {
  lines = new Map([...lines].sort(([a], [b]) => a - b));
  $('lines').replaceChildren();
  append([...lines.values()]);
  if (lines.size === 0) {
    $('lines').append(make('li', 'empty', 'Nothing has been said here yet.'));
  }
}

// Only what is new is added, so that it alone is read out.
function append(more) {
  const list = $('lines');
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  for (const line of more) {
    const item = make('li', line.from === me ? 'own' : '');
    const { from, at } = list.lastElementChild?.dataset ?? {};
    // Lines that follow each other within five minutes stand under one name.
    if (from !== line.from || line.at - at > 300_000) {
      const head = make('div', 'head');
      const who = make('strong', '', line.from);
      who.style.setProperty('--hue', hue(line.from));
      const time = new Date(line.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
      head.append(who, make('span', '', time));
      item.append(head);
    }
    item.append(make('span', 'text', line.text));
    Object.assign(item.dataset, { from: line.from, at: line.at });
    list.append(item);
  }
  while (lines.size > MOST_LINES) {
    lines.delete(lines.keys().next().value);
    list.firstElementChild.remove();
  }
  if (isAtEnd) {
    list.scrollTop = list.scrollHeight;
  }
}

function complain(text) {
  $('error').textContent = text && `Not sent: ${text}`;
  $('error').hidden = text === '';
}

$('join').onsubmit = (event) => {
  event.preventDefault();
  const name = $('name').value.trim();
  if (!name) {
    return;
  }
  sessionStorage.setItem('name', name);
  $('door').hidden = true;
  $('chat').hidden = false;
  connect(name);
};
$('leave').onclick = () => {
  sessionStorage.removeItem('name');
  room = '';
  leave();
};
$('other').onsubmit = (event) => {
  event.preventDefault();
  enter($('room').value);
  $('room').value = '';
};
$('say').onsubmit = (event) => {
  event.preventDefault();
  complain('');
  say($('text').value);
  $('text').value = '';
};
window.onhashchange = () => {
  if (client?.connected && roomOfUrl() !== room) {
    enter(roomOfUrl());
  }
};

if (!window.SockJS || !window.StompJs) {
  $('missing').hidden = false;
  $('join').hidden = true;
} else if (sessionStorage.getItem('name')) {
  // Loaded again: the window knows the name.
  $('name').value = sessionStorage.getItem('name');
  $('join').requestSubmit();
}
