#!/usr/bin/env python3
"""Plays the transcripts against STOMP servers and compares them.

    run.py --ours
    run.py --server ours:tcp=127.0.0.1:61613,ws=ws://127.0.0.1:8082/ws,sockjs=http://127.0.0.1:8082/sockjs
    run.py --rabbitmq --activemq --table docs/stomp-differences.md

Needs Python 3.9 and nothing else. The exit code is 1 when a transcript failed on a server given by --ours or
--server; what RabbitMQ and ActiveMQ do otherwise is no failure.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import re
import sys
import time

from brokers import ActiveMQ, Ours, RabbitMQ, exit_on_signals
from transcripts import Player, load

HERE = os.path.dirname(os.path.abspath(__file__))
# More than any transcript takes; what does not end by then is a failure.
TRANSCRIPT_SECONDS = 50


class Server:
    def __init__(self, name, addresses, judged):
        self.name = name
        self.addresses = addresses
        # Whether a difference is a failure.
        self.judged = judged
        self.version = name
        self.results = {}  # (transcript, carriage): None or what was otherwise
        self.places = {}
        self.traces = {}

    async def play(self, transcripts, options):
        jobs = asyncio.Semaphore(options.jobs)
        tasks = []
        for transcript in sorted(transcripts, key=lambda transcript: not transcript.slow):
            if transcript.own and not self.judged:
                continue
            for carriage in transcript.on:
                if carriage in self.addresses and carriage in options.carriages:
                    tasks.append(self.play_one(jobs, transcript, carriage, options))
        start = time.monotonic()
        await asyncio.gather(*tasks)
        self.seconds = time.monotonic() - start

    async def play_one(self, jobs, transcript, carriage, options):
        # Slow ones wait for time to pass; they hold nobody up.
        async with contextlib.nullcontext() if transcript.slow else jobs:
            lines = []
            start = time.monotonic()
            player = Player(transcript, self.addresses, carriage, options.timeout,
                            lambda text: lines.append("%7.3f %s" % (time.monotonic() - start, text)))
            try:
                result = await asyncio.wait_for(player.play(), TRANSCRIPT_SECONDS)
            except asyncio.TimeoutError:
                result = "does not end"
            self.results[transcript, carriage] = result
            self.places[transcript, carriage] = player.place
            self.traces[transcript, carriage] = lines

    def report(self, verbose):
        failed = 0
        for (transcript, carriage), result in sorted(self.results.items(), key=lambda item: sort_key(*item[0])):
            failed += result is not None
            print("%-9s %-7s %-6s %s%s" % (self.name, "ok" if result is None else "DIFFERS" if not self.judged
                                           else "FAILED", carriage, transcript.name,
                                           "" if result is None else ": %s (%s)" % (
                                               result, self.places[transcript, carriage])))
            if verbose:
                for line in self.traces[transcript, carriage]:
                    print("          " + line)
        same = len(self.results) - failed
        print("%s (%s): %d as ours, %d otherwise, in %.0f s" % (self.name, self.version, same, failed, self.seconds)
              if not self.judged else
              "%s (%s): %d passed, %d failed, in %.0f s" % (self.name, self.version, same, failed, self.seconds))
        return failed if self.judged else 0

    def cell(self, transcript):
        """What this server does otherwise, over all carriages."""
        found = {}
        played = [carriage for carriage in transcript.on if (transcript, carriage) in self.results]
        for carriage in played:
            found.setdefault(self.results[transcript, carriage], []).append(carriage)
        if not found:
            return "–"
        if list(found) == [None]:
            return "same"
        if len(found) == 1:
            return next(iter(found))
        return "; ".join("%s: %s" % (" and ".join(map(carriage_name, carriages)), text or "same")
                         for text, carriages in found.items())


def carriage_name(carriage):
    return {"tcp": "TCP", "ws": "WebSocket", "sockjs": "SockJS", "xhr": "XHR streaming"}[carriage]


def sort_key(transcript, carriage=""):
    return int(transcript.section), transcript.place.split(":")[0], int(transcript.place.split(":")[1]), carriage


SECTIONS = {
    "1": "Frames", "2": "Escapes", "3": "CONNECT and CONNECTED", "4": "Heart-beats", "5": "Receipts",
    "6": "Destinations and subscriptions", "7": "Acknowledgements", "8": "Transactions", "9": "Errors and closing",
    "10": "Limits", "12": "WebSocket and SockJS",
}


def table(servers, transcripts):
    """The page of differences, in Markdown."""
    played = [transcript for transcript in transcripts if not transcript.own]
    others = [server for server in servers if not server.judged]
    lines = [
        "# Where RabbitMQ and ActiveMQ behave otherwise",
        "",
        "This server follows the three STOMP specifications, and where they are silent, what clients in use live "
        "with. This page has what two brokers do otherwise, and the reason for this server's behaviour. It is for "
        "those who come from one of them, and for those who use this server's relay.",
        "",
        "It is written by `protocol-tests/stomp/run.py`, which plays %d transcripts; the ones that are not here go the "
        "same way everywhere. Not compared are handlers, user destinations and patterns, which every server has in "
        "its own way. The brokers' columns have the first difference that a transcript meets: \"stays open\" means "
        "that the connection was not closed, \"no …\" that nothing came in time. RabbitMQ was asked over TCP and "
        "WebSocket, ActiveMQ over TCP. Both run as Debian has them, ActiveMQ without users."
        % len(played),
        "",
    ]
    for section, title in SECTIONS.items():
        rows = []
        for transcript in sorted(played, key=sort_key):
            if transcript.section != section:
                continue
            cells = [server.cell(transcript) for server in others]
            if any(cell not in ("same", "–") for cell in cells):
                rows.append([transcript.row, transcript.title, *cells, transcript.why or MISSING])
        if rows:
            lines += ["## " + title, "",
                      "| rule | this server | %s | why |" % " | ".join(server.version for server in others),
                      "|---|---|%s---|" % ("---|" * len(others))]
            lines += ["| %s |" % " | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
            lines.append("")
    return "\n".join(lines)


MISSING = "(no reason is written down)"


def server_argument(text):
    match = re.match(r"(\w+):(.+)$", text)
    addresses = dict(part.split("=", 1) for part in match[2].split(",")) if match else {}
    if not addresses or not set(addresses) <= {"tcp", "ws", "sockjs"}:
        raise argparse.ArgumentTypeError("NAME:tcp=HOST:PORT,ws=URL,sockjs=URL is needed, or some of them")
    if "sockjs" in addresses:
        addresses["xhr"] = addresses["sockjs"]
    return Server(match[1], addresses, judged=True)


async def version_of(server):
    """What CONNECTED calls the server."""
    player = Player(load_text("connect 1.2"), server.addresses, next(iter(server.addresses)), 10, lambda text: None)
    await player.play()
    frames = player.clients["A"].frames if player.clients else []
    value = dict(frames[0].headers).get(b"server", b"").decode() if frames else ""
    return value.replace("/", " ").split("+")[0] or server.name


def load_text(step):
    from transcripts import Transcript
    word, _, rest = step.partition(" ")
    transcript = Transcript("0.version", "", "")
    transcript.steps = [("", "A", None, word, rest)]
    return transcript


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ours", action="store_true", help="build and start this workspace's test server, and judge it")
    parser.add_argument("--server", type=server_argument, action="append", default=[],
                        metavar="NAME:tcp=HOST:PORT,ws=URL,sockjs=URL", help="a server to judge; may be repeated")
    parser.add_argument("--rabbitmq", action="store_true", help="start RabbitMQ and compare it")
    parser.add_argument("--activemq", action="store_true", help="start ActiveMQ and compare it")
    parser.add_argument("--only", metavar="REGEX", default="", help="transcripts whose names begin so, as 7. or 7.nack")
    parser.add_argument("--carriages", default="tcp,ws,sockjs,xhr", help="some of tcp,ws,sockjs,xhr")
    parser.add_argument("--fast", action="store_true", help="without those that wait for time to pass")
    parser.add_argument("--timeout", type=float, default=3, help="seconds to wait for what has to come (3)")
    parser.add_argument("--jobs", type=int, default=16, help="transcripts played at a time (16)")
    parser.add_argument("--table", metavar="FILE", help="write the page of differences")
    parser.add_argument("--list", action="store_true", help="print the transcripts by section and row")
    parser.add_argument("--verbose", action="store_true", help="print each transcript's traffic")
    options = parser.parse_args()
    options.carriages = options.carriages.split(",")
    transcripts = [transcript for transcript in load(os.path.join(HERE, "transcripts"))
                   if re.match(options.only, transcript.name) and not (options.fast and transcript.slow)]
    if options.list:
        for transcript in sorted(transcripts, key=sort_key):
            print("%-4s %-24s %-28s %s" % (transcript.section, transcript.row, transcript.name, transcript.title))
        print("%d transcripts" % len(transcripts))
        return 0
    exit_on_signals()
    # It warns of writes to what is closed, which some transcripts do on purpose.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    failed = 0
    servers = list(options.server)

    def play(server):
        server.version = asyncio.run(version_of(server))
        asyncio.run(server.play(transcripts, options))
        return server.report(options.verbose)

    for server in options.server:
        failed += play(server)
    for wanted, kind in (options.ours, Ours), (options.rabbitmq, RabbitMQ), (options.activemq, ActiveMQ):
        if wanted:
            with kind() as broker:
                addresses = {"tcp": "%s:%d" % broker.tcp, "ws": broker.ws, "sockjs": broker.sockjs,
                             "xhr": broker.sockjs}
                addresses = {carriage: address for carriage, address in addresses.items() if address}
                servers.append(Server(kind.name, addresses, judged=kind is Ours))
                failed += play(servers[-1])
    if not servers:
        parser.error("no server given")
    if options.table:
        with open(options.table, "w", encoding="utf-8") as file:
            file.write(table(servers, transcripts))
    judged = [server for server in servers if server.judged]
    if judged:
        print("%d passed, %d failed" % (sum(len(server.results) for server in judged) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
