# SPDX-License-Identifier: BSD-2-Clause
"""From path to file (DESIGN §2, §3; RFC 3986, 2, 5.2.4; RFC 9112, 3.2): spellings, malformed percent, long names, links for each
value of `symlinks`, hidden names, what is no regular file, what may not be read, the slash of a folder."""
import errno
import itertools
import json
import os
import socket
import stat
import threading
import time
import urllib.parse

import pytest

from client import connect
from fileroot import SECRET, ask, encode, made, put, words

CONFIG = """
sites:
  - { listen: "http://127.0.0.1:$port", root: root, $compress }
  - { listen: "http://127.0.0.1:$port2", root: root, symlinks: off, $compress }
  - { listen: "http://127.0.0.1:$port4", root: root, proxy: "127.0.0.1:$backend", $compress }
  - { listen: "http://127.0.0.1:$port5", root: root, hidden_files: on, $compress }
  - { listen: "http://127.0.0.1:$port6", root: linked-root, symlinks: off, $compress }
"""
ANYWHERE = """
sites:
  - { listen: "http://127.0.0.1:$port", root: $tree, symlinks: anywhere, $compress }
  - { listen: "http://127.0.0.1:$port2", root: $tree, $compress }
"""
SITES = {"inside": "port", "off": "port2", "linked": "port6", "anywhere": "port"}
TEN = b"0123456789"
ODD_FOLDERS = ["sp ace", "ümläut", "a?b", "100%", "q#h", "new\nline", "semi;colon", "back\\slash", 'quo"te', "a:b", "<b>", "%41",
    "\x7f", "d" * 255, "http:", "@host"]

# The names of links and where they lead.
LINKS = {"in.txt": "ten.txt", "indir": "sub", "sub/up.txt": "../ten.txt", "chain": "in.txt", "chain-dir": "indir", "self": ".",
    "deep": "sub/deep/er",
         "out.txt": "../secret.txt", "outdir": "../outside", "chain-out": "out.txt", "passwd": "/etc/passwd", "up": "..",
         "sub/far.txt": "../../secret.txt",
         "chain-outdir": "outdir", "sibling": "../root-sibling", "dangling": "nothing", "dangling-out": "../nothing",
         "loop": "loop", "loop-a": "loop-b",
         "loop-b": "loop-a", "looped": "looped/x", "around": "../root/ten.txt", "zero": "/dev/zero", "null": "/dev/null",
         "environ": "/proc/self/environ",
         "to-fifo": "fifo", "to-closed": "closed.txt", "to-hidden": ".hidden", "slashed": "ten.txt/", "to-slash": "sub/"}


@pytest.fixture(scope="module")
def server(recorder):
    server = made(CONFIG, secure=True, values={"backend": recorder.port})
    root, folder = server.root, server.folder
    for name, content in (("ten.txt", TEN), ("index.html", b"index"), ("sub/index.html", b"sub"), ("sub/a.txt", b"a"),
            ("sub/deep/er/x.txt", b"deep"),
                          ("hard.txt", b"hard"), (".hidden", b"hidden"), (".dir/a.txt", b"hidden"), ("sub/.env", b"hidden"),
                          ("..two", b"hidden"), ("...", b"hidden"),
                          (".well-known/x.txt", b"known"), (".well-known/.secret", b"hidden"), (".well-known-not", b"hidden"),
                          ("%41.txt", b"literal"),
                          ("new\nline.txt", b"newline"), ("tab\t.txt", b"tab"), ("back\\slash.txt", b"backslash"), ("e\u0301.txt",
                          b"decomposed"),
                          ("a;b.txt", b"semicolon"), ("d;x/a.txt", b"in semicolon"), ("~", b"tilde"), ("trailing ", b"space"),
                          ("dot.", b"dot"), ("*", b"star"),
                          ("n" * 255, b"255"), ("looks%2flike", b"percent")):
        put(root, name, content)
    for name in ODD_FOLDERS:
        put(root, name + "/index.html", name)
    put(root, "/".join("p" * 200 for _ in range(19)) + "/x.txt", b"long path")
    os.link(root / "hard.txt", root / "hard-too.txt")
    for name in ("secret.txt", "outside/secret.txt", "outside/index.html", "root-sibling/secret.txt", "rootsecret"):
        put(folder, name, SECRET)
    for name, target in LINKS.items():
        os.symlink(target, root / name)
    os.symlink(str(root / "ten.txt"), root / "absolute.txt")
    os.symlink(str(root / "sub"), root / "absolute-dir")
    os.symlink("root", folder / "linked-root")
    os.mkfifo(root / "fifo", 0o666)
    os.mkdir(root / "fifo-index")
    os.mkfifo(root / "fifo-index" / "index.html", 0o666)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(root / "socket"))
    for name in ("closed.txt", "closed-index/index.html", "closed-variant.txt"):
        os.chmod(put(root, name, SECRET), 0)
    put(root, "closed-variant.txt.gz", encode(SECRET, "gzip"))
    for name, mode in (("closed", 0), ("passage", 0o311)):
        put(root, name + "/a.txt", SECRET if mode == 0 else b"passed")
        put(root, name + "/index.html", SECRET if mode == 0 else b"passed")
        os.chmod(root / name, mode)
    with server:
        yield server
        for name in ("closed", "passage"):
            os.chmod(root / name, 0o755)


