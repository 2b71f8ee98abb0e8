"""Lets the protocol suite, which is written for Python 2, run on Python 3.

Its source is converted in memory, and it gets modules and builtins of its own.

The suite compares and joins the bytes of a connection as text, the `str` of
Python 2. Here they are text as well: latin-1, one character for each byte.
Bytes become text when received and text becomes bytes when sent, so that the
suite sees exactly what is on the wire.
"""
import builtins
import io
import json
import queue
import re
import socket
import tokenize
import types
import unittest
import urllib.parse

import ws4py.client.threadedclient
import ws4py.messaging

# The white space of bytes; that of text is more.
SPACE = ' \t\n\r\v\f'


def convert(source):
    """The same program for Python 3, line by line, so that tracebacks fit.

    Only knows the constructs that are in the suite.
    """
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    edits = []

    def replace(token, text):
        edits.append((token.start, token.end[1], text))

    for i, token in enumerate(tokens[:-2]):
        after = [t.string for t in tokens[i + 1:i + 3]]
        if token.string == 'async':  # a keyword by now
            replace(token, 'async_')
        elif token.string == 'lambda' and after[0] == '(':  # lambda(x): ...
            replace(tokens[i + 1], ' ')
            replace(next(t for t in tokens[i:] if t.string == ')'), '')
        elif token.string == 'is' and tokens[i + 1].type == tokenize.STRING:
            replace(token, '==')
        elif token.string in ('strip', 'lstrip', 'rstrip') and after == ['(', ')']:
            # Not also the white space of text.
            replace(tokens[i + 1], '(%r' % SPACE)

    lines = source.split('\n')
    for (row, start), end, text in sorted(edits, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:start] + text + line[end:]
    return '\n'.join(lines)


def to_text(data):
    return data.decode('latin-1')


def to_bytes(data):
    # Fails for what cannot be bytes. What the suite encoded is bytes already.
    return data.encode('latin-1') if isinstance(data, str) else data


# --- Builtins -----------------------------------------------------------------

class Unicode(str):
    """unicode(bytes, encoding). The suite's plain strings are no instances."""
    def __new__(cls, text, encoding):
        return to_bytes(text).decode(encoding)


def parse_int(text, base=10):
    """int() as it was: no underscores, and only ASCII white space."""
    text = text.strip(SPACE)
    if not re.fullmatch('[-+]?[0-9A-Za-z]+', text):
        raise ValueError('invalid literal for int(): %r' % text)
    return int(text, base)


# --- Modules ------------------------------------------------------------------

class Socket:
    def __init__(self, *args, **kwargs):
        self.socket = socket.create_connection(*args, **kwargs)

    def recv(self, size):
        return to_text(self.socket.recv(size))

    def sendall(self, data):
        self.socket.sendall(to_bytes(data))

    def __getattr__(self, name):
        return getattr(self.socket, name)


def json_loads(text):
    """Text from a connection is UTF-8. It may also be real text, from escapes."""
    try:
        text = to_bytes(text).decode('utf-8', 'surrogatepass')  # as Python 2 does
    except UnicodeEncodeError:
        pass
    return json.loads(text)


class HTTPConnection:
    """In place of httplib_fork.py: its one connection, one request, one response.

    http.client would not do. It adds "Content-Length: 0" to a POST without a
    body, which is what http-quirks.py must send without, and forgives more.
    """
    def __init__(self, netloc, timeout=None):
        self.netloc = netloc
        host, _, port = netloc.partition(':')
        self.socket = Socket((host, int(port or 80)), timeout)
        self.file = self.socket.makefile('r', encoding='latin-1', newline='\n')

    def request(self, method, path, body='', headers={}):
        body = to_bytes(body)
        fields = {'Host': self.netloc, 'Accept-Encoding': 'identity'}
        if body:
            fields['Content-Length'] = len(body)
        fields.update(headers)
        head = ['%s %s HTTP/1.1' % (method, path)]
        head += ['%s: %s' % field for field in fields.items()]
        self.socket.sendall(to_bytes('\r\n'.join(head + ['', ''])) + body)

    def getresponse(self):
        return HTTPResponse(self.file)

    def close(self):
        self.file.close()
        self.socket.close()


class HTTPResponse:
    def __init__(self, file):
        self.file = file
        line = file.readline()
        match = re.match(r'HTTP/1\.\S+\s+([1-9][0-9][0-9])\s', line, re.ASCII)
        if not match:
            raise ValueError('bad status line: %r' % line)
        self.status = int(match.group(1))
        self.headers = {}
        while True:
            name, colon, value = file.readline().partition(':')
            if not colon:
                break
            name, value = name.lower(), value.strip(SPACE)
            if name in self.headers:
                value = self.headers[name] + ', ' + value
            self.headers[name] = value
        self.ended = self.status < 200 or self.status in (204, 304)

    def getheaders(self):
        return self.headers.items()

    def read(self, size=-1):
        """One chunk, or else the whole body; size only counts up to an EOF."""
        if self.ended:
            return ''
        if self.headers.get('transfer-encoding', '').lower() == 'chunked':
            length = parse_int(self.file.readline().partition(';')[0], 16)
            self.ended = length == 0
            data = self.read_exactly(length)
            self.file.readline()
            return data
        if 'content-length' in self.headers:
            self.ended = True
            return self.read_exactly(parse_int(self.headers['content-length']))
        return self.file.read(size)

    def read_exactly(self, length):
        data = self.file.read(length)
        if len(data) < length:
            raise EOFError('%d of %d bytes of the body' % (len(data), length))
        return data


class WebSocketClient(ws4py.client.threadedclient.WebSocketClient):
    def terminate(self):
        # The reason is about to be passed to the suite.
        closing = self.stream.closing
        if closing is not None:
            closing.reason = to_text(closing.reason)
        super().terminate()


# str(message) is its bytes, which the suite decodes itself.
ws4py.messaging.Message.__str__ = lambda self: to_text(self.data)


def module(name, **attributes):
    result = types.ModuleType(name)
    result.__dict__.update(attributes)
    return result


# What the suite imports under these names; anything else is imported as usual.
modules = {
    'socket': module('socket', create_connection=Socket),
    'json': module('json', loads=json_loads),
    'httplib_fork': module('httplib_fork', HTTPConnection=HTTPConnection),
    'ws4py.client.threadedclient': module('threadedclient', WebSocketClient=WebSocketClient),
    'unittest2': unittest,
    'urlparse': urllib.parse,
    'Queue': queue,
}


def suite_import(name, *args, **kwargs):
    return modules[name] if name in modules else builtins.__import__(name, *args, **kwargs)


suite_builtins = dict(
    vars(builtins), __import__=suite_import, int=parse_int, long=int, unichr=chr, unicode=Unicode)


def suite_globals(name):
    return {'__name__': name, '__builtins__': suite_builtins}
