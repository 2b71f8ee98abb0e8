"""STOMP connections over TCP, WebSocket and SockJS, as a client that hides nothing of what came.

Headers stay as they are on the wire: escaped, not trimmed, with a CR where one came.
"""

import asyncio
import base64
import json
import os
import time
import urllib.parse
from collections import namedtuple

OPEN_SECONDS = 10

Frame = namedtuple("Frame", "command headers body time")  # headers: list of pairs of bytes
Close = namedtuple("Close", "code reason time")  # code: None on TCP, and where no close message came
Message = namedtuple("Message", "kind data time")  # what carried a part of the stream, but for TCP


class Parser:
    """Takes octets apart; what is no frame is a frame with the command `?`."""

    def __init__(self):
        self.buffer = b""

    def feed(self, data):
        """Yields frames, and b"\\n" for each line end between frames."""
        self.buffer += data
        while self.buffer:
            if self.buffer[:1] in b"\r\n":
                if self.buffer[:1] == b"\n":
                    yield b"\n"
                self.buffer = self.buffer[1:]
                continue
            ends = [(at, len(mark)) for mark in (b"\n\n", b"\n\r\n") if (at := self.buffer.find(mark)) >= 0]
            nul = self.buffer.find(b"\0")
            if not ends or 0 <= nul < min(ends)[0]:
                if nul >= 0:
                    yield Frame(b"?", [], self.buffer[:nul], time.monotonic())
                    self.buffer = self.buffer[nul + 1:]
                    continue
                return
            at, length = min(ends)
            lines = self.buffer[:at].split(b"\n")
            headers = [tuple((line.split(b":", 1) + [b""])[:2]) for line in lines[1:]]
            start = at + length
            size = next((value for name, value in headers if name == b"content-length"), None)
            if size is not None and size.isdigit():
                end = start + int(size)
                if len(self.buffer) <= end:
                    return
            else:
                end = self.buffer.find(b"\0", start)
                if end < 0:
                    return
            frame = Frame(lines[0], headers, self.buffer[start:end], time.monotonic())
            if self.buffer[end:end + 1] != b"\0":
                frame = Frame(b"?", [], frame.body, frame.time)
            self.buffer = self.buffer[end + 1:]
            yield frame


class Connection:
    """What came is in `frames`, `beats` and `messages`; `changed` is set when there is more."""

    def __init__(self, trace):
        self.parser = Parser()
        self.frames = []
        self.beats = []
        self.messages = []
        self.closed = None
        self.changed = asyncio.Event()
        self.trace = trace
        self.reader_task = None

    async def open(self, address, protocols):
        await asyncio.wait_for(self.dial(address, protocols), OPEN_SECONDS)
        self.reader_task = asyncio.ensure_future(self.read_all())
        return self

    async def read_all(self):
        try:
            await self.read()
        except (OSError, EOFError, ValueError) as error:
            self.close_seen(None, type(error).__name__)
        else:
            self.close_seen(None, "")

    def close_seen(self, code, reason):
        if self.closed is None:
            self.trace("closed %s %s" % (code, reason))
            self.closed = Close(code, reason, time.monotonic())
            self.changed.set()

    def message(self, kind, data):
        self.messages.append(Message(kind, data, time.monotonic()))
        self.stream(data)

    def stream(self, data):
        self.trace("< %r" % data[:600])
        for item in self.parser.feed(data):
            if item == b"\n":
                self.beats.append(time.monotonic())
            else:
                self.frames.append(item)
        self.changed.set()

    def abandon(self):
        """Ends the connection without a word."""
        if self.reader_task:
            self.reader_task.cancel()
        self.writer.transport.abort()


class Tcp(Connection):
    async def dial(self, address, _):
        host, port = address.rsplit(":", 1)
        self.reader, self.writer = await asyncio.open_connection(host, int(port))

    async def read(self):
        while data := await self.reader.read(65536):
            self.stream(data)

    async def send(self, data, kind=None):
        self.writer.write(data)
        await self.writer.drain()