@pytest.fixture(scope="module")
def anywhere(server):
    """Another one on the same tree, that follows all links."""
    with made(ANYWHERE, values={"tree": server.root}, secure=True) as other:
        yield other


@pytest.fixture(params=SITES)
def linked(request, server):
    """A value of `symlinks`, and a way to ask the site that has it."""
    which = request.getfixturevalue("anywhere") if request.param == "anywhere" else server
    return request.param, lambda *arguments, **options: ask(which, *arguments, port=SITES[request.param], **options)


# --- One path, decoded once (DESIGN §3; RFC 3986, 2.4, 5.2.4) ---

@pytest.mark.parametrize("target, content", [("/sub/..", b"index"), ("/sub/.", b"sub"), ("/.", b"index"), ("/%2e", b"index"),
    ("/sub/%2e%2e", b"index"),
    ("/sub/%2e%2e/", b"index"), ("/missing/../ten.txt", TEN), ("/ten.txt/../ten.txt", TEN), ("/ten.txt/..", b"index"),
    ("/a/b/c/../../../ten.txt", TEN),
    ("/indir/../ten.txt", TEN), ("/deep/../ten.txt", TEN), ("/sub/deep/er/../../a.txt", b"a"), ("/%2e/%2E/ten.txt", TEN),
    ("/%2541.txt", b"literal"),
    ("/%61bc/../%74%65%6E.txt", TEN), ("/e%CC%81.txt", b"decomposed"), ("/a;b.txt", b"semicolon"), ("/a%3Bb.txt", b"semicolon"),
    ("/d;x/a.txt", b"in semicolon"),
    ("/~", b"tilde"), ("/%7E", b"tilde"), ("/trailing%20", b"space"), ("/dot.", b"dot"), ("/*", b"star"), ("/ten.txt?%zz", TEN),
    ("/ten.txt?/../../x", TEN),
    ("/ten.txt?a=%00", TEN), ("/ten.txt?", TEN), ("/looks%252flike", b"percent"), ("/" + "n" * 255, b"255"),
    ("/" + "./" * 1500 + "ten.txt", TEN),
    ("/" + "x/../" * 1000 + "ten.txt", TEN),
    ("/" + "p" * 200 + ("/" + "p" * 200) * 18 + "/x.txt", b"long path")])
def test_spellings(server, target, content, proto):
    """Dot segments go, by the text of the path; nothing is decoded twice, the query is not looked at."""
    response = ask(server, target)
    assert (response.status, response.body) == (200, content)


@pytest.mark.parametrize("target, content", [("http://localhost/ten.txt", TEN), ("http://localhost", b"index"), ("http://localhost?x", b"index"),
    ("HTTP://LOCALHOST/sub/../ten.txt", TEN)])
def test_absolute_form(server, target, content):
    """RFC 9112, 3.2.2"""
    response = ask(server, target)
    assert (response.status, response.body) == (200, content)


