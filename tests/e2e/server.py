# SPDX-License-Identifier: BSD-2-Clause
"""Runs weir for a test: a folder of its own, free ports, READY by the notify socket, and only its own processes ended."""
import collections
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import string
import subprocess
import tempfile
import time
from pathlib import Path

WEIR = os.environ.get("WEIR_BIN", "weir")
SOURCE = Path(os.environ.get("WEIR_SRCDIR", Path(__file__).resolve().parents[2]))
START_SECONDS = 20
STOP_SECONDS = 20
ROOT = os.geteuid() == 0

# What a log must never hold: a broken invariant, a sanitizer's report, a worker that died.
FAULTS = re.compile(
    r"broken invariant|check(?: failed|_failed|ion failed)|AddressSanitizer|LeakSanitizer|ThreadSanitizer|MemorySanitizer"
    r"|UndefinedBehaviorSanitizer|runtime error:|stack smashing|buffer overflow detected|Assertion .* failed"
    r"|\bSIG(?:SEGV|ABRT|SYS|BUS|FPE|ILL)\b",
    re.IGNORECASE,
)

# For `secure`: listeners of which there is one with TLS beside.
LISTEN = re.compile(r'\blisten: "http://127\.0\.0\.1:\$(port\d*)"')
CERTIFICATES = "{ certificates: [{ certificate: $folder/server.pem, key: $folder/server.key }] }"

# Keys that every configuration gets unless it says them itself.
BASE = {
    "threads": "2",
    "pid_file": "$folder/weir.pid",
    "temp_dir": "$folder/tmp",
    "drain": "5s",
    "log": "{ error: { path: stderr, level: info }, access: { path: $folder/access.log, format: combined } }",
}
if ROOT:
    BASE["user"] = "nobody"
if os.environ.get("WEIR_E2E_SANDBOX"):  # off: to tell the sandbox's faults from others
    BASE["sandbox"] = os.environ["WEIR_E2E_SANDBOX"]


