#!/usr/bin/env python3
"""s4client.py: a small client of the s4 protocol, written from PROTOCOL.md.

Usage: s4client.py put FILE|- KEY
       s4client.py get KEY FILE|-
       s4client.py ls [-r] PREFIX
       s4client.py rm [-r] PREFIX
       s4client.py eval KEY CMD
       s4client.py map INDIR OUTDIR CMD
       s4client.py map-to-n INDIR OUTDIR CMD
       s4client.py map-from-n INDIR OUTDIR CMD

Keys are s4://bucket/path. The cluster file is $S4_CONF_PATH or ~/.s4.conf, and that
of the cluster's secret, if it has one, $S4_SECRET_FILE. Exit
codes: 0 done, 1 it failed or nothing matched, 2 usage, 130 interrupted; eval
passes on its command's. What get writes to standard output is verified when the
exit code is 0, not before.

As a module, see Client. It follows the section "Write a client in an afternoon",
and leaves out what that calls optional: CHECKED frames, lz4, pipelining.
"""
import collections
import concurrent.futures
import contextlib
import hmac
import os
import select
import secrets
import socket
import stat
import struct
import sys
import threading
import unicodedata

PREAMBLE = struct.Struct(">4sBBcBIIQIHH")
HEADER = struct.Struct(">IBBH")
DATA_CHANNEL, CONTROL_CHANNEL = b"d", b"c"
MAX_DATA, MAX_MESSAGE, MAX_TEXT, MAX_REFUSAL = 16777216, 262144, 32768, 1024
CHUNK = 262144
SIZE_UNKNOWN = 2**64 - 1
RECURSIVE = 1  # flag of LIST and REMOVE
NO_AUTH, SECRET_AUTH, NONCE_SIZE, PROOF_SIZE = 0, 1, 32, 32
KEY, DIRECTORY, BUCKET = 1, 2, 3  # kinds of an entry
MAP, MAP_TO_N, MAP_FROM_N = 1, 2, 3  # verbs of a job
JOB_VERBS = ("map", "map-to-n", "map-from-n")
TAG = 1  # one request at a time on a connection: they need no telling apart

ERROR, OK, PING = 0x01, 0x02, 0x03
PUT, GET, EVAL, OBJECT, DATA, TRAILER, ABORT, STDERR, EXIT = 0x10, 0x11, *range(0x13, 0x1A)
LIST, ENTRIES, END, REMOVE, REMOVED = range(0x20, 0x25)
(JOB, READY, START, PROGRESS, DONE, PREPARE, PREPARED, COMMIT, COMMITTED, DISCARD,
 TASKS) = range(0x30, 0x3B)

CODES = ("internal bad-request bad-key exists not-found conflict wrong-cluster"
         " wrong-version wrong-server checksum no-space too-large task-failed canceled"
         " timeout shutting-down storage no-such-job unavailable unsupported"
         " unauthenticated").split()

Entry = collections.namedtuple("Entry", "kind name size mtime")  # mtime in ns
JobResult = collections.namedtuple("JobResult", "tasks keys bytes")


class S4Error(Exception):
    """What went wrong: code is a name of PROTOCOL.md's table of errors."""

    def __init__(self, code, text, key="", server="", exit=0, signal=0, stderr=b""):
        super().__init__(text)
        self.code, self.text, self.key, self.server = code, text, key, server
        self.exit, self.signal, self.stderr = exit, signal, stderr

    def __str__(self):
        what = self.text
        if self.code == "task-failed" and self.signal:
            what = f"command failed: signal {self.signal}"
        elif self.code == "task-failed" and self.exit:
            what = f"command failed: exit {self.exit}"
        comma = "," if ", " in what else ""  # the server belongs to all of it
        return what + (f"{comma} on {self.server}" if self.server else "")

    @classmethod
    def decode(cls, body, server):
        fields = Fields(body)
        code, exit, signal = fields.take(">HiB")
        name = CODES[code - 1] if 1 <= code <= len(CODES) else f"code-{code}"
        key, where, text = fields.string(), fields.string(), fields.string()
        return cls(name, text, key, where or server, exit, signal, fields.bytes())

    def encode(self):
        code = CODES.index(self.code) + 1 if self.code in CODES else 1
        text = self.text.encode("utf-8", "replace")[:MAX_TEXT].decode("utf-8", "ignore")
        return (struct.pack(">HiB", code, self.exit, self.signal) + string(self.key)
                + string(self.server) + string(text) + string(self.stderr[-MAX_TEXT:]))