@pytest.mark.parametrize("target, content", [("/new%0Aline.txt", b"newline"), ("/tab%09.txt", b"tab"), ("/back%5Cslash.txt",
    b"backslash"), ("/back\\slash.txt", b"backslash"),
                                             ("/d;x/../ten.txt", TEN)])
def test_spellings_that_may_be_refused(server, target, content, proto):
    """DESIGN §3: what could be read in two ways may be a 400; if it is read, it is that file."""
    response = ask(server, target)
    assert response.status in (200, 308, 400, 404)
    assert response.status != 200 or response.body == content


@pytest.mark.parametrize("target, content", [("//ten.txt", TEN), ("/sub//a.txt", b"a"), ("/sub///deep//er/x.txt", b"deep"),
    ("//", b"index"), ("/sub//", b"sub"), ("/%2e//ten.txt", TEN), ("/" + "/" * 8000 + "ten.txt", TEN)])
@pytest.mark.parametrize("port", ["port", "port4"])
def test_runs_of_slashes(server, recorder, target, content, port, proto):
    """DESIGN §3: a run of slashes is one to the routes, and so to the root, as it is to all peers: "//style.css" by accident is that file."""
    recorder.take()
    response = ask(server, target, port=port)
    assert (response.status, response.body) == (200, content) and not recorder.take()


@pytest.mark.parametrize("target", ["//sub", "///sub", "/sub/..//sub", "/.//sub"])
def test_runs_of_slashes_lead_to_no_other_host(server, target, proto):
    """CASES: open redirect by "//". And what is hidden stays so."""
    response = ask(server, target)
    assert (response.status, response.get("Location")) == (308, "/sub/")
    assert ask(server, "//.hidden").status == ask(server, "/sub//.env").status == ask(server, "//.dir//a.txt").status == 404


@pytest.mark.parametrize("target", ["/ten.txt/.", "/ten.txt/", "/ten.txt//", "/sub/a.txt/index.html", "/%C3%A9.txt", "/TEN.TXT",
    "/ten.txt%20", "/%20ten.txt", "/ten.txt%0a",
    "/sub%2Fa.txt", "/sub%252Fa.txt", "/looks%2flike", "/dot", "/ten.txt..", "/sub/...", "/index.html/index.html", "/%41.txt",
    "/-sibling/secret.txt", "/secret", "/nnn"])
def test_near_misses(server, target, proto):
    """DESIGN §3: the decoded path names the file or it does not; %2F is no separator."""
    assert ask(server, target).status == 404


MALFORMED = ["/%", "/%%", "/%2", "/%G1", "/%1G", "/%-1", "/%+1", "/%0x41", "/%u0041", "/%U0041", "/%%30", "/%2%30", "/%25%",
    "/a%/ten.txt", "/ten.txt%0", "/%e", "/%\xe9", "/sub/%/..",
             "/%zz/../ten.txt", "/..%zz", "/%", "/%.e", "/%;", "/%0", "/% 41"]


@pytest.mark.parametrize("port", ["port", "port4", "port5"])
def test_malformed_percent(server, recorder, port, proto):
    """DESIGN §3: bad percent-encoding cannot name a file: a 400, and it reaches no backend."""
    recorder.take()
    statuses = {}
    for target in MALFORMED:
        statuses[target] = ask(server, target, port=port).status
    assert {target: status for target, status in statuses.items() if status != 400} == {}
    assert not recorder.take()


@pytest.mark.parametrize("target", ["/%00", "/ten.txt%00", "/%00ten.txt", "/ten%00.txt", "/sub%00/a.txt", "/sub/%00/../a.txt",
    "/sub/a.txt%00.html", "/x/%00/..", "/missing%00"])
def test_nul(server, recorder, target, proto):
    """DESIGN §3: NUL cannot name a file: 400, with a backend behind too. CASES: others cut the path there, or say 500."""
    recorder.take()
    for port in ("port", "port4"):
        assert ask(server, target, port=port).status == 400
    assert not recorder.take()


