"""stomp.py over TCP in every version of STOMP, and over WebSocket."""

import logging
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from support import Client, Gate, Server, unique

# What it logs of lost connections is what the tests are about.
logging.disable(logging.CRITICAL)

CONNECTIONS = [("TCP", "1.0"), ("TCP", "1.1"), ("TCP", "1.2"), ("WebSocket", "1.2")]

BEAT = 1.0


def setUpModule():
    global server
    server = Server()
    unittest.addModuleCleanup(server.stop)


class Scenes:
    """What every connection can do."""

    def client(self, **options):
        return Client(self.carriage, self.version, server, **options)

    def opened(self, **options):
        client = self.client(**options).opened()
        self.addCleanup(client.close)
        return client

    def fence(self, client, messages, destination):
        """That nothing else came: what a client sends itself comes in order."""
        text = unique("fence")
        client.send(destination, text)
        message = messages.next()
        self.assertEqual(message.body, text)
        if "ack" in message.headers:
            client.acked(message)

    def test_connects_and_says_goodbye(self):
        client = self.opened()
        self.assertEqual(client.connected["version"], self.version)
        self.assertEqual(client.connected["user-name"], "guest")
        self.assertRegex(client.connected["server"], "^axum-stomp/")

    def test_is_turned_away_with_a_wrong_passcode(self):
        client = self.client().open("wrong")
        error = client.errors.next()
        text = f"{error.headers['message']} {error.body}"
        self.assertIn("access refused", text)
        self.assertNotRegex(text, "wrong|guest")
        client.ends.next()

    def test_publishes_with_receipts_in_order(self):
        client, other = self.opened(), self.opened()
        topic = f"/topic/{unique('news')}"
        own, others = client.subscribed(topic), other.subscribed(topic)
        texts = ["one", "", "thr\u00e9\U0001f600e", "three\n\nfour"]
        for text in texts:
            client.sent(topic, text, note=f"of {len(text)}")
        for messages in [own, others]:
            for text in texts:
                message = messages.next()
                self.assertEqual((message.body, message.headers["note"]), (text, f"of {len(text)}"))
                self.assertEqual(message.headers["destination"], topic)
                self.assertNotIn("receipt", message.headers)
        for n in range(50):
            client.send("/topic/nothing", "", receipt=f"receipt {n}")
        self.assertEqual([client.receipts.next() for _ in range(50)], [f"receipt {n}" for n in range(50)])
        other.unsubscribed(others)
        client.sent(topic, "last")
        self.assertEqual(own.next().body, "last")
        self.assertTrue(others.items.empty())

    def test_acknowledges(self):
        client, worker = self.opened(), self.opened()
        queue = f"/queue/{unique('work')}"
        # There is no other mode in 1.0.
        mode = "client" if self.version == "1.0" else "client-individual"
        work = worker.subscribed(queue, ack=mode)
        for text in ["a", "b", "c"]:
            client.sent(queue, text)
        first, second, third = work.next(), work.next(), work.next()
        self.assertEqual([first.body, second.body, third.body], ["a", "b", "c"])
        worker.acked(first if self.version == "1.0" else second)
        if self.version != "1.0":
            worker.nacked(first)
            again = work.next()
            self.assertEqual((again.body, again.headers.get("redelivered")), ("a", "true"))
            worker.acked(again)
        worker.close()
        heir = client.subscribed(queue)
        left = ["b", "c"] if self.version == "1.0" else ["c"]
        for text in left:
            message = heir.next()
            self.assertEqual((message.body, message.headers.get("redelivered")), (text, "true"))
        self.fence(client, heir, queue)

    def test_acknowledges_all_up_to_one(self):
        client, worker = self.opened(), self.opened()
        queue = f"/queue/{unique('all')}"
        work = worker.subscribed(queue, ack="client")
        for text in ["a", "b", "c", "d"]:
            client.sent(queue, text)
        messages = [work.next() for _ in range(4)]
        worker.acked(messages[2])
        # It is covered already.
        worker.acked(messages[0])
        worker.unsubscribed(work)
        heir = client.subscribed(queue)
        self.assertEqual(heir.next().body, "d")
        self.fence(client, heir, queue)

    def test_commits_and_aborts(self):
        client, other = self.opened(), self.opened()
        topic, queue = f"/topic/{unique('tx')}", f"/queue/{unique('tx')}"
        heard = client.subscribed(topic)
        work = client.subscribed(queue, ack="client")
        other.sent(queue, "taken")
        other.sent(queue, "kept")

        transaction = client.connection.begin()
        client.sent(topic, "one", transaction=transaction)
        client.sent(topic, "two", transaction=transaction)
        client.acked(work.next(), transaction=transaction)
        self.fence(client, heard, topic)
        client.confirmed(lambda receipt: client.connection.commit(transaction, receipt=receipt))
        self.assertEqual([heard.next().body, heard.next().body], ["one", "two"])

        transaction = client.connection.begin()
        client.sent(topic, "never", transaction=transaction)
        client.acked(work.next(), transaction=transaction)
        client.confirmed(lambda receipt: client.connection.abort(transaction, receipt=receipt))
        self.fence(client, heard, topic)
        client.unsubscribed(work)
        heir = other.subscribed(queue)
        self.assertEqual(heir.next().body, "kept")
        self.fence(other, heir, queue)

    def test_is_answered_by_handlers(self):
        client = self.opened()
        answers = client.subscribed("/user/queue/echo")
        client.send("/app/echo", "hello")
        self.assertEqual(answers.next().body, "hello")
        client.sent("/app/whoami")
        self.assertEqual(answers.next().body, "guest")
        client.connection.subscribe("/app/hello", id="hello")
        self.assertEqual(client.unclaimed.next().body, "hello")
        client.send("/app/fail", "", receipt="failing")
        error = client.errors.next()
        self.assertEqual(error.headers["receipt-id"], "failing")
        self.assertIn("boom", f"{error.headers['message']} {error.body}")
        client.ends.next()

    def test_sends_a_megabyte(self):
        client = self.opened()
        answers = client.subscribed("/user/queue/echo")
        for text in ["0123456789abcdef" * (1 << 16), "\U0001f600\u00e9x" * ((1 << 20) // 7)]:
            client.send("/app/echo", text)
            self.assertTrue(answers.next().body == text, "another text came back")

    def test_sends_bytes(self):
        client = self.opened(binary=True)
        topic = f"/topic/{unique('bytes')}"
        messages = client.subscribed(topic)
        for body in [bytes(range(256)), b"", bytes(range(255, -1, -1)) * 4096]:
            client.send(topic, body, **{"content-type": "application/octet-stream"})
            self.assertTrue(messages.next().body == body, "other bytes came back")


def of(carriage, version):
    name = f"{carriage}{version.replace('.', '')}"
    return type(name, (Scenes, unittest.TestCase), {"carriage": carriage, "version": version})


Tcp10, Tcp11, Tcp12, WebSocket12 = (of(*each) for each in CONNECTIONS)


class Beats(unittest.TestCase):
    """All at once, for each takes its time. In 1.0 the client has no beats."""

    def idle(self, carriage, version, port=None):
        client = Client(carriage, version, server, beats=int(BEAT * 1000), port=port).opened()
        self.assertEqual(client.connected["heart-beat"], "1000,1000")
        # More than either side waits without a beat.
        time.sleep(4 * BEAT)
        client.sent("/topic/nothing")
        return client

    def the_server_misses_beats(self, carriage, version):
        client = self.idle(carriage, version)
        client.mute()
        began = time.monotonic()
        error = client.errors.next()
        self.assertIn("heart-beat", f"{error.headers['message']} {error.body}")
        client.ends.next()
        # Three of them.
        self.assertTrue(1.5 * BEAT < time.monotonic() - began < 6 * BEAT)

    def the_client_misses_beats(self, carriage, version):
        gate = Gate(server.http if carriage == "WebSocket" else server.tcp)
        self.addCleanup(gate.stop)
        client = self.idle(carriage, version, port=gate.port)
        gate.shut()
        began = time.monotonic()
        client.timeouts.next()
        # One and a half.
        self.assertTrue(0.5 * BEAT < time.monotonic() - began < 4 * BEAT)

    def test_beats_are_missed(self):
        with ThreadPoolExecutor(16) as pool:
            runs = {}
            for carriage, version in CONNECTIONS[1:]:
                for scene in [self.the_server_misses_beats, self.the_client_misses_beats]:
                    runs[f"{scene.__name__} {carriage} {version}"] = pool.submit(scene, carriage, version)
            for name, run in runs.items():
                with self.subTest(name):
                    run.result()


if __name__ == "__main__":
    unittest.main()
