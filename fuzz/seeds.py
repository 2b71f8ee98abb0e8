#!/usr/bin/env python3
"""Writes seeds.txt, the inputs that each target begins with:

    fuzz/seeds.py [FILE...]

The seeds below replace those of the last time; the files, of corpus/TARGET/ or artifacts/TARGET/, are added.
"""
import base64
import hashlib
import pathlib
import re
import sys

ARCHIVE = pathlib.Path(__file__).with_name("seeds.txt")
HEAD = "# TARGET/NAME and the input in base64, written by seeds.py.\n"
KEYS = "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00"
RFC = "Upgrade: websocket\nConnection: keep-alive, Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


def http(method, path, headers="", body=b""):
    length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
    return f"{method} /app{path} HTTP/1.1\r\nHost: a\r\n{length}{headers}\r\n".encode() + body


def frame(first, payload):
    mask = bytes([0x37, 0xFA, 0x21, 0x3D])
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return bytes([first, 0x80 | len(payload)]) + mask + masked


def steps(settings, *cells):
    settings = settings or b""
    return settings.ljust(8, b"\0") + b"".join(map(bytes, cells))


def connect(client, version=0, login_and_beats=0):
    return (1, client, login_and_beats, version)


def subscribe(client, destination, id_ack_receipt):
    return (3, client, destination, id_ack_receipt)


def send(client, destination, length_and_flags):
    return (7, client, destination, length_and_flags)


