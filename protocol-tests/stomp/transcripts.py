"""Reads transcripts and plays them; README.md tells their language."""

import asyncio
import glob
import os
import re
import time

from wire import CARRIAGES

ROOM = 0.15  # seconds in which what must not come would have come
CREDENTIALS = "login:guest\npasscode:guest\n"


class Mismatch(Exception):
    """What the server did otherwise."""


class Transcript:
    def __init__(self, name, title, place):
        self.name = name
        self.title = title
        self.place = place
        self.section = name.split(".")[0]
        self.row = ""
        self.why = ""
        self.on = list(CARRIAGES)
        self.protocols = []
        self.own = False
        self.slow = False
        self.steps = []


def load(folder):
    found = []
    names = set()
    for path in sorted(glob.glob(os.path.join(folder, "*.txt"))):
        row = why = ""
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                line = line.rstrip("\n")
                place = "%s:%d" % (os.path.basename(path), number)
                if not line.strip() or line.startswith("#"):
                    continue
                if line.startswith("row:"):
                    row = line[4:].strip()
                    continue
                start = re.match(r"\[(\S+)\] (.+)", line)
                if start:
                    current = Transcript(start[1], start[2], place)
                    current.row = row
                    if current.name in names:
                        raise SyntaxError("%s: a second %s" % (place, current.name))
                    names.add(current.name)
                    found.append(current)
                elif line.startswith("why:"):
                    text = line[4:].strip()
                    # The reason that stands last above.
                    why = current.why = why if text == "=" else text
                elif line.startswith("on:"):
                    current.on = line[3:].split()
                elif line.startswith("protocols:"):
                    current.protocols = line[10:].split()
                elif line == "own":
                    current.own = True
                elif line == "slow":
                    current.slow = True
                else:
                    step = re.match(r"(?:([A-Z])(?:@(\w+))? )?(\S+)(?: (.*))?$", line)
                    if not step or step[3] not in STEPS:
                        raise SyntaxError("%s: unknown step %r" % (place, line))
                    current.steps.append((place, step[1] or "A", step[2], step[3], step[4] or ""))
    return found


def shown(data):
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
    text = text.replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    text = re.sub(r"(.)\1{20,}", r"\1…", text)
    return text if len(text) < 60 else text[:50] + "…"