@pytest.mark.parametrize("target", ["/..", "/../", "/../ten.txt", "/sub/../..", "/sub/../../root/ten.txt", "/%2e%2e/root/ten.txt",
    "/./../ten.txt", "/a/../../ten.txt",
    "/../root/ten.txt", "/sub/..%2Fa.txt", "/..%2f", "/sub/%2e%2e%2fa.txt", "/sub/..%5ca.txt", "/sub/..\\a.txt", "/sub/..;/a.txt",
    "/sub/..;x=y/a.txt", "/sub/%2e%2e;/a.txt",
    "/%2f../ten.txt", "/%5c../ten.txt", "/a%2f../ten.txt", "/..;", "/../../../../../../../../etc/passwd",
    "http://localhost/../ten.txt", "/%2e%2e", "/.%2e/"])
def test_up_and_ambiguous(server, recorder, target, proto):
    """DESIGN §3: `..` above the root, and `..` beside %2F, %5C or ; are a 400 that reaches no backend."""
    recorder.take()
    for port in ("port", "port2", "port4", "port5"):
        assert ask(server, target, port=port).status == 400, port
    assert not recorder.take()


def test_backend_sees_the_same_path(server, recorder, proto):
    """DESIGN §3: routing, static and the backend see one path: dot segments are removed, nothing else is recoded."""
    for target, wanted in (("/sub/../x%20y", "/x%20y"), ("/%7Ex", "/%7Ex"), ("/a/./b", "/a/b"), ("/x%2Fy", "/x%2Fy"), ("/x;y?z=..",
            "/x;y?z=..")):
        recorder.take()
        assert json.loads(ask(server, target, port="port4").body)["target"] == wanted


# --- Long ones ---

