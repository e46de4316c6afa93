# SPDX-License-Identifier: BSD-2-Clause
"""The next request sees the change, and a response is the bytes of one version (DESIGN §3, §4): replaced, rewritten, truncated,
renamed and removed files, switched links, whole roots."""
import itertools
import os
import shutil
import threading
import time

import pytest

from client import PROTOCOLS, BadResponse, Ended, connect, learned
from server import Server

CONFIG = """
threads: 2
sites:
  - { listen: "http://127.0.0.1:$port", root: root }
  - { listen: "http://127.0.0.1:$port2", root: current }
"""
LARGE = 6 << 20
MUCH = 32 << 20  # more than the kernel's buffers hold of an answer that nobody reads


@pytest.fixture(scope="module")
def server():
    made = Server(CONFIG, secure=True)
    for release in ("one", "two"):
        folder = made.folder / "releases" / release
        folder.mkdir(parents=True)
        (folder / "index.html").write_text(release, encoding="utf-8")
        (folder / "only-in-" f"{release}.txt").write_text(release, encoding="utf-8")
    os.symlink("releases/one", made.folder / "current")
    with made:
        yield made


@pytest.fixture
def get(server, proto):
    """Requests on several kept connections in turn, so that every thread has seen every name; the root holds what was there before."""
    connections = [connect(server.port) for _ in range(6)]
    turns = itertools.cycle(connections)

    def request(target, **options):
        return next(turns).get(target, **options)

    kept = set(os.listdir(server.root))
    yield request
    for connection in connections:
        connection.close()
    for name in set(os.listdir(server.root)) - kept:
        path = server.root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def replace(path, content):
    new = path.with_name("." + path.name + ".new")
    write(new, content)
    os.replace(new, path)


def all_see(get, target, status, body=None):
    """All threads: not one stale answer."""
    for _ in range(6):
        response = get(target)
        assert response.status == status
        if body is not None:
            assert response.body == body.encode()


def test_replaced(server, get):
    path = server.root / "a.txt"
    for number in range(60):
        replace(path, f"version {number}")
        all_see(get, "/a.txt", 200, f"version {number}")


def test_replaced_by_same_size_and_time(server, get):
    """Neither size nor mtime tell these apart, the tag does."""
    path = server.root / "same.txt"
    tags = set()
    for letter in "abcdef":
        replace(path, letter * 100)
        os.utime(path, (1700000000, 1700000000))
        response = get("/same.txt")
        assert response.body == letter.encode() * 100
        tags.add(response.get("ETag"))
    assert len(tags) == 6


def test_same_content_has_the_same_tag(server, get):
    """ETags come from content: rebuilt without a change, copied elsewhere."""
    path = server.root / "tag.txt"
    write(path, "content")
    tag = get("/tag.txt").get("ETag")
    replace(path, "content")
    os.utime(path, (1600000000, 1600000000))
    shutil.copy(path, server.root / "tag-copy.txt")
    assert get("/tag.txt").get("ETag") == tag
    assert get("/tag-copy.txt").get("ETag") == tag
    replace(path, "Content")
    assert get("/tag.txt").get("ETag") != tag


def test_written_in_place(server, get):
    path = server.root / "place.txt"
    for number in range(30):
        write(path, f"in place {number}" * (1 + number % 3))
        all_see(get, "/place.txt", 200, f"in place {number}" * (1 + number % 3))


def test_appended(server, get):
    path = server.root / "log.txt"
    write(path, "")
    text = ""
    for number in range(30):
        text += f"line {number}\n"
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"line {number}\n")
        all_see(get, "/log.txt", 200, text)


def test_appeared_and_removed(server, get):
    path = server.root / "comes.txt"
    for _ in range(20):
        all_see(get, "/comes.txt", 404)
        write(path, "here")
        all_see(get, "/comes.txt", 200, "here")
        path.unlink()
    all_see(get, "/comes.txt", 404)


