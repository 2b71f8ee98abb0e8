// The page of the trading example. What it does with STOMP is what a page of a Spring application does.
'use strict';

const $ = (id) => document.getElementById(id);
const HISTORY = 60;
const MOST_ACTIVITY = 50;
const SVG = 'http://www.w3.org/2000/svg';

let client = null;
// By ticker: what the server says of a stock, and the elements of its row.
const stocks = new Map();
let portfolio = null;

// --- STOMP

function connect() {
  client = new StompJs.Client({
    webSocketFactory: () => new SockJS('/stomp'),
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
  $('me').textContent = frame.headers['user-name'];
  $('door').hidden = true;
  $('trading').hidden = false;
  show('good', 'connected');
  // A server that was started again counts anew.
  portfolio = null;
  client.subscribe('/user/queue/errors', ({ body }) => complain(body));
  client.subscribe('/user/queue/position-updates', ({ body }) => update(JSON.parse(body)));
  client.subscribe('/topic/price.stock.*', ({ body }) => quote(JSON.parse(body)));
  // One answer each: how it is now.
  client.subscribe('/app/positions', ({ body }) => update(JSON.parse(body)));
  client.subscribe('/app/stocks', ({ body }) => showStocks(JSON.parse(body)));
}

// Who has not logged in, or not for long enough, does so at the door.
function refused(frame) {
  const { message } = frame.headers;
  const hasBeenHere = !$('trading').hidden;
  const why = {
    'access refused': hasBeenHere ? 'Your login has ended.' : '',
    'logged out': 'You have logged out.',
  }[message];
  leave(why ?? `The server says: ${message}.`);
}

function trade({ side, ticker, shares }) {
  client.publish({
    destination: '/app/trade',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ side, ticker, shares }),
  });
}

function leave(why = '') {
  client?.deactivate();
  client = null;
  $('trading').hidden = true;
  $('door').hidden = false;
  $('refused').textContent = why;
  $('refused').hidden = why === '';
  $('name').focus();
}

// --- The page

const money = (cents) => (cents / 100).toLocaleString('en-US', { style: 'currency', currency: 'USD' });
const plain = (cents) => (cents / 100).toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const number = (n) => n.toLocaleString('en-US');

function show(tone, text) {
  $('state').dataset.tone = tone;
  $('state').textContent = text;
  $('send').disabled = tone !== 'good';
  // Prices of before are not those of now.
  $('stocks').classList.toggle('stale', tone !== 'good');
}