class Fields:
    """Reads the fields of a message one after the other."""

    def __init__(self, body):
        self.body, self.at = body, 0

    def take(self, form):
        try:
            values = struct.unpack_from(form, self.body, self.at)
        except struct.error:
            raise S4Error("bad-request", "the server sent a message that is cut") from None
        self.at += struct.calcsize(form)
        return values

    def bytes(self):
        return self.take(f">{self.take('>I')[0]}s")[0]

    def string(self):
        return self.bytes().decode("utf-8", "surrogateescape")


def string(text):
    """A string as it is sent: its length and its bytes."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return struct.pack(">I", len(data)) + data


class PythonXXH64:
    """xxh64 with seed 0 for where the module xxhash is not installed."""

    P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                          0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)

    def __init__(self, data=b""):
        self.lanes = [(self.P1 + self.P2) % 2**64, self.P2, 0, -self.P1 % 2**64]
        self.length, self.rest = 0, b""
        self.update(data)

    def update(self, data):
        self.length += len(data)
        data = self.rest + data
        whole = len(data) & ~31
        self.rest = data[whole:]
        p1, p2, m = self.P1, self.P2, 2**64 - 1
        for lane in range(4):
            v = self.lanes[lane]
            for (word,) in struct.iter_unpack(f"<{8 * lane}xQ{24 - 8 * lane}x", data[:whole]):
                v = (v + word * p2) & m
                v = ((v << 31 | v >> 33) & m) * p1 & m
            self.lanes[lane] = v

    def intdigest(self):
        p1, p2, p3, p4, p5 = self.P1, self.P2, self.P3, self.P4, self.P5

        def rotate(x, n):
            x %= 2**64
            return (x << n | x >> (64 - n)) % 2**64

        h, rest = p5, self.rest
        if self.length >= 32:
            h = sum(rotate(lane, n) for lane, n in zip(self.lanes, (1, 7, 12, 18)))
            for lane in self.lanes:
                h = (h ^ rotate(lane * p2, 31) * p1 % 2**64) * p1 + p4
                h %= 2**64
        h = (h + self.length) % 2**64
        while len(rest) >= 8:
            h ^= rotate(int.from_bytes(rest[:8], "little") * p2, 31) * p1
            h, rest = rotate(h, 27) * p1 + p4, rest[8:]
        if len(rest) >= 4:
            h ^= int.from_bytes(rest[:4], "little") * p1
            h, rest = rotate(h, 23) * p2 + p3, rest[4:]
        for byte in rest:
            h = rotate(h ^ byte * p5, 11) * p1
        h %= 2**64
        h = (h ^ h >> 33) * p2 % 2**64
        h = (h ^ h >> 29) * p3 % 2**64
        return h ^ h >> 32


try:
    from xxhash import xxh64
except ImportError:
    xxh64 = PythonXXH64


def parse_prefix(name):
    """The prefix as it crosses the wire: without s4://."""
    if not name.startswith("s4://"):
        raise S4Error("bad-key", "does not start with s4://")
    return name[len("s4://"):]


def parse_key(name):
    """The key as it crosses the wire; what is no key is refused."""
    key = parse_prefix(name)
    segments = key.split("/")
    try:
        sizes = [len(segment.encode()) for segment in segments]
    except UnicodeEncodeError:
        raise S4Error("bad-key", "is not UTF-8") from None
    if (len(segments) < 2 or min(sizes) < 1 or max(sizes) > 255 or len(key.encode()) > 1024
            or key.startswith("_") or {".", ".."} & set(segments)
            or any(c.isspace() or unicodedata.category(c) == "Cc" for c in key)):
        raise S4Error("bad-key", "is no key")
    return key


def place(key, servers):
    """The index of the server that owns key."""
    base = key.rsplit("/", 1)[-1]
    digits = base.split("_", 1)[0]
    if digits.isascii() and digits.isdigit() and int(digits) < 2**64:
        return int(digits) % servers
    return xxh64(base.encode()).intdigest() % servers


