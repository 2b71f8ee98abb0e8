"""Lets the protocol suite, which is written for Python 2, run on Python 3.

Its source is converted in memory, and it gets modules and builtins of its own.

The suite compares and joins the bytes of a connection as text, the `str` of
Python 2. Here they are text as well: latin-1, one character for each byte.
Bytes become text when received and text becomes bytes when sent, so that the
suite sees exactly what is on the wire.
"""
import builtins
import http.client
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
            # Of bytes, only ASCII white space is stripped.
            replace(tokens[i + 1], r"(' \t\n\r\x0b\x0c'")

    lines = source.splitlines(keepends=True)
    for (row, start), end, text in sorted(edits, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:start] + text + line[end:]
    return ''.join(lines)


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
    if not re.fullmatch(r'[ \t\n\r\v\f]*[-+]?[0-9A-Za-z]+[ \t\n\r\v\f]*', text):
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


class HTTPResponse(http.client.HTTPResponse):
    def read(self, amt=None):
        if not self.chunked:
            return to_text(super().read(amt))
        # The suite's own httplib reads one chunk at a time.
        data = self.read1(-1 if amt is None else amt)
        while data and self.chunk_left and len(data) != amt:
            data += self.read1(-1 if amt is None else amt - len(data))
        return to_text(data)

    def getheaders(self):
        # Repeated headers are joined.
        return [(name.lower(), self.getheader(name)) for name in self.headers]


class HTTPConnection(http.client.HTTPConnection):
    response_class = HTTPResponse

    def request(self, method, url, body=None, headers={}):
        # That of Python 3 adds "Content-Length: 0" to a POST without a body,
        # but its absence is what is tested.
        names = [name.lower() for name in headers]
        self.putrequest(method, url, skip_host='host' in names,
                        skip_accept_encoding='accept-encoding' in names)
        if body and 'content-length' not in names:
            self.putheader('Content-Length', len(to_bytes(body)))
        for name, value in headers.items():
            self.putheader(name, value)
        self.endheaders(to_bytes(body) if body else None)


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