function make(tag, className = '', text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function showStocks(all) {
  if (stocks.size === 0) {
    $('ticker').replaceChildren(...all.map(({ ticker, company }) => new Option(`${ticker} · ${company}`, ticker)));
    all.forEach(({ ticker, company }) => stocks.set(ticker, row(ticker, company)));
  }
  for (const stock of all) {
    Object.assign(stocks.get(stock.ticker), stock);
    showPrice(stocks.get(stock.ticker));
  }
  showPositions();
}

function row(ticker, company) {
  const tr = make('tr');
  const name = make('th');
  name.scope = 'row';
  name.append(make('strong', '', ticker), make('span', '', company));
  const chart = make('td', 'chart');
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 100 30');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  svg.append(path);
  chart.append(svg);
  const price = make('td', 'number price');
  const [today, shares, worth] = ['number today', 'number', 'number worth'].map((name) => make('td', name));
  const order = make('td');
  const button = make('button', 'quiet', 'Trade');
  button.setAttribute('aria-label', `Trade ${ticker}`);
  button.onclick = () => {
    $('ticker').value = ticker;
    estimate();
    $('shares').focus();
    $('shares').select();
  };
  order.append(button);
  tr.append(name, chart, price, today, shares, worth, order);
  $('stocks').append(tr);
  return { cells: { svg, path, price, today, shares, worth } };
}

function quote({ ticker, price }) {
  const stock = stocks.get(ticker);
  if (!stock) {
    // Those of /app/stocks are still to come, and are newer.
    return;
  }
  const way = Math.sign(price - stock.price);
  stock.price = price;
  stock.history = [...stock.history, price].slice(-HISTORY);
  showPrice(stock, { 1: 'rose', [-1]: 'fell' }[way]);
  showPositions();
}

function showPrice({ price, open, history, cells }, way = '') {
  // A new element begins its animation anew.
  cells.price.replaceChildren(make('span', way, plain(price)));
  const change = (price / open - 1) * 100;
  cells.today.textContent = `${change < 0 ? '▼' : '▲'} ${Math.abs(change).toFixed(2)}%`;
  for (const element of [cells.today, cells.svg]) {
    element.classList.toggle('up', change >= 0);
    element.classList.toggle('down', change < 0);
  }
  const [low, high] = [Math.min(...history), Math.max(...history)];
  const points = history.map((value, n) => {
    const x = (n / Math.max(1, history.length - 1)) * 100;
    const y = 28 - ((value - low) / Math.max(1, high - low)) * 26;
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  cells.path.setAttribute('d', `M${points.join('L')}`);
}

function update(newer) {
  // Of two trades in two windows, the messages may change places.
  if (portfolio && newer.revision < portfolio.revision) {
    return;
  }
  portfolio = newer;
  if (newer.trade) {
    const { side, shares, ticker, price } = newer.trade;
    complain('');
    note(`${side === 'buy' ? 'Bought' : 'Sold'} ${number(shares)} ${ticker} at ${plain(price)}`);
  }
  showPositions();
}

function showPositions() {
  if (!portfolio) {
    return;
  }
  let held = 0;
  for (const [ticker, { price, cells }] of stocks) {
    const shares = portfolio.positions[ticker] ?? 0;
    held += shares * price;
    cells.shares.textContent = shares ? number(shares) : '–';
    cells.worth.textContent = shares ? plain(shares * price) : '–';
    for (const cell of [cells.shares, cells.worth]) {
      cell.classList.toggle('none', !shares);
    }
  }
  $('cash').textContent = money(portfolio.cash);
  $('held').textContent = money(held);
  $('total').textContent = money(portfolio.cash + held);
  estimate();
}

function order() {
  const data = new FormData($('order'));
  return { side: data.get('side'), ticker: data.get('ticker'), shares: Number(data.get('shares')) };
}

function estimate() {
  const { side, ticker, shares } = order();
  const price = stocks.get(ticker)?.price;
  $('estimate').textContent = price && shares > 0 ? money(price * shares) : '–';
  $('send').textContent = `${side === 'buy' ? 'Buy' : 'Sell'} ${ticker ?? ''}`;
}

function complain(text) {
  $('error').textContent = text && `No trade: ${text}.`;
  $('error').hidden = text === '';
  if (text) {
    note(`No trade: ${text}`, 'failed');
  }
}

function note(text, className = '') {
  const list = $('activity');
  list.querySelector('.soft')?.remove();
  const item = make('li', className);
  item.append(make('span', '', text), make('time', '', new Date().toLocaleTimeString()));
  list.prepend(item);
  while (list.children.length > MOST_ACTIVITY) {
    list.lastElementChild.remove();
  }
}

$('login').onsubmit = async (event) => {
  event.preventDefault();
  const answer = await fetch('/login', { method: 'POST', body: new URLSearchParams(new FormData($('login'))) }).catch(() => null);
  if (!answer?.ok) {
    $('refused').textContent = answer?.status === 401 ? 'No such name and password.' : 'The server cannot be reached.';
    $('refused').hidden = false;
    return;
  }
  $('password').value = '';
  connect();
};
$('logout').onclick = async () => {
  const answer = await fetch('/logout', { method: 'POST' }).catch(() => null);
  leave(answer?.ok ? 'You have logged out.' : 'The server cannot be reached.');
};
$('order').oninput = estimate;
$('order').onsubmit = (event) => {
  event.preventDefault();
  complain('');
  trade(order());
};

if (!window.SockJS || !window.StompJs) {
  $('missing').hidden = false;
  $('login').hidden = true;
  $('door').hidden = false;
} else {
  // The browser may have logged in before: the server knows by the cookie.
  connect();
}
