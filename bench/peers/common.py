"""What the Python servers have in common."""

import os
import re
import sys
import threading


def heartbeat():
    """The heartbeat's interval in seconds, if one is asked for."""
    if "--heartbeat" in sys.argv:
        return int(sys.argv[sys.argv.index("--heartbeat") + 1]) / 1000
    return None


def watch_stdin():
    """Ends the process with its standard input, if that is asked for."""

    def wait():
        sys.stdin.buffer.read()
        os._exit(0)

    if "--until-stdin-ends" in sys.argv:
        threading.Thread(target=wait, daemon=True).start()


def close_command(text):
    """Code and reason of "close CODE REASON"."""
    match = re.fullmatch(r"close (\d+) ?(.*)", text, re.DOTALL)
    return match and (int(match[1]), match[2])


class Collected:
    """Counts texts, with an FNV-1a of them in UTF-8, each with a byte 0xff behind it."""

    def __init__(self):
        self.count = 0
        self.hash = 0x811C9DC5

    def add(self, text):
        self.count += 1
        value = self.hash
        for byte in str(text).encode("utf-8", "surrogatepass") + b"\xff":
            value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
        self.hash = value

    def __str__(self):
        return f"{self.count} {self.hash:08x}"