def read_cluster(path):
    """The servers of a cluster file as (host, port), hosts in lower case."""
    servers = []
    with open(path, encoding="utf-8-sig") as file:
        for line in file:
            line = line.split("#", 1)[0].strip()
            if line:
                host, _, port = line.rpartition(":")
                if not host or not (port.isascii() and port.isdigit()):
                    raise ValueError(f"{path}: not host:port: {line}")
                servers.append((host.lower(), int(port)))
    if not servers:
        raise ValueError(f"{path}: names no server")
    return servers


def read_secret(path):
    """The cluster's secret, b"" without a path."""
    if not path:
        return b""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise ValueError(f"{path}: others can read it (chmod 600)")
        secret = file.read().strip(b" \t\n\v\f\r")
    if not 16 <= len(secret) <= 1024:
        raise ValueError(f"{path}: a secret has 16 to 1024 bytes")
    return secret


class Connection:
    """A connection to one server: frames out, under a lock, and frames in."""

    def __init__(self, servers, index, channel, secret=b""):
        host, port = servers[index]
        self.name = f"{host}:{port}"
        self.lock = threading.Lock()
        # A wildcard means this machine.
        address = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
        with self._lost():
            self.sock = socket.create_connection((address, port), timeout=30)
        try:
            self._handshake(servers, index, channel, secret)
        except BaseException:
            self.sock.close()
            raise

    def _handshake(self, servers, index, channel, secret):
        fingerprint = xxh64("".join(f"{h}:{p}\n" for h, p in servers).encode()).intdigest()
        with self._lost():
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            method, extra = (SECRET_AUTH, NONCE_SIZE) if secret else (NO_AUTH, 0)
            hello = PREAMBLE.pack(b"s4wp", 1, 1, channel, method, 0, 0, fingerprint, index, extra, 0)
            hello += secrets.token_bytes(extra)
            self.sock.sendall(hello)
            start = self._exactly(4)
            if start == b"s4wp":
                answer = start + self._exactly(28)
                if answer[7] != method:
                    raise S4Error("unauthenticated", "the server does not prove that it has the secret", server=self.name)
                if secret:
                    answer += self._exactly(NONCE_SIZE + PROOF_SIZE)
                    self._authenticate(secret, hello, answer)
                timeout = PREAMBLE.unpack(answer[:32])[6]
                # Frames or PINGs come more often than that from a server that works.
                self.sock.settimeout(timeout / 1000 or 30)
                return
            while not start.endswith(b"\n") and len(start) < MAX_REFUSAL:
                start += self._exactly(1)
        name, _, reason = start.decode("utf-8", "replace").strip().partition(": ")
        raise S4Error(name.removeprefix("s4-error "), reason)

    def _authenticate(self, secret, hello, answer):
        """Compares the server's proof, and sends ours."""
        def proof(label, *flights):
            return hmac.digest(secret, label + b"".join(flights), "sha256")

        if not hmac.compare_digest(answer[-PROOF_SIZE:], proof(b"s4 server 1\0", hello, answer[:-PROOF_SIZE])):
            raise S4Error("unauthenticated", "the server has another secret", server=self.name)
        self.sock.sendall(proof(b"s4 client 1\0", hello, answer))

    @contextlib.contextmanager
    def _lost(self):
        try:
            yield
        except TimeoutError:
            raise S4Error("timeout", "silent for too long", server=self.name) from None
        except OSError as err:
            raise S4Error("unavailable", f"connection failed: {err.strerror or err}", server=self.name) from err

    def _exactly(self, size):
        data = bytearray(size)
        view = memoryview(data)
        while view:
            n = self.sock.recv_into(view)
            if n == 0:
                raise OSError("closed by the server")
            view = view[n:]
        return bytes(data)

    def send(self, kind, body=b"", flags=0, tag=TAG):
        with self.lock, self._lost():
            view = memoryview(HEADER.pack(len(body), kind, flags, tag) + body)
            while view:  # not sendall, whose timeout is for all of it
                view = view[self.sock.send(view):]

    def ping(self):
        """Sends PING, unless so much is on its way that the server hears us anyhow."""
        if select.select([], [self.sock], [], 0)[1]:
            self.send(PING, tag=0)

    def _frame(self):
        with self._lost():
            size, kind, _, tag = HEADER.unpack(self._exactly(HEADER.size))
            if size > (MAX_DATA if kind in (DATA, STDERR) else MAX_MESSAGE):
                raise S4Error("too-large", f"frame 0x{kind:02x} of {size} bytes", server=self.name)
            body = self._exactly(size)
        if kind == ERROR:
            raise S4Error.decode(body, self.name)
        return kind, tag, body

    def read(self, *kinds):
        """The next frame but PING, which must be one of kinds; ERROR is raised."""
        kind = PING
        while kind == PING:
            kind, tag, body = self._frame()
        if kind not in kinds or tag != TAG:
            raise S4Error("bad-request", f"frame 0x{kind:02x} with tag {tag} is no answer", server=self.name)
        return kind, body

    def heard(self):
        """Reads what has come while we send: PINGs, or the ERROR of an early refusal."""
        while select.select([self.sock], [], [], 0)[0]:
            self._frame()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