def test_folder_appeared_and_removed(server, get):
    folder = server.root / "new" / "deep"
    for number in range(10):
        all_see(get, "/new/deep/x.txt", 404)
        folder.mkdir(parents=True)
        write(folder / "x.txt", f"{number}")
        all_see(get, "/new/deep/x.txt", 200, f"{number}")
        shutil.rmtree(server.root / "new")


def test_folder_renamed(server, get):
    """A change of an ancestor is a change of what is below."""
    folder = server.root / "tree" / "a" / "b"
    folder.mkdir(parents=True)
    write(folder / "x.txt", "old")
    for number in range(10):
        all_see(get, "/tree/a/b/x.txt", 200, "old")
        os.rename(server.root / "tree" / "a", server.root / "tree" / "z")
        all_see(get, "/tree/a/b/x.txt", 404)
        all_see(get, "/tree/z/b/x.txt", 200, "old")
        os.rename(server.root / "tree" / "z", server.root / "tree" / "a")


def test_folder_exchanged(server, get):
    for name in ("blue", "green"):
        (server.root / name).mkdir()
        write(server.root / name / "x.txt", name)
    for _ in range(10):
        all_see(get, "/blue/x.txt", 200, "blue")
        os.rename(server.root / "blue", server.root / "swap")
        os.rename(server.root / "green", server.root / "blue")
        all_see(get, "/blue/x.txt", 200, "green")
        all_see(get, "/green/x.txt", 404)
        os.rename(server.root / "blue", server.root / "green")
        os.rename(server.root / "swap", server.root / "blue")


def test_index_comes_and_goes(server, get):
    folder = server.root / "indexed"
    folder.mkdir()
    for _ in range(10):
        all_see(get, "/indexed/", 404)
        all_see(get, "/indexed", 404)
        write(folder / "index.html", "index")
        all_see(get, "/indexed/", 200, "index")
        all_see(get, "/indexed", 308)
        (folder / "index.html").unlink()


def test_file_becomes_folder(server, get):
    path = server.root / "both"
    for _ in range(10):
        write(path, "file")
        all_see(get, "/both", 200, "file")
        path.unlink()
        path.mkdir()
        write(path / "index.html", "folder")
        all_see(get, "/both", 308)
        all_see(get, "/both/", 200, "folder")
        shutil.rmtree(path)


def test_link_switched(server, get):
    for name in ("v1", "v2"):
        (server.root / name).mkdir()
        write(server.root / name / "x.txt", name)
    link = server.root / "latest"
    os.symlink("v1", link)
    for number in range(20):
        name = ("v1", "v2")[number % 2]
        os.symlink(name, server.root / "latest.new")
        os.replace(server.root / "latest.new", link)
        all_see(get, "/latest/x.txt", 200, name)


def test_target_of_a_link_changed(server, get):
    (server.root / "data").mkdir()
    write(server.root / "data" / "real.txt", "0")
    os.symlink("data/real.txt", server.root / "via.txt")
    for number in range(20):
        replace(server.root / "data" / "real.txt", f"{number}")
        all_see(get, "/via.txt", 200, f"{number}")


def test_made_unreadable(server, get):
    path = server.root / "mode.txt"
    write(path, "readable")
    for _ in range(5):
        os.chmod(path, 0o644)
        all_see(get, "/mode.txt", 200, "readable")
        os.chmod(path, 0)
        all_see(get, "/mode.txt", 403)


def test_root_link_switched(server, proto):
    """A deploy switches the link that the root is: followed at once, by kept connections too."""
    connections = [connect(server.ports["port2"]) for _ in range(4)]
    for number in range(20):
        name, other = (("two", "one"), ("one", "two"))[number % 2]
        os.symlink(f"releases/{name}", server.folder / "current.new")
        os.replace(server.folder / "current.new", server.folder / "current")
        for connection in connections:
            assert connection.get("/").body == name.encode()
            assert connection.get(f"/only-in-{name}.txt").status == 200
            assert connection.get(f"/only-in-{other}.txt").status == 404
    for connection in connections:
        connection.close()


# --- While it is sent ---

def pattern(letter, size=LARGE):
    return letter * size


def begin(server, target):
    """A download of which only the beginning was read."""
    return connect(server.port, narrow=32768).begin(target)


