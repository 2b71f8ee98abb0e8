"""What the tests of stomp.py share: the server, a way to it that can be cut, and bounded waits around the client."""

import itertools
import os
import queue
import re
import socket
import subprocess
import threading

import stomp

# How long any single wait may take before the test fails, in seconds.
PATIENCE = 20

MAX_BODY = 4 << 20

_serial = itertools.count()


def unique(word):
    """A word that no other test uses."""
    return f"{word}-{os.getpid()}-{next(_serial)}"


class Server:
    """The conformance server, as a process of its own."""

    def __init__(self):
        program = os.path.join(os.environ["BUILT"], "examples/stomp_testserver")
        args = ["--addr", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--max-body", str(MAX_BODY)]
        self.process = subprocess.Popen([program, *args], stdout=subprocess.PIPE, text=True)
        # It prints its addresses when it is ready; it ends at once when it cannot start.
        line = self.process.stdout.readline()
        ports = re.search(r"ready: http 127\.0\.0\.1:(\d+), tcp 127\.0\.0\.1:(\d+)", line)
        if ports is None:
            raise RuntimeError(f"the server does not start: {line!r}")
        self.http, self.tcp = (int(port) for port in ports.groups())

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Gate:
    """Passes connections on to a port, until what that sends is to stay on the way. The connections stay open."""

    def __init__(self, port):
        self.target = port
        self.is_open = True
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            self.sockets += [client, server]
            for source, sink, is_cut in [(client, server, False), (server, client, True)]:
                threading.Thread(target=self._pass, args=(source, sink, is_cut), daemon=True).start()

    def _pass(self, source, sink, is_cut):
        try:
            while chunk := source.recv(65536):
                if self.is_open or not is_cut:
                    sink.sendall(chunk)
        except OSError:
            pass
        if self.is_open or not is_cut:
            sink.close()

    def shut(self):
        """From now on clients hear nothing."""
        self.is_open = False

    def stop(self):
        self.listener.close()
        for each in self.sockets:
            each.close()


class Arrivals:
    """Things of one kind, each of which is taken once."""

    def __init__(self, kind):
        self.kind = kind
        self.items = queue.Queue()

    def put(self, item):
        self.items.put(item)

    def next(self):
        try:
            return self.items.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"{PATIENCE} s passed while waiting for {self.kind}") from None


class Client(stomp.ConnectionListener):
    """A connection of stomp.py, and all that it has heard."""

    def __init__(self, carriage, version, server, *, beats=0, binary=False, port=None):
        self.carriage, self.version = carriage, version
        options = {"auto_decode": not binary, "reconnect_attempts_max": 1}
        if beats:
            options["heartbeats"] = (beats, beats)
        if carriage == "WebSocket":
            options |= {"ws_path": "/ws", "binary_mode": binary}
            kind, own = stomp.WSConnection, server.http
        else:
            kinds = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}
            kind, own = kinds[version], server.tcp
        self.connection = kind([("127.0.0.1", port or own)], **options)
        self.connection.set_listener("", self)
        self.connections = Arrivals("CONNECTED")
        self.errors = Arrivals("an ERROR")
        self.ends = Arrivals("the close")
        self.timeouts = Arrivals("the lack of beats")
        self.receipts = Arrivals("a RECEIPT")
        self.unclaimed = Arrivals("a message")
        self.subscriptions = {}

    def on_connected(self, frame):
        self.connections.put(frame)

    def on_message(self, frame):
        # Without an id, in 1.0, there is only one.
        name = frame.headers.get("subscription")
        self.subscriptions.get(name, self.unclaimed).put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_disconnected(self):
        self.ends.put(None)

    def on_heartbeat_timeout(self):
        self.timeouts.put(None)

    def open(self, passcode="guest"):
        self.connection.connect("guest", passcode)
        return self

    def opened(self):
        self.open()
        self.connected = self.connections.next().headers
        return self

    def confirmed(self, send):
        """Sends something with a receipt, and waits for it: no other can come before."""
        receipt = unique("receipt")
        send(receipt)
        got = self.receipts.next()
        if got != receipt:
            raise AssertionError(f"the receipt {got} came where {receipt} was due")

    def send(self, destination, body="", **headers):
        self.connection.send(destination, body, headers=headers)

    def sent(self, destination, body="", **headers):
        self.confirmed(lambda receipt: self.send(destination, body, receipt=receipt, **headers))

    def subscribed(self, destination, ack="auto"):
        messages = Arrivals(f"a message of {destination}")
        messages.id = unique("sub")
        self.subscriptions[messages.id] = messages
        self.confirmed(
            lambda receipt: self.connection.subscribe(
                destination, id=messages.id, ack=ack, headers={"receipt": receipt}
            )
        )
        return messages

    def unsubscribed(self, messages):
        self.confirmed(lambda receipt: self.connection.unsubscribe(id=messages.id, headers={"receipt": receipt}))

    def _settle(self, method, message, transaction):
        name = message.headers["ack" if self.version == "1.2" else "message-id"]
        ids = (name, message.headers["subscription"]) if self.version == "1.1" else (name,)
        self.confirmed(lambda receipt: method(*ids, transaction=transaction, receipt=receipt))

    def acked(self, message, transaction=None):
        self._settle(self.connection.ack, message, transaction)

    def nacked(self, message):
        self._settle(self.connection.nack, message, None)

    def mute(self):
        """From now on nothing that this client sends arrives."""
        self.connection.transport.send = lambda _: None

    def close(self):
        """With DISCONNECT, whose receipt is awaited."""
        if self.connection.is_connected():
            receipt = unique("bye")
            self.connection.disconnect(receipt)
            got = self.receipts.next()
            if got != receipt:
                raise AssertionError(f"the receipt {got} came where {receipt} was due")
            self.ends.next()