SETTLE = (0, 0, 0, 0)
OBSERVE = (30, 0, 0, 0)
upgrade = RFC.replace("\n", "\r\n") + "\r\n"
old = "Upgrade: WebSocket\r\nConnection: Upgrade\r\nOrigin: http://a\r\n" + KEYS.replace("\n", "\r\n") + "\r\n"
SEEDS = {
    "path": ["", "/", "/info", "/iframe-1.6.1.html", "/websocket", "/000/id/xhr", "/a.b/id/xhr", "/000//xhr", "/000/id/jsonp;x.bat"],
    "callback": ["c=callback", "callback=_jp.a-Z0&t=1", "c=%3Cscript%3E", "c=a&c=b", "c=" + "x" * 33],
    "messages": ['["a"]', '[]', '["\\ud83d\\ude00","\\ud800"]', '["a",null]', ' [ "\\n\\u0041" , "é😀" ] ', '[[["a"', '["a"]x'],
    "quote": ["hello", '"\\\r\n\0</script><!--&%', "\u2028\u2029\ufeff\ufffe😀\u200c\u070f", "a" * 70],
    "frame": ["o", "h", '[]', 'a[]', 'a["\\ud83d\\ude00","\\ud800"]', 'm"\\u0041"', 'c[3000,"Go away!"]', 'c[65536,""]', 'a["a","b","c"]'],
    # The first byte chooses the transport and the pieces: 2 XHR streaming, 3 events, 4 scripts, 6 calls, and 7 times the
    # size of a piece.
    "body": [
        "\2" + "h" * 200 + '\no\nh\na["a"]\r\n\nx\nc[3000,"Go away!"]\n',
        '\x1e\ufeffa["' + "x" * 100 + '"]\na["\ud7ff"]\n',
        "\3\r\ndata: o\r\n\r\n:x\rid\ndata:a[\ndata: \"%25%41\"]\r\n\r\ndata: %80%23\n\n",
        "\x0a\ufeffdata: o\n\ndata: " + "x" * 100 + "\ndata: h\n\ndata\n\n",
        '\4<script>\n  function p(d) {};\n</script>\r\n<script>\np("a[\\"\\u003c\\"]");\n</script>\r\np("c[1,\\"\\"]")\n',
        '\x0d/**/callback("o");\r\n_jp.a("a[\\"x\\"]")\n/**/a b("o");\n',
    ],
    # Eight bytes of settings, and then steps of four: see fuzz_targets/stomp_session/world.rs.
    "stomp_session": [
        # Topics, in two versions, and one who sees them all.
        steps("", OBSERVE, connect(0), connect(1, 2), subscribe(0, 0, 33), subscribe(1, 4, 7), send(0, 0, 8 | 3), send(1, 2, 2), (6, 1, 4, 39), (16, 0, 0, 1)),
        # A queue: acknowledged, refused, given back, given up.
        steps("", connect(0), connect(1, 1), subscribe(0, 7, 8), subscribe(1, 7, 16 | 32), send(0, 7, 2), (20, 0, 7, 0), SETTLE, (11, 0, 1, 4), (11, 1, 0, 1), (11, 1, 1, 3), SETTLE, (11, 0, 0, 1), (6, 0, 7, 32), (21, 1, 0, 0), SETTLE),
        steps("", connect(0), connect(1), send(0, 7, 2), (20, 0, 9, 0), subscribe(1, 7, 24), SETTLE, (11, 1, 0, 1), SETTLE, (21, 1, 0, 2), connect(1), subscribe(1, 7, 0), (22, 1, 0, 0), SETTLE, send(0, 7, 6), (20, 0, 15, 0), (6, 1, 7, 0), (22, 1, 255, 2)),
        # Transactions.
        steps("", connect(0, 3), (14, 0, 0, 4), send(0, 19, 16 | 2), send(0, 0, 16 | 8), subscribe(0, 18, 0), subscribe(0, 0, 1), (14, 0, 1, 4), (14, 0, 0, 0), send(0, 7, 16), (14, 0, 2, 4), SETTLE),
        # Handlers, users and replies.
        steps("", connect(0, 0, 8), connect(1, 1, 8), subscribe(0, 11, 1), subscribe(1, 13, 32 | 2), send(0, 20, 5), send(0, 15, 8 | 3), (27, 0, 0, 2), (27, 2, 1, 3), subscribe(0, 24, 2), subscribe(0, 12, 3), send(0, 23, 2), send(0, 22, 64 | 2), send(1, 26, 1), send(0, 23, 8), SETTLE),
        steps("", connect(0), connect(1), subscribe(1, 0, 0), send(0, 0, 64 | 2), SETTLE, send(1, 200, 3), send(1, 200, 3), (6, 0, 7, 0), SETTLE, (21, 1, 0, 1), (24, 0, 5, 0)),
        # A client that does not read, with each way to drop messages.
        *(
            steps(bytes([policy, 0, 2, 0, 0, 1]), connect(0), SETTLE, subscribe(0, 4, 0), subscribe(0, 7, 9), (22, 0, 0, 0), *[(27, 1, 0, 0xF5)] * 5, (27, 1, 0, 0xF0), (27, 3, 7, 0x75), (27, 1, 0, 0xF7), (24, 0, 4, 0), (22, 0, 255, 2), (27, 1, 0, 0x45))
            for policy in range(4)
        ),
        # Heart-beats, a login that expires, a client that is closed, and one whose handler takes its time.
        steps(bytes([0, 0, 0, 1]), connect(0, 0, 3), connect(1, 0, 16), subscribe(1, 0, 0), (24, 0, 7, 0), (21, 1, 0, 3), (24, 0, 8, 0), connect(2), (29, 0, 2, 0), connect(3), send(3, 25, 8), (21, 3, 0, 0)),
        # Rules, and frames in small pieces.
        steps(bytes([0xD0, 0, 0, 0, 4]), (23, 0, 0, 2), connect(0), subscribe(0, 12, 0), subscribe(0, 1, 32 | 1), send(0, 9, 8), send(0, 0, 8), subscribe(0, 6, 2)),
        # More in a queue than a client reads in ten seconds.
        steps("", (27, 3, 8, 0xA7)),
        # Frames that are changed, and any bytes.
        steps("", connect(0), (18, 1, 40, 9), send(0, 0, 8 | 2), (18, 5, 0, 0), subscribe(0, 2, 1), (17, 0, 40, 0), b"SEND\ndestination:/topic/a\nx:\\n\\c\n\n\0\n\n ", SETTLE, (18, 3, 200, 0), send(0, 0, 3)),
    ],
    # The first byte chooses the side (1 for a server), the version (2 for 1.1, 4 for 1.2, 6 for that of the first frame),
    # 8 lenient escapes and 16 tight limits; the second one how the others are cut up.
    "stomp": [
        b"\x06\x31CONNECT\naccept-version:1.0,1.1,1.2\nhost:a\nheart-beat:10000,10000\n\n\0\nSEND\ndestination:/a\n\nhello\0",
        b"\x06\x02STOMP\r\naccept-version: 1.0\r\nlogin: guest \r\n\r\n\0\r\nSEND\na: b \n\nC:\\new\0NACK\n\n\0",
        b"\x04\x10SEND\ndestination:/queue/a\nx\\c:\\n\\r\\\\\ncontent-length:3\n\na\0b\0ACK\nid:1\nreceipt:2\n\n\0",
        b"\x02\x21SUBSCRIBE\nid:0\nfoo:first\nfoo:second\n\nbody\0",
        b"\x00\x05SUBSCRIBE\ndestination: /a\ncontent-length: 4\n\nbody\0UNSUBSCRIBE\ndestination:/a\n\n\0DISCONNECT\n\n\0",
        b"\x0c\x44SEND\nC\\t:C\\c\\temp\\\n\n\0BEGIN\ntransaction:1\n\n\0COMMIT\n\n\0ABORT\n\n\0",
        b"\x07\x13CONNECTED\nversion:1.1\nsession:a\n\n\0MESSAGE\nsubscription:0\nmessage-id:a\\c1\ncontent-length:2\n\n\xc3\xa9\0\n\n",
        b"\x05\x13RECEIPT\nreceipt-id:1\n\n\0ERROR\nmessage:a\ncontent-type:text/plain\n\nno\0",
        b"\x15\x13MESSAGE\na:b\nc:d\ncontent-length:12\n\n012345678901\0MESSAGE\na:b\nc:d\ne:f\ng:h\n\n\0",
        b"\x16\x00\n\r\n\rCONNECT\n\n\0" + b"\n" * 60,
        b"\x04\x00a\1b\1receipt\r\1c:d\\\n\1content-length\x015\1\1x\1\0\1\0",
    ],
    "form": ["\0d=%5B%22a%22%5D", "\0a=b&d=%5B%22+%22%5D&c", "\1d=%f", '\2["a"]', "\3d="],
    "cluster": [
        bytes([4, 127, 0, 0, 1, 0, 80]) + bytes(8),
        bytes([6]) + bytes(15) + bytes([1, 0, 80]) + bytes(8),
        bytes([14, 4, 10, 0, 0, 7, 1, 2]) + b"a.example:8080",
        bytes([2]) + b"a.example",
        "~AAAA/000/id/xhr",
    ],
    "cookie": ["JSESSIONID=abc.node1; b=c", "a=b\nJSESSIONID=", 'JSESSIONID="q"', "XJSESSIONID=a;JSESSIONID2=b"],
    "handshake": ["/a\n" + RFC, "/a\nUpgrade: websocket\nConnection: Upgrade\nHost: a\n" + KEYS, "/a\nUpgrade:websocket"],
    "hixie76": [b"\x00a\xff\x00\xff\xff\x00", b"\x00\xc3\xa9\xff", b"\x80a", b"\x00123456789\xff", b"\x00\xff" * 4],
    "service": [
        http("GET", "/info"),
        http("POST", "/0/a/xhr") + http("POST", "/0/a/xhr_send", body=b'["a"]') + http("POST", "/0/a/xhr"),
        http("POST", "/0/a/xhr_streaming"),
        http("GET", "/0/a/jsonp?c=a") + http("POST", "/0/a/jsonp_send", "Content-Type: application/x-www-form-urlencoded\r\n", b"d=%5B%22a%22%5D"),
        http("GET", "/0/a/eventsource") ,
        http("GET", "/0/a/htmlfile?c=a"),
        http("OPTIONS", "/0/a/xhr", "Origin: http://b\r\nSec-Fetch-Site: cross-site\r\n"),
        b"POST /app/0/a/xhr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        http("GET", "/websocket", upgrade) + frame(0x81, b"close") + frame(0x89, b"") + frame(0x88, b"\x03\xe8"),
        http("GET", "/0/a/websocket", upgrade) + frame(0x01, b'["a') + frame(0x80, b'"]') + frame(0x82, b"\x00"),
        http("GET", "/websocket", old) + b"12345678" + b"\x00a\xff\xff\x00",
        # More than the queues and the connection hold.
        http("GET", "/websocket", upgrade) + 99 * frame(0x81, b"x" * 100),
        http("GET", "/0/a/websocket", upgrade) + 2000 * frame(0x89, b""),
        http("POST", "/0/a/xhr") + 40 * http("POST", "/0/a/xhr_send", body=b'["' + b"x" * 99 + b'"]'),
        http("GET", "/websocket", old) + b"12345678" + 99 * (b"\0" + b"x" * 100 + b"\xff"),
    ],
}