@contextlib.contextmanager
def pinging(*connections):
    """Sends PING a second on all connections while the body runs."""
    over = threading.Event()

    def run():
        while not over.wait(1):
            for c in connections:
                with contextlib.suppress(S4Error):  # whoever reads there finds out
                    c.ping()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Client:
    """A client of the cluster that a cluster file names. All names begin with s4://."""

    def __init__(self, conf_path, secret_path=""):
        self.servers, self.secret = read_cluster(conf_path), read_secret(secret_path)

    def _dial(self, index, channel):
        return Connection(self.servers, index, channel, self.secret)

    def _owner(self, key, channel):
        return self._dial(place(key, len(self.servers)), channel)

    def put(self, key, source, size=SIZE_UNKNOWN):
        """Writes key from bytes or from a binary file, of which size may be known."""
        key = parse_key(key)
        if isinstance(source, bytes):
            size, chunks = len(source), (source[i:i + CHUNK] for i in range(0, len(source), CHUNK))
        else:
            chunks = iter(lambda: source.read(CHUNK), b"")
        with self._owner(key, DATA_CHANNEL) as c, pinging(c):
            c.send(PUT, struct.pack(">Q", size) + string(key))
            checksum, length = xxh64(), 0
            for chunk in chunks:
                c.heard()  # the server may refuse early; the end of the connection says ABORT
                c.send(DATA, chunk)
                checksum.update(chunk)
                length += len(chunk)
            c.send(TRAILER, struct.pack(">QQ", length, checksum.intdigest()))
            c.read(OK)

    def get(self, key, out):
        """Writes the bytes of key to the binary file out. They are good if get returns."""
        key = parse_key(key)
        with self._owner(key, DATA_CHANNEL) as c, pinging(c):  # out may be slow
            c.send(GET, string(key))
            c.read(OBJECT)
            checksum, length = xxh64(), 0
            kind, body = c.read(DATA, TRAILER, ABORT)
            while kind == DATA:
                out.write(body)
                checksum.update(body)
                length += len(body)
                kind, body = c.read(DATA, TRAILER, ABORT)
            if kind == ABORT:
                raise S4Error("canceled", "the server gave up", key, c.name)
            if Fields(body).take(">QQ") != (length, checksum.intdigest()):
                raise S4Error("checksum", "bytes differ from their checksum", key, c.name)

    def ls(self, prefix, recursive=False):
        """The entries of all servers that begin with prefix, sorted by name."""
        prefix = parse_prefix(prefix)
        found = {}
        for index in range(len(self.servers)):
            with self._dial(index, CONTROL_CHANNEL) as c:
                c.send(LIST, string(prefix), RECURSIVE if recursive else 0)
                kind, body = c.read(ENTRIES, END)
                while kind == ENTRIES:
                    fields = Fields(body)
                    (count,) = fields.take(">I")
                    for _ in range(count):
                        what, size, mtime = fields.take(">BQq")
                        entry = Entry(what, "s4://" + fields.string(), size, mtime)
                        # Of a bucket, the time when the first server used it.
                        found[entry.name] = min(entry, found.get(entry.name, entry))
                    kind, body = c.read(ENTRIES, END)
        return sorted(found.values(), key=lambda e: e.name.encode("utf-8", "surrogateescape"))

    def rm(self, prefix, recursive=False):
        """Removes a key, or all that begins with prefix; returns how many keys."""
        name = parse_prefix(prefix) if recursive else parse_key(prefix)
        owners = range(len(self.servers)) if recursive else [place(name, len(self.servers))]
        removed = 0
        for index in owners:
            with self._dial(index, CONTROL_CHANNEL) as c:
                c.send(REMOVE, string(name), RECURSIVE if recursive else 0)
                removed += Fields(c.read(REMOVED)[1]).take(">Q")[0]
        return removed

    def eval(self, key, cmd):
        """Runs cmd over key; returns its exit code as a shell does, stdout and stderr."""
        key = parse_key(key)
        with self._owner(key, DATA_CHANNEL) as c:
            c.send(EVAL, string(key) + string(cmd))
            output = {DATA: bytearray(), STDERR: bytearray()}
            kind, body = c.read(DATA, STDERR, EXIT)
            while kind != EXIT:
                output[kind] += body
                kind, body = c.read(DATA, STDERR, EXIT)
            code, signal, *sums = Fields(body).take(">iBQQQQ")
            out, err = bytes(output[DATA]), bytes(output[STDERR])
            if sums != [len(out), xxh64(out).intdigest(), len(err), xxh64(err).intdigest()]:
                raise S4Error("checksum", "output differs from its checksum", key, c.name)
            return (128 + signal if signal else code), out, err

    def map(self, indir, outdir, cmd):
        """Runs cmd for every key below indir; its stdout is the key below outdir."""
        return self._job(MAP, indir, outdir, cmd)

    def map_to_n(self, indir, outdir, cmd):
        """Runs cmd for every key below indir; each file that it writes, and whose name
        it prints, is the key outdir/PATH/FILE, where PATH is the input's below indir."""
        return self._job(MAP_TO_N, indir, outdir, cmd)

    def map_from_n(self, indir, outdir, cmd):
        """Runs cmd for every group of keys below indir that have one number, or one
        basename; its stdin is the paths of their files, its stdout the key of that
        name below outdir."""
        return self._job(MAP_FROM_N, indir, outdir, cmd)

    def _job(self, verb, indir, outdir, cmd):
        job = struct.pack(">QBIIQ", secrets.randbelow(2**64 - 1) + 1, verb, 0, 0, 0) + string("")
        for name in parse_prefix(indir).rstrip("/"), parse_prefix(outdir).rstrip("/"), cmd:
            job += string(name)
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(self._dial(i, CONTROL_CHANNEL))
                           for i in range(len(self.servers))]
            stack.enter_context(pinging(*connections))
            return JobDriver(connections).run(job)


