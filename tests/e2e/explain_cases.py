# SPDX-License-Identifier: BSD-2-Clause
"""Random trees, configurations and requests for the tests of `weir explain`: everything comes from one random.Random."""
import contextlib
import os
import urllib.parse

from fileroot import PAST, SECOND, put

TEXT = ["a.css", "b.html", "index.html", "index.htm", "app.js", "data", "page.xhtml", "x.php", "notes.txt", "404.html",
        "50x.html", "with space.txt", "q?x.txt", "%41.txt", "\u00e9.txt", "a;b.txt", "..x", "weir.tar.gz", "UPPER.TXT"]
IMAGES = ["photo.jpg", "sign.png"]
HIDDEN = [".hidden", ".htaccess", ".well-known"]
FOLDERS = ["d1", "d2", "deep", ".git", ".well-known", "api", "old", "sp ace"]
SIDECARS = [".gz", ".br", ".zst", ".avif", ".webp"]
HOSTS = ["one.example", "two.example", "*.example", "*.deep.example", "three.test", "*.test"]
ASKED_HOSTS = ["one.example", "two.example", "any.example", "a.deep.example", "x.y.deep.example", "three.test", "b.test",
    "nobody.invalid", "127.0.0.1", "[::1]"]


class Tree:
    """A folder of files, links and traps; `paths` are what may be asked for, "/" before each."""

    def __init__(self, chance, top, outside):
        self.chance, self.top, self.outside, self.paths = chance, top, outside, ["/"]
        self.rich = []  # those with something beside them
        os.makedirs(top, exist_ok=True)
        os.makedirs(os.path.join(outside, "folder"), exist_ok=True)
        put(outside, "secret.txt", "outside\n")
        put(outside, "folder/index.html", "outside too\n")
        self.closed = []
        self.fill("", 0)
        for path, mode in self.closed:
            os.chmod(path, mode)

    def fill(self, base, depth):
        chance = self.chance
        for name in chance.sample(TEXT + IMAGES, chance.randint(3, 9)):
            self.file(base + name)
        for name in chance.sample(HIDDEN, chance.randint(0, 2)):
            if name != ".well-known":
                self.file(base + name)
        for _ in range(chance.randint(0, 3)):
            self.trap(base)
        if depth < 3:
            for name in chance.sample(FOLDERS, chance.randint(0, 3) if depth else 4):
                os.makedirs(os.path.join(self.top, base + name), exist_ok=True)
                self.paths += ["/" + base + name, "/" + base + name + "/"]
                self.fill(base + name + "/", depth + 1)

    def content(self):
        chance = self.chance
        size = chance.choice([0, 1, 17, 100, 1000, 33000, 40000])
        if chance.random() < 0.01:
            size = (4 << 20) + 1  # the tag comes from its time
        octets = chance.choice([b"plain text\n", b"caf\xc3\xa9 ", b"\xff\xfe\x00\x01", b"%PDF-1.4\n", b"\x89PNG\r\n\x1a\n",
            b"<!doctype html><p>"])
        return (octets * (size // len(octets) + 1))[:size]

    def file(self, path):
        chance = self.chance
        if os.path.lexists(os.path.join(self.top, path)):
            return
        when = PAST + chance.randint(-1000, 1000)
        put(self.top, path, self.content(), when)
        self.paths.append("/" + path)
        if chance.random() < 0.06:
            self.closed.append((os.path.join(self.top, path), 0))
        for suffix in SIDECARS:
            if chance.random() < (0.25 if suffix in SIDECARS[:3] else 0.1):
                self.sidecar(path, path + suffix, when)
                self.rich.append("/" + path)

    def sidecar(self, path, name, when):
        chance, full = self.chance, os.path.join(self.top, name)
        kind = chance.randrange(12)
        if os.path.lexists(full):
            return
        if kind == 0:
            os.mkdir(full)
        elif kind == 1:
            os.symlink(chance.choice([os.path.basename(path), os.path.join(self.outside, "secret.txt"), "nowhere"]), full)
        else:
            # a fraction of a second that some tools leave out
            late = chance.choice([-5 * SECOND, -SECOND, 0, 0, 1, SECOND // 2, 3 * SECOND])
            put(self.top, name, b"" if kind == 2 else b"encoded " + name.encode(), ns=when * SECOND + late)
            if kind == 3:
                self.closed.append((full, 0))
        self.paths.append("/" + name)

    def trap(self, base):
        chance = self.chance
        kind = chance.randrange(9)
        name = base + chance.choice(["link", "link.css", "way", "pipe", "odd.html", "index.html", "index.htm"]) + chance.choice(
            ["", "", str(kind)])
        full = os.path.join(self.top, name)
        if os.path.lexists(full):
            return
        here = [path for path in self.paths if path.startswith("/" + base) and path != "/" + base]
        inside = chance.choice(here).strip("/") if here else "nowhere"
        if kind < 3:
            os.symlink(os.path.relpath(os.path.join(self.top, inside), os.path.dirname(full)), full)
        elif kind == 3:
            os.symlink(os.path.join(self.top, inside), full)
        elif kind == 4:
            os.symlink(os.path.join(self.outside, chance.choice(["secret.txt", "folder", "nowhere"])), full)
        elif kind == 5:
            os.symlink(os.path.basename(name), full)
        elif kind == 6:
            os.mkfifo(full)
        else:
            os.makedirs(full)
            put(self.top, name + "/index.html", "closed\n")
            self.paths.append("/" + name + "/index.html")
            self.closed.append((full, chance.choice([0, 0o311, 0o444])))
        self.paths += ["/" + name, "/" + name + "/"]

    def open_again(self):
        """So that whoever is not root can remove it."""
        for path, _ in self.closed:
            with contextlib.suppress(OSError):  # root has removed it already
                os.chmod(path, 0o755)


# --- Configurations ---

def site_keys(chance, values, inherits=False):
    """Keys of a site or a route, as lines "key: value"."""
    def some(share):
        return chance.random() < (share / 2 if inherits else share)

    keys = []
    if not inherits:
        keys.append("root: " + chance.choice(["$root"] * 5 + ["$folder/other", "off"]))
    elif some(0.3):
        keys.append("root: " + chance.choice(["off", "$folder/other"]))
    if some(0.4):
        keys.append("index: " + chance.choice(["[index.htm, index.html]", "[b.html]", "off", "[data, notes.txt]"]))
    if some(0.4):
        keys.append("fallback: " + chance.choice(["/index.html", "/b.html", "/d1/", "/nothing.html", "/d2", "off"]))
    if some(0.4):
        keys.append("errors: { " + chance.choice(["404: /404.html", "4xx: /50x.html", "404: /missing.html, 403: /b.html",
            "403: /d1/index.html, 405: /404.html", "416: /a.css, 412: /404.html, 404: /old/x"]) + " }")
    for key, words in (("listing", ["on", "off"]), ("hidden_files", ["on", "off"]), ("symlinks", ["inside", "off", "anywhere"])):
        if some(0.4):
            keys.append(f"{key}: {chance.choice(words)}")
    if some(0.3):
        keys.append("max_age: " + chance.choice(["1h", '{ "*.css": 7d, "/d1/*": 0, "*": 5s }', "0", "off"]))
    if some(0.2):
        keys.append("headers: { set: { X-Site: yes, Vary: Cookie }, remove: [ETag] }" if chance.random() < 0.3 else
            "headers: { set: { X-Frame-Options: DENY } }")
    if some(0.5):
        keys.append("proxy: " + chance.choice(["app", "other", f'"127.0.0.1:{values["app"]}"', "off"]))
    return keys


def route_keys(chance, values):
    if chance.random() < 0.3:
        return ["redirect: " + chance.choice(["/elsewhere/", "https://example.org/a/", "/elsewhere?x=1"])] + (
            [f"status: {chance.choice([301, 302, 303, 307, 308])}"] if chance.random() < 0.5 else [])
    return site_keys(chance, values, inherits=True)


ROUTES = ["/api/", "/old/", "/d1/", "/d1/deep/", "/d2/", '"*.php"', '"*.css"', "/b.html", "/data", "/d2/a.css", "/sp%20ace/"]


def configuration(chance, values):
    """A good configuration of one to three sites at two addresses, and hosts that it knows."""
    hosts, known = HOSTS[:], []
    chance.shuffle(hosts)
    lines = ["threads: 1", "log: { error: { path: stderr }, access: { path: $folder/access.log, format: json } }",
        f"upstreams: {{ app: {{ servers: ['127.0.0.1:{values['app']}'] }}, other: {{ servers: ['127.0.0.1:{values['other']}'], "
        "keepalive: 0 } }", "sites:"]
    for number in range(chance.randint(1, 3)):
        mine = [hosts.pop() for _ in range(chance.randint(1, 2))]
        ports = chance.choice([["$port"], ["$port2"], ["$port", "$port2"]]) if number else ["$port", "$port2"]
        listen = ", ".join(f'"http://127.0.0.1:{port}"' for port in ports)
        lines.append(f"  - listen: [{listen}]")
        if number or chance.random() < 0.5:
            lines.append("    host: [" + ", ".join(f'"{host}"' for host in mine) + "]")
            known += [host.replace("*", chance.choice(["a", "x.y"])) for host in mine]
        else:
            known += ["localhost"] * 2
        lines += ["    " + key for key in site_keys(chance, values)]
        routes = [(route, route_keys(chance, values)) for route in chance.sample(ROUTES, chance.randint(0, 5))]
        routes = [(route, keys) for route, keys in routes if keys]
        if routes:
            lines.append("    routes:")
            lines += [f"      {route}: {{ {', '.join(keys)} }}" for route, keys in routes]
    return "\n".join(lines) + "\n", known


# --- Requests ---

def spell(chance, path):
    """A path of the tree as some client may spell it."""
    safe = "/" + chance.choice(["", "", ";=~!", "."])
    text = urllib.parse.quote(path, safe=safe)
    for _ in range(chance.choice([0, 0, 0, 0, 1, 2])):
        at = chance.randrange(1, len(text) + 1)
        text = chance.choice([
            lambda: text[:at] + "/./" + text[at:], lambda: text[:at] + "//" + text[at:], lambda: "/x/.." + text,
            lambda: "/%2e%2E" + text, lambda: text.replace("/", "%2F", 2).replace("%2F", "/", 1), lambda: text + "/",
            lambda: text.rstrip("/"), lambda: "/" + text, lambda: text[:at] + "%00" + text[at:], lambda: text + "/..;/x",
            lambda: text[:at] + "%" + text[at:], lambda: text.lower(), lambda: text.upper(), lambda: text + ".",
            lambda: text.replace("a", "%61"), lambda: text.replace("d", "%64", 1), lambda: text + "/../" + text.split("/")[-1],
            lambda: text[:at] + chance.choice(["\\", "\"", "|", "<", "{", "%5c", "%c3%a9"]) + text[at:],
            lambda: text + "%2f..%2f", lambda: "/" + "x" * 300, lambda: "/" + "y/" * 2100, lambda: "/" + "z" * 8200,
        ])() or "/"
        text = text if text.startswith("/") else "/" + text
    return text


PATHS = ["/api/x", "/old/", "/old/a/b", "/elsewhere/", "/missing", "/missing.css", "/missing.html", "/d1/none/", "/x.php",
    "/.git/config", "/.well-known/x", "/%2e%2e/secret.txt", "/../secret.txt", "/d1/../index.html", "/old//evil.example/x"]
METHODS = ["GET"] * 24 + ["HEAD"] * 5 + ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FROB", "get", "CONNECT"]
DATES = ["Tue, 14 Nov 2023 22:13:20 GMT", "Mon, 13 Nov 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", "yesterday"]
RANGES = ["bytes=0-0", "bytes=5-", "bytes=-3", "bytes=0-4,8-9", "bytes=0-1,1-5", "bytes=9999999-", "bytes=-0", "bytes=x", "octets=0-1",
    "bytes=3-1"]
CHOICES = {
    "Accept-Encoding": ["gzip", "br, gzip;q=0.5", "zstd", "identity;q=0", "gzip;q=0, *", "*;q=0", "", "gzip;q=0.2, identity;q=0.9"],
    "Accept": ["text/html", "*/*", "image/avif,image/webp,*/*;q=0.8", "application/json", "text/html;q=0", "image/webp;q=0.1, image/*"],
    "Sec-Fetch-Dest": ["document", "script", "iframe", "empty", "image"],
    "Range": RANGES,
    "If-Modified-Since": DATES, "If-Unmodified-Since": DATES,
    "Max-Forwards": ["0", "5", "x"], "Via": ["1.1 weir", "1.1 weir, 1.1 weir, 1.1 weir, 1.1 weir, 1.1 weir, 1.1 weir, 1.1 weir, 1.1 weir"],
    "Connection": ["close", "X-Hop", "TE"], "X-Hop": ["1"], "TE": ["trailers"], "X_Under": ["1"], "X-Forwarded-For": ["192.0.2.9"],
    "Content-Length": ["0", "0, 0", "x"], "Transfer-Encoding": ["gzip"], "Expect": ["100-continue", "more"], "Host": ["two.example", "", "a b"],
    "Content_Length": ["5"], "Cookie": ["a=b; c=\u00ff"], "User-Agent": ["x" * 100, "y" * 40000],
}
OFTEN = ["Accept-Encoding", "Accept-Encoding", "Accept", "Sec-Fetch-Dest", "Range", "If-Modified-Since", "If-Unmodified-Since"]


class Asker:
    """Random requests of a tree; remembers tags, so that conditions sometimes fit."""

    def __init__(self, chance, tree, paths, hosts):
        self.chance, self.rich, self.hosts, self.tags = chance, tree.rich, hosts, {}
        self.paths = tree.paths + paths

    def host(self):
        host = self.chance.choice(self.hosts if self.chance.random() < 0.9 else ASKED_HOSTS)
        return self.chance.choice([host] * 8 + [host.upper(), host + "." if host[-1] != "]" else host])

    def tag(self, path):
        known = [tag for tag in (self.tags.get(path), *self.tags.values()) if tag]
        return self.chance.choice(known[:1] * 3 + known[:3] + ['*', '"no"', 'W/"no"', '"a", "b"', "broken"])

    def __call__(self):
        """(method, host, target, fields)"""
        chance = self.chance
        if self.rich and chance.random() < 0.25:  # for the variants
            name = chance.choice(["Accept-Encoding", "Accept-Encoding", "Accept"])
            return chance.choice(["GET", "GET", "HEAD"]), self.host(), urllib.parse.quote(chance.choice(self.rich)), [
                (name, chance.choice(CHOICES[name]))]
        path = chance.choice(self.paths) if chance.random() < 0.8 else chance.choice(PATHS)
        if self.tags and chance.random() < 0.2:
            target = chance.choice(list(self.tags))
        else:
            target = spell(chance, path)
            if chance.random() < 0.15:
                target += chance.choice(["?", "?a=b", "?page=2&sort=size", "?sort=time&order=desc", "?x=%zz/../", "??", "?a\\b"])
        fields = [(name, chance.choice(CHOICES[name])) for name in chance.sample(OFTEN, chance.choice([0, 0, 1, 1, 2, 3]))]
        if chance.random() < 0.12:
            name = chance.choice(list(CHOICES))
            fields.append((name, chance.choice(CHOICES[name])))
        for name in ("If-None-Match", "If-Match", "If-Range"):
            if chance.random() < 0.15:
                fields.append((name, self.tag(target)))
        return chance.choice(METHODS), self.host(), target, fields
