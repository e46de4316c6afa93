# SPDX-License-Identifier: BSD-2-Clause
"""The kept schema and the texts about the configuration say what the option rows say."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from tree import TOP, read

yaml = pytest.importorskip("yaml")
jsonschema = pytest.importorskip("jsonschema")
BUILT = Path(os.environ.get("WEIR_BUILDDIR") or TOP / "build")
KEPT = "conf/weir.schema.json"


def described(what):
    return subprocess.run([BUILT / "conf/describe", what], check=True, capture_output=True, text=True, timeout=60).stdout


class Loader(yaml.SafeLoader):
    """Reads a text as weir does, by YAML 1.2: on and off are words, not booleans, and 404 beside 5xx is a name."""


Loader.yaml_implicit_resolvers = {}


def texts():
    """Every configuration that the tree shows to somebody."""
    yield "conf/weir.yaml.in", re.sub(r"@\w+@", "/srv/www", read("conf/weir.yaml.in"))
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", read("README.md"), re.DOTALL)):
        yield f"README.md, {number}", block
    manual = read("conf/weir.yaml.5.in")
    for number, block in enumerate(re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed", manual, re.DOTALL | re.MULTILINE)):
        yield f"weir.yaml(5), {number}", block
    page = re.findall(r"<pre>(sites:.*?)</pre>", read("www/index.html"), re.DOTALL)
    assert page
    yield "www/index.html", page[0]


def test_kept_schema_is_what_the_rows_say():
    assert described("schema") == read(KEPT), "the option rows have changed: run `make schema`"


def test_schema_is_a_schema():
    schema = json.loads(read(KEPT))
    jsonschema.validators.validator_for(schema).check_schema(schema)


def test_schema_refuses_an_unknown_key():
    schema = json.loads(read(KEPT))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"sites": [{"listen": "http://:80", "rooot": "/srv"}]}, schema)


@pytest.mark.parametrize("name, text", list(texts()), ids=lambda value: value if len(value) < 40 else "text")
def test_shown_configurations_are_valid(name, text, tmp_path):
    """By weir itself, with folders and accounts of this machine in place of those that the text names."""
    schema = json.loads(read(KEPT))
    jsonschema.validate(yaml.load(text, Loader), schema)
    for folder in ("www", "public", "sites"):
        (tmp_path / folder).mkdir()
    config = tmp_path / "weir.yaml"
    text = re.sub(r"/srv/\w+", str(tmp_path / "www"), text)
    config.write_text(text.replace("/var/log/weir/", f"{tmp_path}/"))
    if "example.pem" in text:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=example.com", "-addext", "subjectAltName=DNS:example.com", "-keyout", tmp_path / "example.key",
                        "-out", tmp_path / "example.pem"], check=True, capture_output=True, timeout=60)
    run = subprocess.run([os.environ.get("WEIR_BIN") or BUILT / "weir", "check", "-c", config],
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


def test_manual_explains_every_key():
    """Each property of the schema stands in the reference."""
    reference = described("manual")

    def keys(schema):
        for name, inner in schema.get("properties", {}).items():
            yield name
            yield from keys(inner)
        for inner in [schema.get("items"), *schema.get("anyOf", []), *schema.get("oneOf", [])]:
            if isinstance(inner, dict):
                yield from keys(inner)

    missing = {key for key in keys(json.loads(read(KEPT))) if key not in reference}
    assert not missing