class JobDriver:
    """The client's side of a job: each step on all connections before the next."""

    def __init__(self, connections):
        self.connections, self.answers = connections, {}  # of this step: future -> connection

    def run(self, job):
        with concurrent.futures.ThreadPoolExecutor(len(self.connections)) as self.pool:
            try:
                ready = [Fields(body).take(">QQQQ") for body in self._step(JOB, READY, job)]
                if not any(tasks or skipped for tasks, _, _, skipped in ready):
                    raise S4Error("not-found", "no key matches")
                done = [Fields(body).take(">Q") for body in self._step(START, DONE)]
                self._step(PREPARE, PREPARED)
            except BaseException as err:
                self._discard(err if isinstance(err, S4Error) else S4Error("canceled", "the client gave up"))
                raise
            published = self._commit()
            return JobResult(sum(n for n, in done), *(sum(column) for column in zip(*published)))

    def _step(self, request, answer, body=b""):
        """Sends request to all and returns all answers; the first failure is raised."""
        self.answers = {}
        for c in self.connections:
            c.send(request, body)
        self.answers = {self.pool.submit(self._answer, c, answer): c for c in self.connections}
        for future in concurrent.futures.as_completed(self.answers):
            future.result()
        return [future.result()[1] for future in self.answers]

    @staticmethod
    def _answer(c, answer):
        """Reads up to the answer, or the OK to a DISCARD that overtook it."""
        while True:
            kind, body = c.read(answer, OK, PROGRESS, TASKS)
            if kind in (answer, OK):
                return kind, body

    def _discard(self, why):
        readers = {c: future for future, c in self.answers.items()}
        reason = why.encode()
        for c in self.connections:
            with contextlib.suppress(S4Error):
                c.send(DISCARD, reason)
        for c in self.connections:
            # A reader may be at work, and meets the OK; one that got ERROR has it before it.
            kind = None
            with contextlib.suppress(S4Error):
                kind = readers[c].result()[0] if c in readers else None
            with contextlib.suppress(S4Error):
                while kind != OK:
                    kind, _ = c.read(OK, READY, PROGRESS, TASKS, DONE, PREPARED)

    def _commit(self):
        """From the first COMMIT on the job is decided: all are told, whatever happens."""
        published, lost = [], []
        for c in self.connections:
            with contextlib.suppress(S4Error):
                c.send(COMMIT)
        for c in self.connections:
            try:
                published.append(Fields(c.read(COMMITTED)[1]).take(">QQ"))
            except S4Error as err:
                lost.append(err)
        if lost:
            raise S4Error(lost[0].code, f"output may not be published (see s4 jobs): {lost[0]}")
        return published


