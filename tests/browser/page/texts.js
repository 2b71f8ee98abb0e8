// The texts that must come back as they were sent. Each is there for a layer that could spoil it: JSON, the
// lenient percent-decoding of eventsource, the script elements of htmlfile, the form of jsonp-polling.
'use strict';

const texts = (() => {
  // All of UTF-16 but the surrogates, 512 characters to a message. The client escapes some of them itself,
  // the server others; which of them is nobody's business but theirs.
  function everyCharacter() {
    const messages = [];
    let message = '';
    for (let unit = 0; unit <= 0xffff; unit += 1) {
      if (unit >= 0xd800 && unit <= 0xdfff) {
        continue;
      }
      message += String.fromCharCode(unit);
      if (message.length === 512) {
        messages.push(message);
        message = '';
      }
    }
    return message === '' ? messages : [...messages, message];
  }

  const awkward = [
    '', ' ', '%', '%%', '%41', '%80', '%zz', '%25', '%E2%82%AC', '%0', '100% of 50%20', '+', 'a&b=c;d',
    '"', "'", '\\', '\\u0041', '\\n', '[', '["a"]', 'null', 'o', 'h', 'c[3000,"Go away!"]',
    '</script>', '<!--', '<!--<script>', ']]>', '*/', '\u2028', '\u2029', 'a\u2028b\u2029c',
    '\r\n\0', '\r', '\n', '\r\n\r\n', '\n\ndata: x\n\n', '\0', 'a\0b', '\u007f\u0080\u009f', '\ufeff',
    '\ufffd', '\ufffe\uffff', 'e\u0301 \u00e9',
    '\u{1f600}', 'a\u{1f468}\u200d\u{1f469}\u200d\u{1f467}b', '\u{10000}', '\u{1d11e}\u{20bb7}\u{e0041}',
    '\u{1fffe}\u{1ffff}\u{10fffe}\u{10ffff}',
  ];

  // An escape must not depend on where it stands.
  const embedded = awkward.map((text) => `a${text}1${text}z`);

  // Rust's strings cannot hold half of a pair.
  const loneSurrogates = [
    ['\ud800', '\ufffd'],
    ['a\udc00b', 'a\ufffdb'],
    ['\udfff\ud83d', '\ufffd\ufffd'],
    ['x\ud83d\ud83d\ude00', 'x\ufffd\u{1f600}'],
  ];

  function ascii(bytes) {
    let text = '';
    for (let i = 0; text.length < bytes; i += 1) {
      text += String.fromCharCode(0x20 + ((i * 7) % 95));
    }
    return text;
  }

  // Characters of two to four bytes in UTF-8, four of them in 11 bytes.
  function multiByte(bytes) {
    return '\u00e9\u6f22\u{1f600}\u0436'.repeat(Math.floor(bytes / 11)) + 'z'.repeat(bytes % 11);
  }

  const numbered = (count, text) => Array.from({ length: count }, (_, n) => `${n} ${text}`);

  // What a page may send in one turn. Over HTTP the client sends it in one request.
  const turns = {
    '1,500 short messages': numbered(1500, 'short'),
    '40 messages of 40 KB': numbered(40, 'x'.repeat(40_000)),
  };

  return { everyCharacter, awkward, embedded, loneSurrogates, ascii, multiByte, turns };
})();
