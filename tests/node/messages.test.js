// Messages in both directions: none lost, none twice, none out of order, none altered.
import test from 'node:test';
import { TRANSPORTS, peersOf, unique } from './support.js';

const MANY = 1000;
const BURST = 25;

// Sends everything at once and expects it all back, then makes another round
// trip to see that nothing follows: no repetition after a new poll, for example.
async function echoes(peer, messages, what) {
  peer.send(...messages);
  await peer.expect(messages, what);
  const fence = unique('fence');
  peer.send(fence);
  await peer.expect([fence], `fence after ${what}`);
}

function everyBmpCharacter() {
  const texts = [];
  let text = '';
  for (let unit = 0; unit <= 0xffff; unit += 1) {
    if (unit >= 0xd800 && unit <= 0xdfff) {
      continue;
    }
    text += String.fromCharCode(unit);
    if (text.length === 512) {
      texts.push(text);
      text = '';
    }
  }
  return text ? [...texts, text] : texts;
}

const ASTRAL = [
  '\u{10000}',
  '\u{1f600}',
  'a\u{1f468}\u200d\u{1f469}\u200d\u{1f467}b',
  '\u{1d11e}\u{20bb7}\u{e0041}',
  '\u{1fffe}\u{1ffff}\u{10fffe}\u{10ffff}',
];

const AWKWARD = [
  '',
  ' ',
  '%',
  '%%',
  '%41',
  '%80',
  '%zz',
  '%25',
  '%E2%82%AC',
  '%0',
  '100% of 50%20',
  '+',
  'a&b=c;d',
  '"',
  '\\',
  '\\u0041',
  '\\n',
  '[',
  '["a"]',
  'null',
  'o',
  'h',
  'c[3000,"Go away!"]',
  '</script>',
  '<!--<script>',
  ']]>',
  '\r\n\0',
  '\r',
  '\n',
  '\r\n\r\n',
  '\n\ndata: x\n\n',
  '\0',
  'a\0b',
  '\u2028',
  '\u2029',
  'a\u2028b\u2029c',
  '\u007f\u0080\u009f',
  '\ufeff',
  '\ufffd',
  '\ufffe\uffff',
  'e\u0301 \u00e9',
];

// Text of exactly `bytes` bytes in UTF-8, with characters of one to four bytes.
function multiByteText(bytes) {
  const unit = '\u00e9\u6f22\u{1f600}\u0436';
  const size = Buffer.byteLength(unit);
  return unit.repeat(Math.floor(bytes / size)) + 'z'.repeat(bytes % size);
}

function asciiText(bytes, first) {
  let text = '';
  for (let i = 0; text.length < bytes; i += 1) {
    text += String.fromCharCode(0x20 + ((first + i * 7) % 95));
  }
  return text;
}

for (const [index, transport] of TRANSPORTS.entries()) {
  test(`${transport}: ${MANY} echoed messages`, async (t) => {
    const peer = await peersOf(t).open('/echo', transport);
    const tag = unique('echo');
    const messages = Array.from({ length: MANY }, (_, n) => `${tag} ${n}`);
    await echoes(peer, messages, `${MANY} echoes`);
  });

  // Sends while receiving, so that the client's send requests and its polls interleave.
  test(`${transport}: ${MANY} echoed messages in overlapping bursts`, async (t) => {
    const peer = await peersOf(t).open('/echo', transport);
    const tag = unique('burst');
    const messages = Array.from({ length: MANY }, (_, n) => `${tag} ${n}`);
    let expected = 0;
    for (let at = 0; at < MANY; at += BURST) {
      peer.send(...messages.slice(at, at + BURST));
      // The first of this burst is enough to start the next one.
      await peer.expect(messages.slice(expected, at + 1), `burst at ${at}`);
      expected = at + 1;
    }
    await peer.expect(messages.slice(expected), 'the last burst');
    await echoes(peer, [tag], 'a message after the bursts');
  });

  test(`${transport}: ${MANY} pushed messages`, async (t) => {
    const tag = unique('push');
    const accept = (message) => message.startsWith(tag);
    const peers = peersOf(t);
    const receiver = await peers.open('/broadcast', transport, { accept });
    const other = TRANSPORTS[(index + 1) % TRANSPORTS.length];
    const sender = await peers.open('/broadcast', other, { accept });

    const messages = Array.from({ length: MANY }, (_, n) => `${tag} ${n}`);
    for (const batch of [messages, [`${tag} last`]]) {
      sender.send(...batch);
      const what = `broadcast messages sent over ${other}`;
      await Promise.all([receiver.expect(batch, what), sender.expect(batch, `its own ${what}`)]);
    }
  });

  test(`${transport}: every character`, async (t) => {
    const peer = await peersOf(t).open('/echo', transport);
    await echoes(peer, everyBmpCharacter(), 'characters up to U+FFFF');
    await echoes(peer, ASTRAL, 'characters beyond U+FFFF');
  });

  test(`${transport}: awkward texts`, async (t) => {
    const peer = await peersOf(t).open('/echo', transport);
    await echoes(peer, AWKWARD, 'awkward texts');
    // Again with other text around them: an escape must not depend on where it stands.
    await echoes(peer, AWKWARD.map((text) => `a${text}1${text}z`), 'embedded awkward texts');
  });

  test(`${transport}: lone surrogates come back as U+FFFD`, async (t) => {
    const peer = await peersOf(t).open('/echo', transport);
    peer.send('\ud800', 'a\udc00b', '\udfff\ud83d', 'x\ud83d\ud83d\ude00');
    await peer.expect(
      ['\ufffd', 'a\ufffdb', '\ufffd\ufffd', 'x\ufffd\u{1f600}'],
      'lone surrogates',
    );
  });

  test(`${transport}: messages of 64 KiB`, async (t) => {
    const peer = await peersOf(t).open('/echo', transport);
    const size = 64 * 1024;
    const ascii = [0, 1, 2, 3].map((first) => asciiText(size, first));
    const multiByte = [0, 1, 2, 3].map((n) => `${n}${multiByteText(size - 1)}`);
    await echoes(peer, [ascii[0]], 'a single 64 KiB ASCII message');
    await echoes(peer, [multiByte[0]], 'a single 64 KiB multi-byte message');
    await echoes(peer, ascii, '64 KiB ASCII messages in a row');
    await echoes(peer, multiByte, '64 KiB multi-byte messages in a row');
  });
}