class Player:
    """Plays one transcript on one carriage of one server."""

    def __init__(self, transcript, addresses, carriage, timeout, trace):
        self.transcript = transcript
        self.addresses = addresses
        self.carriage = carriage
        self.timeout = timeout
        self.trace = trace
        self.clients = {}
        self.values = {}
        self.unique = os.urandom(5).hex()
        self.count = 0
        self.place = transcript.place

    async def play(self):
        """None, or what was otherwise."""
        try:
            for place, name, carriage, word, rest in self.transcript.steps:
                self.place = place
                self.trace("%s: %s %s %s" % (place, name, word, rest))
                client = await self.client(name, carriage)
                await STEPS[word](self, client, rest)
            return None
        except Mismatch as error:
            return str(error)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            return "the connection fails (%s)" % (type(error).__name__ if not str(error) else error)
        finally:
            for client in self.clients.values():
                client.abandon()

    async def client(self, name, carriage):
        if name not in self.clients:
            carriage = carriage or self.carriage
            client = CARRIAGES[carriage](lambda text: self.trace("%s %s" % (name, text)))
            client.carriage = carriage
            client.next = 0
            client.sent = time.monotonic()
            client.taken = set()
            client.frame = None
            protocols = self.transcript.protocols if name == "A" else []
            self.clients[name] = await client.open(self.addresses[carriage], protocols)
        return self.clients[name]

    # --- The language's texts ---

    def value(self, name):
        if name not in self.values:
            for kind in "topic", "queue":
                if name.startswith(kind):
                    self.values[name] = ("/%s/%s%s" % (kind, self.unique, name[len(kind):])).encode()
                    break
            else:
                self.values[name] = ("%s%s" % (name, self.unique)).encode()
        return self.values[name]

    def pattern(self, text):
        """A regular expression, in which values stand for themselves."""
        return self.octets(text, re.escape)

    def octets(self, text, of_value=bytes):
        def one(match):
            if match[1]:
                return of_value(self.value(match[1]))
            if match[2]:
                return self.octets(match[2], of_value) * int(match[3])
            if match[4]:
                return bytes([int(match[4], 16)])
            if match[5]:
                return {"n": b"\n", "r": b"\r", "0": b"\0", "s": b" "}.get(match[5], match[5].encode())
            return match[0].encode()

        pattern = r"\$(\w+)|\{\{((?:\{\{.*?\}\}|.)*?)\*(\d+)\}\}|\\x(..)|\\(.)|."
        return b"".join(one(match) for match in re.finditer(pattern, text, re.S))

    def hide(self, text):
        """Values of this run, by their names."""
        for name, value in sorted(self.values.items(), key=lambda item: -len(item[1])):
            if len(value) > 3:
                text = text.replace(value.decode("utf-8", "replace"), name)
        return text.replace(self.unique, "…")

    # --- Waiting ---

    async def until(self, client, condition, seconds):
        """Whether the condition came true in time; it is looked at whenever something came."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                return False
            client.changed.clear()
            try:
                await asyncio.wait_for(client.changed.wait(), left)
            except asyncio.TimeoutError:
                pass
        return True

    def pending(self, client):
        return [at for at in range(client.next, len(client.frames)) if at not in client.taken]

    async def next_frame(self, client, wanted, test=lambda frame: True, among_all=False, seconds=None):
        """Takes the next frame; with `among_all`, the first that fits, and leaves the others."""
        chosen = []

        def arrived():
            for at in self.pending(client):
                if not among_all or (client.frames[at].command == wanted.encode() and test(client.frames[at])):
                    chosen.append(at)
                    return True
            return client.closed is not None

        await self.until(client, arrived, seconds or self.timeout)
        if not chosen:
            for other in self.clients.values():
                if other is not client and any(other.frames[at].command == b"ERROR" for at in self.pending(other)):
                    raise Mismatch("ERROR to another client, no %s" % wanted)
            others = [client.frames[at].command.decode("utf-8", "replace") for at in self.pending(client)]
            if others:
                raise Mismatch("%s, no %s" % (" and ".join(sorted(set(others))), wanted))
            raise Mismatch(("closes without %s" if client.closed else "no %s") % wanted)
        client.taken.add(chosen[0])
        client.frame = frame = client.frames[chosen[0]]
        if frame.command != wanted.encode():
            raise Mismatch("%s rather than %s" % (shown(frame.command) or "nothing", wanted))
        return frame

    # --- Comparing ---

    def differences(self, frame, tests):
        """What of the frame is not as the tests say; a text for each."""
        command = shown(frame.command)

        def first(name):
            return next((value for key, value in frame.headers if key == name), None)

        for test in tests.split():
            test = test.replace("\\s", "\\x20")
            if test.startswith("+"):
                if first(self.octets(test[1:])) is None:
                    yield "%s without %s" % (command, test[1:])
            elif test.startswith("-"):
                if first(self.octets(test[1:])) is not None:
                    yield "%s with %s" % (command, test[1:])
            elif test.startswith("=~"):
                if not re.search(self.pattern(test[2:]), frame.body, re.S):
                    yield "another body: %s" % shown(frame.body)
            elif test.startswith("!~"):
                whole = b"\n".join([name + b":" + value for name, value in frame.headers] + [frame.body])
                found = re.search(self.pattern(test[2:]), whole)
                if found:
                    yield "%s contains `%s`" % (command, shown(found[0]))
            elif test.startswith("@~"):
                text = (first(b"message") or b"") + b"\n" + frame.body
                if not re.search(self.pattern(test[2:]), text):
                    yield "another text: %s" % shown(text)
            elif test.startswith("="):
                wanted = self.octets(test[1:])
                if frame.body != wanted:
                    yield "the body `%s`, not `%s`" % (shown(frame.body), shown(wanted))
            elif "#" in test and ":" not in test:
                name, number = test.split("#")
                got = sum(key == self.octets(name) for key, _ in frame.headers)
                if got != int(number):
                    yield "%s with %s %d times" % (command, name, got)
            else:
                name, sign, wanted = re.match(r"(.+?)(?<!\\)([:~>])(.*)$", test.replace("\\:", "\\x3a")).groups()
                name = self.octets(name)
                got = first(name)
                if got is None:
                    yield "%s without %s" % (command, shown(name))
                elif sign == ">":
                    self.values[wanted] = got
                elif sign == ":" and got != self.octets(wanted):
                    yield "`%s:%s`, not `%s`" % (shown(name), shown(got), shown(self.octets(wanted)))
                elif sign == "~" and not re.search(self.pattern(wanted), got):
                    # Numbers differ from run to run.
                    yield "`%s:%s`" % (shown(name), re.sub(r"[0-9]{3}.*", "…", shown(got)))

    def compare(self, frame, tests):
        for text in self.differences(frame, tests):
            raise Mismatch(self.hide(text))

    # --- Steps ---

    async def send(self, client, text):
        await self.put(client, self.octets(text))

    async def send_binary(self, client, text):
        await self.put(client, self.octets(text), "binary")

    async def send_text(self, client, text):
        await self.put(client, self.octets(text), "text")

    async def put(self, client, data, kind=None):
        client.sent = time.monotonic()
        self.trace("> %r" % data[:600])
        if client.writer.transport.is_closing() and client.carriage != "xhr":
            return
        try:
            await client.send(data, kind)
        except OSError as error:
            # Closed by the server; what it sent before is what counts.
            self.trace("not sent: %s" % error)

    async def send_each(self, client, text):
        data = self.octets(text)
        # Characters, since SockJS has no halves of them.
        for character in data.decode("utf-8"):
            await self.put(client, character.encode())

    async def send_many(self, client, text):
        number, text = text.split(" ", 1)
        for self.count in range(1, int(number) + 1):
            self.values["n"] = b"%d" % self.count
            await self.put(client, self.octets(text))

    async def send_every(self, client, text):
        milliseconds, number, text = text.split(" ", 2)
        for _ in range(int(number)):
            if client.closed:
                raise Mismatch("closes meanwhile")
            await self.put(client, self.octets(text))
            await asyncio.sleep(int(milliseconds) / 1000)

    async def connect(self, client, text):
        version, *headers = text.split()
        login = CREDENTIALS
        if "anonymous" in headers:
            headers.remove("anonymous")
            login = ""
        more = "".join(header + "\n" for header in headers)
        await self.send(client, "CONNECT\naccept-version:%s\nhost:/\n%s%s\n\\0" % (version, login, more))
        frame = await self.next_frame(client, "CONNECTED")
        self.compare(frame, "version:" + version)

    async def subscribe(self, client, text):
        name, destination, *headers = text.split()
        more = "".join(header + "\n" for header in headers)
        await self.send(client, "SUBSCRIBE\nid:%s\ndestination:%s\nreceipt:sub-%s\n%s\n\\0"
                        % (name, destination, name, more))
        await self.receipt(client, "sub-" + name)

    async def unsubscribe(self, client, name):
        await self.send(client, "UNSUBSCRIBE\nid:%s\nreceipt:unsub-%s\n\n\\0" % (name, name))
        await self.receipt(client, "unsub-" + name)

    async def receipt(self, client, name):
        wanted = self.octets(name)
        await self.next_frame(client, "RECEIPT", lambda frame: (b"receipt-id", wanted) in frame.headers, among_all=True)

    async def publish(self, client, text):
        destination, body, *headers = text.split()
        more = "".join(header + "\n" for header in headers)
        await self.send(client, "SEND\ndestination:%s\n%s\n%s\\0" % (destination, more, body))

    async def expect(self, client, text):
        command, _, tests = text.partition(" ")
        self.compare(await self.next_frame(client, command), tests)

    async def expect_some(self, client, text):
        command, _, tests = text.partition(" ")
        fits = lambda frame: not list(self.differences(frame, tests))
        try:
            frame = await self.next_frame(client, command, fits, among_all=True)
        except Mismatch:
            for at in self.pending(client):
                if client.frames[at].command == command.encode():
                    self.compare(client.frames[at], tests)
            raise
        self.compare(frame, tests)

    async def expect_many(self, client, text):
        number, text = text.split(" ", 1)
        for self.count in range(1, int(number) + 1):
            self.values["n"] = b"%d" % self.count
            await self.expect(client, text)

    async def error(self, client, tests):
        frame = await self.next_frame(client, "ERROR")
        found = list(self.differences(frame, "+message " + tests))
        try:
            await self.close(client, "1002")
        except Mismatch as error:
            found.append("ERROR, %s" % error if not found else str(error))
        if found:
            raise Mismatch(self.hide(", ".join(found)))

    async def close(self, client, code):
        if not await self.until(client, lambda: client.closed, self.timeout):
            raise Mismatch("stays open")
        if client.carriage != "tcp" and code and client.closed.code != int(code):
            got = client.closed.code
            raise Mismatch("closes with %d, not %s" % (got, code) if got else "closes without a code")

    async def closes_within(self, client, text):
        low, high = (int(number) / 1000 for number in text.split(".."))
        if not await self.until(client, lambda: client.closed, high - (time.monotonic() - client.sent)):
            raise Mismatch("stays open for more than %g s" % high)
        if client.closed.time - client.sent < low:
            raise Mismatch("closes before %g s" % low)

    async def late(self, client, text):
        """The frame that came last was within these times after the last sending."""
        low, high = (int(number) / 1000 for number in text.split(".."))
        took = client.frame.time - client.sent
        if not low <= took <= high:
            raise Mismatch("%s %s" % (client.frame.command.decode(), "earlier" if took < low else "later"))

    async def error_within(self, client, text):
        _, high = text.split("..")
        frame = await self.next_frame(client, "ERROR", seconds=int(high) / 1000)
        self.compare(frame, "+message")
        await self.closes_within(client, text)

    async def end(self, client, _):
        client.abandon()

    async def finish(self, client, _):
        await self.send(client, "DISCONNECT\nreceipt:bye\n\n\\0")
        await self.receipt(client, "bye")
        await self.close(client, "1000")

    async def sync(self, client, _):
        """All that was sent before is processed, and nothing but its receipt comes."""
        self.count += 1
        name = "sync-%s-%d" % (self.unique, self.count)
        await self.send(client, "SUBSCRIBE\nid:%s\ndestination:/topic/%s\nreceipt:%s\n\n\\0" % (name, name, name))
        arrived = lambda: self.pending(client) or client.closed
        await self.until(client, arrived, self.timeout)
        if self.pending(client) and client.frames[self.pending(client)[0]].command != b"RECEIPT":
            self.check_quiet(client)
        frame = await self.next_frame(client, "RECEIPT")
        if (b"receipt-id", name.encode()) not in frame.headers:
            raise Mismatch("another RECEIPT")

    async def quiet(self, client, text):
        await self.sync(client, "")
        await asyncio.sleep(int(text) / 1000 if text else ROOM)
        self.check_quiet(client)

    def check_quiet(self, client):
        for at in self.pending(client):
            raise Mismatch("%s comes" % client.frames[at].command.decode("utf-8", "replace"))

    async def none(self, client, text):
        """Nothing comes for some time; unlike quiet, nothing is sent either."""
        await asyncio.sleep(int(text) / 1000 if text else ROOM * 2)
        self.check_quiet(client)

    async def never(self, client, text):
        """No frame of this command came or comes, or none that has this text; others, and a close, may."""
        command, _, part = text.partition(" ")
        part = self.octets(part)
        await asyncio.sleep(ROOM * 2)
        for frame in client.frames:
            whole = b"\n".join([name + b":" + value for name, value in frame.headers] + [frame.body])
            if frame.command == command.encode() and part in whole:
                raise Mismatch("%s comes" % command)

    async def same_frame(self, client, tests):
        """More tests of the frame that was taken last."""
        self.compare(client.frame, tests)

    async def nack_until_gone(self, client, most):
        """NACKs each delivery; the message has to be given up before so many."""
        for _ in range(int(most)):
            await self.send(client, "NACK\nid:%s\n\n\\0" % dict(client.frame.headers)[b"ack"].decode())
            if not await self.until(client, lambda: self.pending(client) or client.closed, ROOM * 4):
                return
            await self.next_frame(client, "MESSAGE")
        raise Mismatch("%s deliveries of one message" % most)

    async def settle(self, client, _):
        """What this client caused at others has had time to come about, when no answer tells so."""
        await asyncio.sleep(ROOM * 2)

    async def open_still(self, client, _):
        if client.closed:
            raise Mismatch("closes")

    async def beats(self, client, text):
        """beats NUMBER SECONDS: so many at least, evenly; beats NUMBER SECONDS most: at most so many."""
        number, seconds, *most = text.split()
        start = time.monotonic()
        await asyncio.sleep(float(seconds))
        got = [beat for beat in client.beats if beat >= start]
        if client.closed:
            raise Mismatch("closes")
        if most and len(got) > int(number):
            raise Mismatch("more than %s beats in %s s" % (number, seconds))
        if not most and len(got) < int(number):
            raise Mismatch("fewer than %s beats in %s s" % (number, seconds))

    async def beats_alone(self, client, _):
        """Each beat came in a message of its own."""
        if not any(message.data == b"\n" for message in client.messages):
            raise Mismatch("no message that is one line end")

    async def no_sockjs_heartbeat(self, client, _):
        if client.heartbeats:
            raise Mismatch("SockJS heartbeats besides STOMP's")

    async def kind(self, client, kind):
        got = client.messages[-1].kind
        if got != kind:
            raise Mismatch("a %s message" % got)

    async def subprotocol(self, client, name):
        if (client.protocol or "none") != name:
            raise Mismatch("the sub-protocol %s" % (client.protocol or "none"))


STEPS = {
    ">": Player.send,
    ">binary": Player.send_binary,
    ">text": Player.send_text,
    ">each": Player.send_each,
    ">many": Player.send_many,
    ">every": Player.send_every,
    "<": Player.expect,
    "<<": Player.expect_some,
    "<many": Player.expect_many,
    "connect": Player.connect,
    "sub": Player.subscribe,
    "unsub": Player.unsubscribe,
    "send": Player.publish,
    "error": Player.error,
    "error-within": Player.error_within,
    "close": Player.close,
    "closes": Player.closes_within,
    "late": Player.late,
    "end": Player.end,
    "finish": Player.finish,
    "sync": Player.sync,
    "quiet": Player.quiet,
    "none": Player.none,
    "never": Player.never,
    "frame": Player.same_frame,
    "nack-until-gone": Player.nack_until_gone,
    "settle": Player.settle,
    "open": Player.open_still,
    "beats": Player.beats,
    "beats-alone": Player.beats_alone,
    "no-sockjs-heartbeat": Player.no_sockjs_heartbeat,
    "kind": Player.kind,
    "subprotocol": Player.subprotocol,
}
