#!/usr/bin/env python3
"""Starts RabbitMQ, ActiveMQ and the test server as plain children, with folders and ports of their own; stops them.

    with RabbitMQ() as broker:
        broker.tcp, broker.ws       # ("127.0.0.1", PORT), "ws://127.0.0.1:PORT/ws"

    brokers.py rabbitmq                     prints the addresses, runs until it is ended
    brokers.py activemq COMMAND {tcp} ...   runs COMMAND with {tcp}, {ws} and {sockjs} filled in

The two brokers come from Debian's packages; a missing one is installed, which is said, when that is possible. Nothing
is shared with a broker that runs as a service. The test server is built by cargo, unless STOMP_TESTSERVER is the built
one. All end with this process, however that ends.
"""

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
READY_SECONDS = 60
STOP_SECONDS = 10


def need(path, packages):
    """Installs Debian's packages when the file `path` is missing."""
    if os.path.exists(path):
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        sys.exit("brokers.py: %s is missing (in Debian: apt-get install %s)" % (path, packages))
    print("installing %s from Debian's packages" % packages, file=sys.stderr)
    # A run level without services: the packages are not to start theirs.
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
    for command in ["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages.split()]:
        done = subprocess.run(["apt-get", *command], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=600)
        if done.returncode != 0:
            sys.exit("brokers.py: apt-get %s failed\n%s%s" % (command[0], done.stdout, done.stderr))


def free_ports(count):
    """Ports that nothing listens on, and that systems give to nobody by themselves; all differ."""
    ports = []
    for port in random.sample(range(10000, 32000), 1000):
        if len(ports) == count:
            break
        with socket.socket() as held:
            try:
                held.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
    return ports


def end_with_parent():
    """In the child: PR_SET_PDEATHSIG, so that no broker outlives a parent that was killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def end(child):
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def is_ready(port, stomp):
    """Whether the port accepts, and with `stomp`, whether it answers a CONNECT: RabbitMQ accepts before it can."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(5)
            if stomp:
                connection.sendall(b"CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0")
                return connection.recv(9) == b"CONNECTED"
            return True
    except OSError:
        return False


class Broker:
    ws = sockjs = None

    def __init__(self):
        self.children = []
        self.folder = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="stomp-broker-")
        try:
            self.start()
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def run(self, command, env=None):
        with open(os.path.join(self.folder, "output"), "ab") as output:
            child = subprocess.Popen(command, env=env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output,
                                     stderr=output, start_new_session=True, preexec_fn=end_with_parent)
        # The broker itself is the last one.
        self.children.append(child)

    def output(self):
        with open(os.path.join(self.folder, "output"), "rb") as output:
            return output.read()[-4000:].decode("utf-8", "replace")

    def wait_until_ready(self):
        end = time.monotonic() + READY_SECONDS
        for port in [self.tcp[1]] + ([urllib.parse.urlsplit(self.ws).port] if self.ws else []):
            while True:
                if self.children[-1].poll() is not None:
                    raise RuntimeError("%s ended at once:\n%s" % (self.name, self.output()))
                if time.monotonic() > end:
                    raise RuntimeError("%s is not ready after %d s:\n%s" % (self.name, READY_SECONDS, self.output()))
                if is_ready(port, stomp=port == self.tcp[1]):
                    break
                time.sleep(0.1)

    def stop(self):
        # The broker first, what it needs after it.
        for child in reversed(self.children):
            end(child)
        self.children = []
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