@pytest.mark.parametrize("length", [255, 256, 300, 1000, 4094, 4095, 4096, 4097, 7000])
def test_long_names(server, length, proto):
    """CASES: 300 to 7,000 characters: caddy says 500 to a long name. No such file: 404, and the backend's where there is one."""
    for target in ("/" + "m" * length, "/sub/" + "m" * (length - 4), "/" + "m/" * (length // 2), "/%6D" + "m" * (length - 1)):
        assert ask(server, target).status == 404, target[:9]
    assert ask(server, "/" + "m" * length, port="port4").status == 200


@pytest.mark.parametrize("length", [8193, 10000, 20000])
def test_too_long(server, length, proto):
    """DESIGN §2, header_size: a target over 8k: 414."""
    assert ask(server, "/" + "m" * length).status == 414


def test_deeper_than_a_path_may_be(server, proto):
    """A folder so deep that its path exceeds PATH_MAX: found or not, but no error of weir's."""
    handle, names = os.open(server.root, os.O_RDONLY), []
    for number in range(35):
        names.append(f"{proto}{number:02}".ljust(200, "q"))
        os.mkdir(names[-1], 0o755, dir_fd=handle)
        deeper = os.open(names[-1], os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = deeper
    file = os.open("x.txt", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=handle)
    os.write(file, b"deepest")
    os.close(file)
    os.close(handle)
    response = ask(server, "/" + "/".join(names) + "/x.txt")
    assert response.status in (200, 403, 404, 414)
    assert response.status != 200 or response.body == b"deepest"


# --- Links, by the value of `symlinks` ---

FOLLOWED = {  # link → (what it gives where it is followed, whether it leads outside)
    "/in.txt": (TEN, False), "/indir/": (b"sub", False), "/indir/a.txt": (b"a", False), "/sub/up.txt": (TEN, False), "/chain": (TEN,
        False), "/chain-dir/a.txt": (b"a", False),
    "/self/ten.txt": (TEN, False), "/self/self/sub/a.txt": (b"a", False), "/deep/x.txt": (b"deep", False), "/absolute.txt": (TEN,
    False), "/absolute-dir/a.txt": (b"a", False),
    "/indir/deep/er/x.txt": (b"deep", False), "/to-slash/a.txt": (b"a", False), "/out.txt": (SECRET, True),
    "/outdir/secret.txt": (SECRET, True), "/outdir/": (SECRET, True),
    "/chain-out": (SECRET, True), "/chain-outdir/secret.txt": (SECRET, True), "/up/secret.txt": (SECRET, True),
    "/sub/far.txt": (SECRET, True),
    "/sibling/secret.txt": (SECRET, True), "/indir/far.txt": (SECRET, True), "/self/out.txt": (SECRET, True),
    "/up/outside/": (SECRET, True)}


def test_links(linked, proto):
    """DESIGN §2: inside the root | off | anywhere; what is not followed is a 403 (weir.yaml(5)), by whatever link on the way. A root that
    is a link itself is followed whatever is said (DESIGN §3)."""
    value, get = linked
    faults = []
    for target, (content, outside) in FOLLOWED.items():
        response = get(target)
        follows = value == "anywhere" or (value == "inside" and not outside)
        if response.status != (200 if follows else 403) or (response.body == content) != follows:
            faults.append((target, response.status, response.body[:60]))
    assert not faults


def test_values_side_by_side(anywhere, proto):
    """DESIGN §2: two sites on one tree: what one of them follows is not followed by the other because it is known by now."""
    for _ in range(4):
        for target, (content, outside) in FOLLOWED.items():
            if outside:
                assert ask(anywhere, target).body == content, target
                assert ask(anywhere, target, port="port2").status == 403, target


def test_files_beside_links(linked, proto):
    """Whatever is said of links, what is none is served."""
    _, get = linked
    for target, content in (("/ten.txt", TEN), ("/sub/a.txt", b"a"), ("/", b"index"), ("/sub/deep/er/x.txt", b"deep"), ("/hard.txt",
            b"hard"), ("/hard-too.txt", b"hard")):
        assert get(target).body == content


def test_around(linked, proto):
    """Links by which the way leaves the root and comes back to a file inside: followed or refused, nothing else."""
    value, get = linked
    for target in ("/around", "/up/root/ten.txt"):
        response = get(target)
        assert response.status in {"anywhere": (200,), "inside": (200, 403)}.get(value, (403,)), target
        assert response.status != 200 or response.body == TEN


NO_FILES = ["/dangling", "/dangling-out", "/loop", "/loop-a", "/loop/x", "/looped", "/slashed", "/dangling/x", "/passwd/x",
    "/to-fifo", "/zero", "/null", "/environ", "/fifo",
            "/socket", "/fifo/", "/fifo/x", "/fifo-index/", "/zero/x", "/to-hidden/x"]


def test_no_regular_file(linked, proto):
    """DESIGN §3: only a regular file is answered, and at once. CASES: loops are a 500 at caddy, a FIFO hangs caddy, apache, a worker of h2o."""
    _, get = linked
    faults, begin = [], time.monotonic()
    for target in NO_FILES:
        for method in ("GET", "HEAD", "POST"):
            response = get(target, method, seconds=3)
            if response.status not in (403, 404) + ((405,
                    ) if method == "POST" else ()) or b"root:" in response.body or b"PATH=" in response.body:
                faults.append((target, method, response.status, response.body[:60]))
    assert not faults and time.monotonic() - begin < 4


def test_no_regular_file_by_a_device(server, proto):
    """DESIGN §3: devices of its own in the root."""
    try:
        os.mknod(server.root / f"device-{proto}", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except OSError as fault:
        assert fault.errno in (errno.EPERM, errno.EACCES)
        pytest.skip("only root makes devices")
    os.chmod(server.root / f"device-{proto}", 0o666)
    for method in ("GET", "HEAD"):
        assert ask(server, f"/device-{proto}", method, seconds=3).status in (403, 404)


@pytest.mark.parametrize("target", ["/absolute-dir/none", "/absolute-dir/none/x", "/absolute.txt/x", "/indir/none", "/in.txt/x"])
def test_missing_behind_links_passes(server, recorder, target, proto):
    """DESIGN §3: a missing file passes, whichever way the link on its way names its target."""
    assert ask(server, target).status == 404
    recorder.take()
    assert ask(server, target, port="port4").status == 200
    assert [seen.request.target for seen in recorder.take()] == [target.encode()]


def test_links_out_reach_no_backend(server, recorder, proto):
    """DESIGN §3 lists what passes: a link that exists and is refused does not; one that leads to nothing is a missing file."""
    recorder.take()
    for target in ("/out.txt", "/outdir/secret.txt", "/outdir/", "/passwd", "/up/secret.txt"):
        assert ask(server, target, port="port4").status == 403, target
    assert not recorder.take()
    assert ask(server, "/dangling", port="port4").status == 200 and len(recorder.wait(1)) == 1


def test_hard_links(server, proto):
    """DESIGN §3, tags come from content: two names of a file have one tag."""
    tags = {ask(server, target, port=port).get("ETag") for target in ("/hard.txt", "/hard-too.txt") for port in ("port", "port2",
        "port6")}
    assert len(tags) == 1


def test_link_turned_outside(server, proto):
    """DESIGN §3: changed on disk, the next request sees the change: also when a link comes to lead outside."""
    connections = [connect(server.port) for _ in range(4)]
    turns = itertools.cycle(connections)
    for number in range(10):
        for target, status in (("ten.txt", 200), ("../secret.txt", 403), ("sub/a.txt", 200), ("nothing", 404),
                ("../outside/secret.txt", 403)):
            os.symlink(target, server.root / "turning.new")
            os.replace(server.root / "turning.new", server.root / "turning")
            for _ in range(4):
                response = next(turns).get("/turning")
                assert response.status == status and SECRET not in response.body, (number, target)
    for connection in connections:
        connection.close()


def test_link_turned_while_asked(server, proto):
    """DESIGN §2, symlinks: inside: no moment between look and open at which a folder is exchanged for a link outside."""
    put(server.root, "good/secret.txt", b"mine")
    put(server.root, "good/index.html", b"mine")
    done, leaked = threading.Event(), []

    def turn():
        for number in range(1500 if proto == "h1" else 500):
            os.symlink(("good", "../outside")[number % 2], server.root / "race.new")
            os.replace(server.root / "race.new", server.root / "race")
        done.set()

    thread = threading.Thread(target=turn)
    thread.start()
    statuses = set()
    with connect(server.port) as connection:
        while not done.is_set():
            for target in ("/race/secret.txt", "/race/"):
                response = connection.get(target)
                statuses.add(response.status)
                if response.status == 200 and response.body != b"mine":
                    leaked.append(response.body)
    thread.join()
    assert not leaked and statuses <= {200, 403, 404}


def test_file_instead_of_a_fifo(server, proto):
    """DESIGN §3: the next request sees the change."""
    path = server.root / "turns"
    for _ in range(5):
        os.mkfifo(path, 0o666)
        assert ask(server, "/turns").status in (403, 404)
        path.unlink()
        put(server.root, "turns", b"a file")
        assert ask(server, "/turns").body == b"a file"
        path.unlink()


# --- Hidden names (DESIGN §2, hidden_files) ---

HIDDEN = {"/.hidden": b"hidden", "/.dir/a.txt": b"hidden", "/sub/.env": b"hidden", "/..two": b"hidden", "/...": b"hidden",
    "/.well-known-not": b"hidden",
          "/.well-known/.secret": b"hidden", "/%2Ehidden": b"hidden", "/sub/../.hidden": b"hidden", "/.%64ir/a.txt": b"hidden",
          "/indir/.env": b"hidden"}


@pytest.mark.parametrize("target", HIDDEN)
def test_hidden(server, recorder, target, proto):
    """Names that begin with a dot: off, on, and with a backend, to which they pass as missing ones do (DESIGN §3)."""
    for _ in range(3):
        assert ask(server, target).status == 404
        response = ask(server, target, port="port5")
        assert (response.status, response.body) == (200, HIDDEN[target])
    recorder.take()
    assert ask(server, target, port="port4").body != b"hidden" and len(recorder.wait(1)) == 1


@pytest.mark.parametrize("target", ["/.well-known/x.txt", "/%2ewell-known/x.txt", "/.well%2Dknown/x.txt",
    "/sub/../.well-known/x.txt"])
def test_well_known(server, target, proto):
    """RFC 8615; DESIGN §2: .well-known apart, on every site."""
    for port in ("port", "port4", "port5"):
        assert ask(server, target, port=port).body == b"known"


# --- What may not be read ---

@pytest.mark.parametrize("target", ["/closed.txt", "/closed/a.txt", "/closed/", "/closed/index.html", "/closed-index/",
    "/closed-index/index.html", "/closed-variant.txt", "/to-closed"])
def test_unreadable(server, recorder, target, proto):
    """DESIGN §3: a file that exists but cannot be read is a 403 and never passes, for GET and HEAD, with whatever fields."""
    recorder.take()
    for port, method, fields in itertools.product(("port", "port5", "port4"), ("GET", "HEAD"), ({}, {"If-None-Match": "*"},
            {"Range": "bytes=0-1"}, {"Accept-Encoding": "gzip"})):
        response = ask(server, target, method, fields, port=port)
        assert response.status == 403 and SECRET not in response.body, (port, method, fields)
    assert not recorder.take()


@pytest.mark.parametrize("target, content", [("/passage/a.txt", b"passed"), ("/passage/", b"passed"), ("/passage/index.html",
    b"passed")])
def test_passage(server, target, content, proto):
    """POSIX: a folder that may be passed but not read gives its files by name."""
    assert ask(server, target).body == content


@pytest.mark.parametrize("target", ["/passage/missing", "/passage/missing/"])
def test_missing_in_a_passage(server, target, proto):
    assert ask(server, target).status == 404


def test_made_readable_again(server, proto):
    """DESIGN §3: changed on disk, also the rights of a folder on the way."""
    put(server.root, "gate/in/a.txt", b"a")
    for mode, status in ((0o755, 200), (0, 403), (0o311, 200), (0o600, 403), (0o755, 200)):
        os.chmod(server.root / "gate", mode)
        assert {ask(server, "/gate/in/a.txt").status for _ in range(4)} == {status}, oct(mode)


# --- The slash of a folder (DESIGN §3) ---

@pytest.mark.parametrize("name", ODD_FOLDERS)
def test_slash_of_odd_folders(server, name, proto):
    """RFC 9110, 10.2.2, 15.4.9: a 308 whose Location is a reference to that folder, and injects nothing; followed, it is the index."""
    target = "/" + urllib.parse.quote(name)
    response = ask(server, target + "?q=a/b")
    assert response.status == 308
    location = response.get("Location")
    joined = urllib.parse.urlsplit(urllib.parse.urljoin("http://localhost" + target, location))
    assert (joined.scheme, joined.netloc, joined.query) == ("http", "localhost", "q=a/b")
    assert urllib.parse.unquote(joined.path) == f"/{name}/" and "\\" not in location
    assert ask(server, joined.path).body == name.encode()


@pytest.mark.parametrize("target, method", [("/sub", "POST"), ("/sub", "PUT"), ("/sub", "DELETE"), ("/sub/", "POST"), ("/sub/",
    "DELETE")])
def test_other_methods_on_a_folder(server, recorder, target, method, proto):
    """DESIGN §3: another method passes; where nothing is left to pass to: 404, or 405 with Allow. Never the index, never a 308 that moves it."""
    response = ask(server, target, method)
    assert response.status in (404, 405) and response.body != b"sub"
    assert response.status == 404 or {"get", "head"} <= words(response, "Allow")
    recorder.take()
    assert ask(server, target, method, port="port4").status == 200 and len(recorder.wait(1)) == 1


@pytest.mark.parametrize("target", ["/sub", "/sub/", "/ten.txt", "/closed.txt", "/out.txt", "/missing", "/%zz", "/fifo",
    "/new%0Aline", "/.hidden"])
def test_head_is_get_without_body(server, target, proto):
    """RFC 9110, 9.3.2: for redirects and errors too."""
    got, head = ask(server, target), ask(server, target, "HEAD")
    assert head.status == got.status and head.body == b""
    assert [field for field in got.fields if field[0].lower() != "date"] == [field for field in head.fields if field[0].lower() != "date"]