class WebSocket(Connection):
    """A client of RFC 6455 with nothing left out that a test may want to see or break."""

    protocol = None

    async def dial(self, url, protocols):
        parts = urllib.parse.urlsplit(url)
        self.reader, self.writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        lines = ["GET %s HTTP/1.1" % (parts.path or "/"), "Host: %s" % parts.netloc, "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode()]
        if protocols:
            lines.append("Sec-WebSocket-Protocol: " + ", ".join(protocols))
        self.writer.write("\r\n".join(lines + ["", ""]).encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        if " 101 " not in head[0] + " ":
            raise ConnectionError(head[0])
        for line in head[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "sec-websocket-protocol":
                self.protocol = value.strip()

    async def read(self):
        kind, whole = None, b""
        while True:
            first, second = await self.reader.readexactly(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            data = await self.reader.readexactly(size)
            opcode = first & 15
            if opcode == 8:
                code = int.from_bytes(data[:2], "big") if data else 1005
                self.close_seen(code, data[2:].decode("utf-8", "replace"))
                self.write(8, data)
                return
            if opcode == 9:
                self.write(10, data)
            elif opcode < 3:
                if opcode:
                    kind, whole = {1: "text", 2: "binary"}[opcode], b""
                whole += data
                if first & 128:
                    self.received(kind, whole)

    def received(self, kind, data):
        self.message(kind, data)

    def write(self, opcode, data):
        size = len(data)
        head = bytes([128 | opcode])
        if size < 126:
            head += bytes([128 | size])
        elif size < 65536:
            head += bytes([128 | 126]) + size.to_bytes(2, "big")
        else:
            head += bytes([128 | 127]) + size.to_bytes(8, "big")
        mask = os.urandom(4)
        many = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(many, "big")).to_bytes(size, "big")
        self.writer.write(head + mask + masked)

    async def send(self, data, kind=None):
        if kind is None:
            try:
                data.decode()
                kind = "text"
            except UnicodeDecodeError:
                kind = "binary"
        self.write({"text": 1, "binary": 2}[kind], data)
        await self.writer.drain()


def to_json(data):
    # Octets that are not UTF-8 are halves of surrogate pairs, in the form that Python calls surrogatepass.
    return json.dumps([data.decode("utf-8", "surrogatepass")]).encode()


class SockJsFrames:
    """Frames of SockJS: o, h, a[...], c[...]."""

    heartbeats = 0

    def sockjs_frame(self, text):
        if text[:1] == "a":
            for item in json.loads(text[1:]):
                self.message("text", item.encode("utf-8", "surrogatepass"))
        elif text[:1] == "c":
            self.close_seen(*json.loads(text[1:]))
        elif text[:1] == "h":
            self.heartbeats += 1
            self.trace("< sockjs h")


class SockJs(SockJsFrames, WebSocket):
    """SockJS over its WebSocket transport."""

    async def dial(self, url, _):
        await super().dial("%s/000/%s/websocket" % (url.replace("http:", "ws:"), os.urandom(8).hex()), [])

    def received(self, kind, data):
        self.sockjs_frame(data.decode())

    async def send(self, data, kind=None):
        await super().send(to_json(data), "text")


class Xhr(SockJsFrames, Connection):
    """SockJS over XHR streaming."""

    async def dial(self, url, _):
        self.url = "%s/000/%s" % (url, os.urandom(8).hex())
        await self.open_stream()
        line = await self.line()
        if line != "o":
            raise ConnectionError("no open frame but %r" % line)

    async def request(self, name, body):
        parts = urllib.parse.urlsplit(self.url + name)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        head = "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        writer.write((head % (parts.path, parts.netloc, len(body))).encode() + body)
        status = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[0]
        return reader, writer, int(status.split()[1])

    async def open_stream(self):
        self.reader, self.writer, status = await self.request("/xhr_streaming", b"")
        if status != 200:
            raise ConnectionError("xhr_streaming answers %d" % status)
        self.lines = ""

    async def line(self):
        """The next line of the stream's chunks; None at its end. The prelude, a line of h, is left out."""
        while True:
            line, found, rest = self.lines.partition("\n")
            if found:
                self.lines = rest
                if len(line) == 2048:
                    continue
                return line
            size = int((await self.reader.readline()).strip() or b"0", 16)
            data = await self.reader.readexactly(size)
            await self.reader.readline()
            if not size:
                return None
            self.lines += data.decode()

    async def read(self):
        while not self.closed:
            line = await self.line()
            if line is not None:
                self.sockjs_frame(line)
                continue
            self.writer.close()
            if not self.closed:
                await self.open_stream()

    async def send(self, data, kind=None):
        _, writer, status = await asyncio.wait_for(self.request("/xhr_send", to_json(data)), OPEN_SECONDS)
        writer.close()
        if status == 404:
            raise ConnectionError("the session is gone")


CARRIAGES = {"tcp": Tcp, "ws": WebSocket, "sockjs": SockJs, "xhr": Xhr}