def read():
    """The seeds of the archive, each under TARGET/NAME."""
    lines = ARCHIVE.read_text().splitlines() if ARCHIVE.exists() else []
    seeds = (line.partition(" ") for line in lines if not line.startswith("#"))
    return {name: base64.b64decode(text) for name, _, text in seeds}


def made():
    """The seeds above, numbered."""
    for target, seeds in SEEDS.items():
        for number, seed in enumerate(seeds):
            seed = seed if isinstance(seed, bytes) else seed.encode()
            # The service's first byte says how the others are cut up, and whether the client reads.
            if target == "service":
                seed = (b"\xfe" if len(seed) > 2000 else b"\xff") + seed
            yield f"{target}/{number:02}", seed


def found(files):
    """Inputs that runs have found, named by their hashes as libFuzzer names them."""
    for file in map(pathlib.Path, files):
        seed = file.read_bytes()
        yield f"{file.resolve().parent.name}/{hashlib.sha1(seed).hexdigest()}", seed


is_made = re.compile(r"[a-z0-9]+/\d\d").fullmatch
seeds = {name: seed for name, seed in read().items() if not is_made(name)}
seeds.update(made())
seeds.update(found(sys.argv[1:]))
lines = (f"{name} {base64.b64encode(seed).decode()}".rstrip() for name, seed in sorted(seeds.items()))
ARCHIVE.write_text(HEAD + "".join(f"{line}\n" for line in lines))