def get_file(client, key, path):
    """The file appears when it is whole and verified."""
    part = f"{path}.part-{os.getpid()}"
    try:
        with open(part, "xb") as out:
            client.get(key, out)
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


def command(client, verb, recursive, args):
    """Runs one verb; returns the exit code."""
    if sys.stdin is None or sys.stdout is None:
        raise S4Error("storage", "a standard stream is closed")
    code, stdout = 0, sys.stdout.buffer
    if verb == "put" and args[0] == "-":
        client.put(args[1], sys.stdin.buffer)
    elif verb == "put":
        with open(args[0], "rb") as source:
            info = os.fstat(source.fileno())
            client.put(args[1], source, info.st_size if stat.S_ISREG(info.st_mode) else SIZE_UNKNOWN)
    elif verb == "get" and args[1] == "-":
        client.get(args[0], stdout)
    elif verb == "get":
        get_file(client, *args)
    elif verb == "ls":
        entries = client.ls(args[0], recursive)
        for e in entries:
            size = {KEY: e.size, DIRECTORY: "dir", BUCKET: "bucket"}[e.kind]
            stdout.write(f"{size:>12} {e.name}\n".encode("utf-8", "surrogateescape"))
        if not entries and args[0] != "s4://":
            raise S4Error("not-found", "no key matches")
    elif verb == "rm" and client.rm(args[0], recursive) == 0:
        raise S4Error("not-found", "no key matches")
    elif verb == "eval":
        code, out, err = client.eval(*args)
        stdout.write(out)
        sys.stderr.buffer.write(err)
    elif verb in JOB_VERBS:
        result = getattr(client, verb.replace("-", "_"))(*args)
        stdout.write(b"%d tasks, %d bytes out in %d keys\n" % (result.tasks, result.bytes, result.keys))
    stdout.flush()
    return code


def main(argv):
    verb, *args = argv or [""]
    if verb in ("-h", "--help"):
        print(__doc__.partition("\n\n")[2].partition("\n\nAs a module")[0])
        return 0
    recursive = verb in ("ls", "rm") and args[:1] == ["-r"]
    args = args[recursive:]
    counts = {"put": 2, "get": 2, "ls": 1, "rm": 1, "eval": 2, **dict.fromkeys(JOB_VERBS, 3)}
    if len(args) != counts.get(verb):
        print("s4client.py: usage: put FILE|- KEY, get KEY FILE|-, ls [-r] PREFIX, rm [-r] PREFIX,"
              " eval KEY CMD, map|map-to-n|map-from-n INDIR OUTDIR CMD", file=sys.stderr)
        return 2
    key, stderr = args[1 if verb == "put" else 0], b""
    try:
        client = Client(os.environ.get("S4_CONF_PATH") or os.path.expanduser("~/.s4.conf"),
                        os.environ.get("S4_SECRET_FILE"))
        return command(client, verb, recursive, args)
    except S4Error as err:
        if err.key:
            key = "s4://" + err.key
        what, stderr = str(err), err.stderr
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 1
    except (OSError, ValueError) as err:
        what = str(err)
    except KeyboardInterrupt:
        return 130
    line = "".join(c if c.isprintable() else "?" for c in f"s4client.py: {verb} {key}: {what}")
    sys.stderr.buffer.write(line.encode("utf-8", "replace") + b"\n" + stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
