# SPDX-License-Identifier: BSD-2-Clause
"""The schema and the loader agree on what a configuration may be (DESIGN, 2: one set of rows for both)."""
import json
import os
import subprocess
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
jsonschema = pytest.importorskip("jsonschema")
TOP = Path(os.environ.get("WEIR_SRCDIR") or Path(__file__).resolve().parents[3])
WEIR = os.environ.get("WEIR_BIN") or TOP / "build/weir"
SCHEMA = json.loads((TOP / "conf/weir.schema.json").read_text())

# What DESIGN shows, as far as it is there.
WHOLE = """
threads: auto
user: weir
pid_file: /run/weir.pid
drain: 30s
linger: 1h
sandbox: on
temp_dir: /var/lib/weir/tmp
include: [sites/*.yaml]
log:
  error: { path: stderr, level: info }
  access: { path: /var/log/weir/access.log, format: combined }
limits:
  connections: 60000
  header_size: 32k
  body_size: 1G
  timeouts: { header: 10s, body: 30s, idle: 75s, send: 30s }
  min_rate: 240
upstreams:
  app:
    servers:
      - 127.0.0.1:3000
      - { address: "unix:/run/app.sock" }
    keepalive: 64
    timeouts: { connect: 2s, response: 60s, idle: 60s }
sites:
  - host: [example.com, "*.example.com"]
    listen: ["http://:80", "http://unix:/run/weir.sock", { address: "http://localhost:8080" }]
    root: www
    index: [index.html]
    proxy: app
    hidden_files: off
    symlinks: inside
    max_age: { "*.css": 7d, "/assets/*": 365d }
    headers: { set: { X-Frame-Options: DENY }, remove: [Server, X-Powered-By] }
    errors: { 404: /404.html, 5xx: /50x.html }
    routes:
      /api/: { root: off, proxy: app }
      /old/: { redirect: /new/, status: 308 }
      "*.php": { root: off }
      /x: { headers: { remove: Server } }
"""
GOOD = [
    WHOLE,
    'sites: [{ listen: "http://:80", root: www, proxy: "127.0.0.1:3000" }]',
    'threads: 2\nlog: { access: off }\npid_file: off\nsites: [{ listen: "http://:80", root: off }]',
    'sandbox: require\nlimits: { body_size: 0, min_rate: 10M }\nsites: [{ listen: ["http://:80"] }]',
    '{"threads": 2, "drain": "5s", "limits": {"connections": 9}, "sites": [{"listen": "http://:80"}]}',
]
SITE = 'sites: [{ listen: "http://:80" }]\n'
BAD = [
    SITE + "threds: 2",
    SITE + "threads: many",
    SITE + "threads: [1]",
    SITE + "drain: 5",
    SITE + "drain: off",
    SITE + "pid_file: ''",
    SITE + "sandbox: maybe",
    SITE + "limits: { body_size: 1GB }",
    SITE + "limits: off",
    SITE + "limits: { timeouts: { idel: 5s } }",
    SITE + "log: { access: maybe }",
    SITE + "log: { error: off }",
    "sites: [{ root: www }]",
    'sites: { listen: "http://:80" }',
    'sites: [{ listen: [] }]',
    'sites: [{ listen: { adress: "http://:80" } }]',
    'sites: [{ listen: "http://:80", routes: { api/: {} } }]',
    'sites: [{ listen: "http://:80", routes: { /x/: { listen: "http://:81" } } }]',
    'sites: [{ listen: "http://:80", routes: { /x/: { rot: off } } }]',
    'sites: [{ listen: "http://:80", errors: { 200: /x } }]',
    'sites: [{ listen: "http://:80", errors: { 404: x } }]',
    'sites: [{ listen: "http://:80", headers: { add: { A: b } } }]',
    'sites: [{ listen: "http://:80", symlinks: everywhere }]',
    'sites: [{ listen: "http://:80", index: { a: b } }]',
]


class Words(yaml.SafeLoader):
    """YAML 1.2 as weir reads it: on is a word."""


class Typed(yaml.SafeLoader):
    """YAML 1.1 as some editors read it: on is true, 404 a number."""


Words.yaml_implicit_resolvers = {first: [(tag, form) for tag, form in resolvers if tag.endswith(":int")]
                                 for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def fits(value):
    if isinstance(value, dict):  # names of members are texts in JSON
        value = json.loads(json.dumps(value))
    return not list(jsonschema.Draft7Validator(SCHEMA).iter_errors(value))


def check(text, folder):
    (folder / "www").mkdir()
    (folder / "sites").mkdir()
    config = folder / "weir.yaml"
    config.write_text(text)
    return subprocess.run([WEIR, "check", "-c", config], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("number", range(len(GOOD)))
@pytest.mark.parametrize("loader", [Words, Typed])
def test_schema_takes_what_is_right(number, loader):
    assert fits(yaml.load(GOOD[number], loader))


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_weir_takes_what_is_right(number, tmp_path):
    run = check(GOOD[number], tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("number", range(len(BAD)))
def test_both_refuse_what_is_wrong(number, tmp_path):
    assert not fits(yaml.load(BAD[number], Words))
    run = check(BAD[number], tmp_path)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "weir.yaml:" in run.stdout + run.stderr