class RabbitMQ(Broker):
    name = "RabbitMQ"
    server = "/usr/lib/rabbitmq/bin/rabbitmq-server"

    def start(self):
        need(self.server, "rabbitmq-server")
        folder = self.folder
        amqp, stomp, web, dist, epmd = free_ports(5)
        self.tcp = ("127.0.0.1", stomp)
        self.ws = "ws://127.0.0.1:%d/ws" % web
        with open(folder + "/enabled_plugins", "w") as file:
            file.write("[rabbitmq_stomp,rabbitmq_web_stomp].\n")
        with open(folder + "/rabbitmq.conf", "w") as file:
            # Without ws_frame = binary, bodies that are not UTF-8 go out in text messages.
            file.write("listeners.tcp.1 = 127.0.0.1:%d\nstomp.listeners.tcp.1 = 127.0.0.1:%d\n"
                       "web_stomp.tcp.ip = 127.0.0.1\nweb_stomp.tcp.port = %d\nweb_stomp.ws_frame = binary\n"
                       "log.file = false\nload_definitions = %s/definitions.json\n" % (amqp, stomp, web, folder))
        # Definitions replace the default ones. The second host is for clients that send the one they dialled.
        hosts = ["/", "127.0.0.1"]
        with open(folder + "/definitions.json", "w") as file:
            json.dump({
                "users": [{"name": "guest", "password": "guest", "tags": ["administrator"]}],
                "vhosts": [{"name": host} for host in hosts],
                "permissions": [{"user": "guest", "vhost": host, "configure": ".*", "write": ".*", "read": ".*"}
                                for host in hosts],
            }, file)
        env = dict(
            os.environ,
            HOME=folder,
            RABBITMQ_NODENAME="stomp%d@localhost" % stomp,
            RABBITMQ_CONF_ENV_FILE="/dev/null",
            RABBITMQ_CONFIG_FILE=folder + "/rabbitmq",
            RABBITMQ_MNESIA_BASE=folder + "/db",
            RABBITMQ_LOG_BASE=folder,
            RABBITMQ_LOGS="-",
            RABBITMQ_ENABLED_PLUGINS_FILE=folder + "/enabled_plugins",
            RABBITMQ_PID_FILE=folder + "/pid",
            RABBITMQ_DIST_PORT=str(dist),
            ERL_EPMD_PORT=str(epmd),
            ERL_EPMD_ADDRESS="127.0.0.1",
            # The script then replaces itself by the broker, so that its process is the one to stop.
            RUNNING_UNDER_SYSTEMD="true",
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
        )
        # Started by the broker, epmd would stay behind as a daemon.
        self.run(["epmd", "-address", "127.0.0.1", "-port", str(epmd)])
        self.run([self.server], env)


class ActiveMQ(Broker):
    name = "ActiveMQ"
    jar = "/usr/share/activemq/bin/activemq.jar"

    def start(self):
        # Its package depends on a Java without a display, which may be another than the one in the path.
        need(self.jar, "activemq")
        (stomp,) = free_ports(1)
        self.tcp = ("127.0.0.1", stomp)
        options = ["-D%s=%s" % (key, value) for key, value in [
            ("java.awt.headless", "true"), ("activemq.home", "/usr/share/activemq"), ("activemq.base", self.folder),
            ("activemq.conf", self.folder), ("activemq.data", self.folder)]]
        self.run(["java", "-Xmx128M", *options, "--add-opens", "java.base/java.lang=ALL-UNNAMED",
                  "--add-opens", "java.base/java.util=ALL-UNNAMED", "-jar", self.jar, "start",
                  "broker:(stomp://127.0.0.1:%d)?persistent=false&useJmx=false" % stomp])


class Ours(Broker):
    """The conformance server: the example stomp_testserver, built as it is for its release."""

    name = "ours"

    def __init__(self, *arguments):
        super().__init__()
        self.arguments = arguments

    def start(self):
        binary = os.environ.get("STOMP_TESTSERVER") or self.build()
        http, tcp = free_ports(2)
        self.tcp = ("127.0.0.1", tcp)
        self.ws = "ws://127.0.0.1:%d/ws" % http
        self.sockjs = "http://127.0.0.1:%d/sockjs" % http
        self.run([binary, "--addr", "127.0.0.1:%d" % http, "--tcp", "127.0.0.1:%d" % tcp, *self.arguments])

    @staticmethod
    def build():
        command = ["cargo", "build", "--release", "--locked", "-p", "axum-stomp", "--all-features", "--example",
                   "stomp_testserver", "--message-format=json-render-diagnostics"]
        built = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, timeout=1800)
        if built.returncode != 0:
            sys.exit("brokers.py: the test server does not build")
        return [message["executable"] for message in map(json.loads, built.stdout.splitlines())
                if message.get("executable")][-1]


BROKERS = {"ours": Ours, "rabbitmq": RabbitMQ, "activemq": ActiveMQ}


def exit_on_signals():
    """Turns TERM and HUP into an exit that leaves `with` blocks."""
    for number in signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("broker", choices=BROKERS)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="with {tcp}, {ws} and {sockjs} filled in")
    args = parser.parse_args()
    exit_on_signals()
    # stompjs's tests have bodies of 1 MiB.
    with Ours("--max-body", str(2 << 20)) if args.broker == "ours" else BROKERS[args.broker]() as broker:
        words = {"tcp": "%s:%d" % broker.tcp, "ws": broker.ws or "", "sockjs": broker.sockjs or ""}
        if args.command:
            command = args.command[1:] if args.command[0] == "--" else args.command
            for key, value in words.items():
                command = [word.replace("{%s}" % key, str(value)) for word in command]
            child = subprocess.Popen(command)
            try:
                return child.wait()
            finally:
                # It passes the signal on to what it started.
                end(child)
        print("\n".join("%s %s" % item for item in words.items() if item[1]), flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