def test_replaced_while_sent(server, proto):
    """The old one, whole."""
    path = server.root / "sent.bin"
    write(path, pattern(b"a"))
    connection = begin(server, "/sent.bin")
    replace(path, pattern(b"b"))
    assert connection.read(seconds=8).body == pattern(b"a")
    assert connection.get("/sent.bin").body == pattern(b"b")
    connection.close()


def test_removed_while_sent(server, proto):
    path = server.root / "removed.bin"
    write(path, pattern(b"a"))
    connection = begin(server, "/removed.bin")
    path.unlink()
    assert connection.read(seconds=8).body == pattern(b"a")
    assert connection.get("/removed.bin").status == 404
    connection.close()


def test_truncated_while_sent(server, proto):
    """The connection ends, over HTTP/2 the stream; nothing is padded."""
    path = server.root / "cut.bin"
    write(path, pattern(b"a", MUCH))
    connection = begin(server, "/cut.bin")
    os.truncate(path, 1 << 20)
    with pytest.raises(Ended) as fault:
        connection.read(seconds=8)
    assert learned(connection, fault.value), "the connection must end"
    assert not fault.value.partial.strip(b"a")
    connection.close()


def test_rewritten_while_sent(server, proto):
    """Never a mixture that looks whole: one version, or the connection ends."""
    path = server.root / "mixed.bin"
    write(path, pattern(b"a", MUCH))
    connection = begin(server, "/mixed.bin")
    with open(path, "r+b") as file:
        file.write(pattern(b"b", MUCH))
    try:
        body = connection.read(seconds=8).body
    except Ended as fault:
        assert learned(connection, fault)
    else:
        assert body in (pattern(b"a", MUCH), pattern(b"b", MUCH)), "two versions mixed in one whole response"
    connection.close()


def test_grown_while_sent(server, proto):
    path = server.root / "grown.bin"
    write(path, pattern(b"a"))
    connection = begin(server, "/grown.bin")
    with open(path, "ab") as file:
        file.write(pattern(b"b"))
    try:
        assert connection.read(seconds=8).body == pattern(b"a")
    except Ended as fault:
        assert learned(connection, fault)
    else:
        assert connection.get("/grown.bin").body == pattern(b"a") + pattern(b"b")
    connection.close()


@pytest.mark.parametrize("size", [50, 5000, 200000])
def test_never_mixed_under_load(server, size):
    """While a writer replaces the file as fast as it can, every response is one version, with that version's tag and length, over
    whatever it is asked for."""
    path = server.root / f"load-{size}.bin"
    replace(path, b"0" * size)
    stop = threading.Event()

    def writer():
        for number in itertools.count():
            if stop.is_set():
                return
            replace(path, b"%d" % (number % 10) * (size + number % 3))
            time.sleep(0.0005)

    tags, bad = {}, []

    def reader(proto):
        with connect(server.port, proto) as connection:
            while not stop.is_set():
                try:
                    response = connection.get(f"/load-{size}.bin")
                except (BadResponse, Ended) as fault:
                    bad.append(f"{proto}: {fault}")
                    return
                body = response.body
                if response.status != 200 or body.strip(body[:1]) or not size <= len(body) <= size + 2:
                    bad.append((proto, response.status, len(body), body[:10], body[-10:]))
                if tags.setdefault(response.get("ETag"), body) != body:
                    bad.append(("one tag for two versions", response.get("ETag")))

    threads = [threading.Thread(target=writer)] + [threading.Thread(target=reader, args=(proto,)) for proto in PROTOCOLS]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert not bad, bad[:3]
    assert len(tags) > 3


def test_own_write_is_always_seen(server):
    """What was replaced before the request was sent is never answered in its old form (DESIGN §4: 0 stale)."""
    path = server.root / "stale.txt"
    connections = [connect(server.port, proto) for proto in PROTOCOLS]
    stale = 0
    for number in range(2000):
        replace(path, f"{number}")
        stale += connections[number % len(connections)].get("/stale.txt").body != str(number).encode()
    for connection in connections:
        connection.close()
    assert stale == 0