def features():
    """The words of `weir --version`'s features line."""
    text = subprocess.run([WEIR, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    found = re.search(r"^features:(.*)$", text, re.MULTILINE)
    assert found, f"weir --version names no features:\n{text}"
    return found.group(1).split()


def instrumented():
    """Builds with sanitizers or coverage do what the sandbox forbids: they are not locked in."""
    program = Path(WEIR).read_bytes()
    return any(word in program for word in (b"__asan_init", b"__tsan_init", b"__gcov_exit"))


def control_sockets(file, env=None):
    """Where the control socket of a configuration file is, and its lock (control_path in server/process/control.c)."""
    digest = 0xCBF29CE484222325
    for octet in os.fsencode(file):
        digest = (digest ^ octet) * 0x100000001B3 % 2**64
    name = f"{Path(file).stem[:24]}-{digest:016x}.sock"
    own = (env or os.environ).get("XDG_RUNTIME_DIR")
    folder = Path("/run/weir") if ROOT else Path(own, "weir") if own else Path(f"/tmp/weir-{os.geteuid()}")
    return [folder / name, folder / (name + ".lock")]


GIVEN = collections.deque(maxlen=1000)  # ports: nobody listens at them yet


def free_port():
    """A port that nobody uses, below the range from which the kernel gives ports to clients."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low = int(file.read().split()[0])
    top = low - 1 if low > 12000 else 65000
    for _ in range(200):
        port = random.SystemRandom().randint(10000 if top > 12000 else 1025, top)
        if port in GIVEN:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            GIVEN.append(port)
            return port
    raise AssertionError("no free port")


def new_folder():
    """A temporary folder that the worker's account may enter."""
    folder = Path(tempfile.mkdtemp(prefix="weir-e2e-"))
    folder.chmod(0o755)
    return folder


def name_of(pid):
    """What a process calls itself."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def family(pid):
    """All children of a process, by /proc."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text(encoding="ascii").split()]
        except OSError:
            pass
    return found


def children(pid):
    """The workers of a supervisor: neither helpers, nor those that open a file for somebody and are gone."""
    return [one for one in family(pid) if command_of(one)[1:] == ["worker"]]


def is_lasting(pid):
    """A worker or a helper, none of those that open a file for somebody."""
    return command_of(pid)[1:] in (["worker"], ["signer"], ["acme"])


def command_of(pid):
    """Its command line; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")[:-1]
    except OSError:
        return []


def helpers(pid, kind="signer"):
    """The helpers of this kind that a supervisor has."""
    return [one for one in family(pid) if name_of(one) == f"weir-{kind}"]


def born(pids):
    """When processes began, in clock ticks: pids come again, this does not."""
    times = {}
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        times[pid] = int(text.rpartition(")")[2].split()[19])
    return times


def wait_for(condition, seconds=5, what="condition"):
    """Polls until the condition gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class Failed(AssertionError):
    """weir ended before it was ready."""


class Server:
    """One weir. In `config`: $folder, $root ($folder/root), $port, $port2 … (free ports) and the names given as `values`.
    `secure`: beside each listener of a site that is written `listen: "http://127.0.0.1:$port"` there is one with TLS ($port_tls)."""

    alive = []
    tls_ports = {}  # of all servers: the port with TLS beside a plain one

    def __init__(self, config, folder=None, base=True, env=None, values=None, command=None, secure=False):
        self.folder = Path(folder) if folder else new_folder()
        self.own_folder = folder is None
        self.root = self.folder / "root"
        self.root.mkdir(exist_ok=True)
        temp = self.folder / "tmp"
        temp.mkdir(exist_ok=True)
        temp.chmod(0o777)
        self.file = self.folder / "weir.yaml"
        self.template, self.base, self.values, self.secure = config, base, dict(values or {}), secure
        if secure:
            import certificates  # not all that start a server have what it needs
            certificates.lay_out(self.folder)
        self.env = dict(os.environ, **(env or {}))
        self.command = command or [WEIR, "run", "-c", str(self.file)]
        self.ports = {}
        self.process = None
        self.started = {}
        self.errors = self.folder / "error.log"

    # --- The configuration ---

    @property
    def port(self):
        return self.ports["port"]

    def expand(self, template):
        """The template as weir gets to see it."""
        lines, base = [], dict(BASE)
        if self.secure:
            template = LISTEN.sub(r'listen: ["http://127.0.0.1:$\1", "https://127.0.0.1:$\1_tls"]', template)
            base["tls"] = CERTIFICATES
        if self.base:
            said = set(re.findall(r"^(\w+):", template, re.MULTILINE))
            lines = [f"{key}: {value}" for key, value in base.items() if key not in said]
        text = "\n".join(lines + [template.strip("\n")]) + "\n"
        for name in re.findall(r"\$(port\d*(?:_tls)?)", text):
            if name not in self.ports:
                self.ports[name] = free_port()
        values = {"folder": self.folder, "root": self.root, **self.ports, **self.values}
        return string.Template(text).safe_substitute(values)

    def write(self, template=None):
        """Writes the configuration, in one step so that no reader sees half of it."""
        if template is not None:
            self.template = template
        new = self.file.with_suffix(".new")
        new.write_text(self.expand(self.template), encoding="utf-8")
        os.replace(new, self.file)

    # --- Start and stop ---

    def start(self, attempts=5):
        """Starts weir and waits until it says READY=1; ports that were taken meanwhile are chosen anew."""
        for attempt in range(attempts):
            self.write()
            try:
                self.spawn()
                Server.tls_ports.update({self.ports[name.removesuffix("_tls")]: port for name, port in self.ports.items() if name.endswith("_tls")})
                return self
            except Failed:
                text = self.log()
                self.kill()
                if not re.search(r"address (?:is )?(?:already )?in use", text,
                        re.IGNORECASE) or attempt == attempts - 1:
                    raise
                self.ports.clear()
        return self

    def spawn(self):
        path = str(self.folder / "notify")
        if os.path.exists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(self.errors, "ab") as errors:
            notify.bind(path)
            os.chmod(path, 0o777)
            notify.settimeout(0.02)
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True,
                env=dict(self.env, NOTIFY_SOCKET=path), cwd=self.folder)
            self.await_ready(notify)
        self.expect_restart()
        Server.alive.append(self)

    def await_ready(self, notify):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            try:
                if b"READY=1" in notify.recv(4096).split(b"\n"):
                    return
            except TimeoutError:
                pass
            if self.process.poll() is not None:
                raise Failed(f"weir ended with {self.process.returncode} before it was ready:\n{self.log()}")
        raise Failed(f"weir was not ready after {START_SECONDS} s:\n{self.log()}")

    @property
    def pid(self):
        return self.process.pid

    def worker(self):
        """The pid of the only worker."""
        workers = children(self.process.pid)
        assert len(workers) == 1, f"{len(workers)} children: {workers}"
        return workers[0]

    def expect_restart(self):
        """For tests that end or replace workers themselves: what runs now is what shall run at the end."""
        for _ in range(50):
            workers = children(self.process.pid)
            self.started = born(one for one in family(self.process.pid) if is_lasting(one))
            if len(workers) == 1:
                break
            time.sleep(0.02)  # one that drains ends by itself

    def check(self):
        """No worker restarted, no invariant broke, no sanitizer complained."""
        found = FAULTS.search(self.log())
        assert not found, f"the error log holds {found.group(0)!r}:\n{self.log()[-4000:]}"
        if self.process is None or self.process.poll() is not None:
            return
        now = born(family(self.process.pid))
        for pid, when in self.started.items():
            assert now.get(pid) == when, f"process {pid} is gone, now {now}; log:\n{self.log()[-4000:]}"

    def stop(self, sig=signal.SIGTERM):
        """Ends weir as an operator would; returns its exit status."""
        if self in Server.alive:
            Server.alive.remove(self)
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"weir did not stop within {STOP_SECONDS} s of signal {sig}:\n{self.log()[-4000:]}")
        return self.process.returncode

    def kill(self):
        """Ends what is left of the session that was started here, and nothing else."""
        if self in Server.alive:
            Server.alive.remove(self)
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(STOP_SECONDS)

    def remove(self):
        for path in control_sockets(self.file, self.env):  # of one that was killed
            path.unlink(missing_ok=True)
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            self.remove()
            raise

    def __exit__(self, kind, value, trace):
        try:
            status = self.stop()
            if kind is None:
                self.check()
                assert status == 0, f"weir ended with {status}:\n{self.log()[-4000:]}"
        finally:
            self.kill()
            self.remove()

    # --- What it wrote ---

    def log(self):
        """The error log."""
        try:
            return self.errors.read_text(encoding="utf-8", errors="backslashreplace")
        except FileNotFoundError:
            return ""

    def access_lines(self, count, seconds=5):
        """The access log's lines (bytes), once there are `count` of them: they are gathered before they are written."""
        file = self.folder / "access.log"

        def lines():
            found = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
            return found if len(found) >= count else None

        return wait_for(lines, seconds, f"{count} lines in the access log") if count else (lines() or [])

    def url(self, path="/", scheme="http", port="port"):
        return f"{scheme}://127.0.0.1:{self.ports[port]}{path}"


def starter(made, **given):
    """What starts a server with a page and notes it in `made`: for fixtures that end them in ways of their own."""

    def start(config, **options):
        server = Server(config, **given, **options)
        made.append(server)
        server.start()
        (server.root / "index.html").write_text("hello\n")
        return server

    return start


def command(*arguments, seconds=20, env=None, cwd=None):
    """Runs one of weir's commands to its end."""
    return subprocess.run([WEIR, *map(str, arguments)], capture_output=True, text=True,
        errors="backslashreplace",
                          timeout=seconds, env=dict(os.environ, **(env or {})), cwd=cwd, check=False)


def status(server):
    """What `weir status` tells of a running one."""
    answer = command("status", "--json", "-c", server.file)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def get(port, path="/", host="127.0.0.1"):
    """One request by a library that knows nothing of weir: status and body."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
