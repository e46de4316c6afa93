# SPDX-License-Identifier: BSD-2-Clause
"""A real site to serve: packages from npm, photographs from a Debian package, films made by ffmpeg, names with spaces and
UTF-8. It is made once and kept in $WEIR_MATERIAL, else in the build folder, else in the user's cache."""
import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PHOTOGRAPHS = "lomiri-wallpapers-16.04"
FILM = ["-f", "lavfi", "-i", "testsrc=size=640x360:rate=24:duration=40", "-f", "lavfi", "-i",
    "sine=frequency=440:duration=40",
        "-vf", "noise=alls=24:allf=t", "-pix_fmt", "yuv420p", "-threads", "2"]
FILMS = {
    "film.mp4": ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1500k", "-c:a", "aac", "-movflags",
    "+faststart"],
    "film.webm": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1500k", "-c:a",
    "libvorbis"],
}
TOOLS = ("node", "npm", "ffmpeg", "apt-get", "dpkg-deb")
CHROMIUM = "/usr/bin/chromium"


class Missing(Exception):
    """The site cannot be made here: a tool or the network is missing."""


def folder():
    if os.environ.get("WEIR_MATERIAL"):
        return Path(os.environ["WEIR_MATERIAL"])
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "weir-material"
    if os.environ.get("WEIR_BUILDDIR"):
        return Path(os.environ["WEIR_BUILDDIR"]) / "tests" / "e2e" / "material-made"
    return Path.home() / ".cache" / "weir-material"


def run(*arguments, cwd=None):
    try:
        done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, errors="replace",
            timeout=400, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise Missing(f"{arguments[0]}: {fault}") from None
    if done.returncode:
        raise Missing(f"{' '.join(arguments[:3])} ended with {done.returncode}: {done.stderr.strip()[-300:]}")


def packages(base, source=HERE / "material"):
    """npm packages, exactly those of the lock file in `source`."""
    mark = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    stamp = base / "packages.stamp"
    if stamp.exists() and stamp.read_text(encoding="ascii") == mark:
        return
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(source / name, base / name)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=base)
    stamp.write_text(mark, encoding="ascii")


def photographs(base):
    """Photographs, from the installed package or from its archive."""
    target = base / "photographs"
    if target.is_dir():
        return
    found = sorted(Path("/usr/share/backgrounds").glob("*_by_*.jpg"))
    if len(found) < 5:
        work = base / "debian"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        options = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        run("apt-get", *options, "download", PHOTOGRAPHS, cwd=work)
        archive = next(work.glob("*.deb"))
        run("dpkg-deb", "-x", str(archive), str(work / "x"))
        found = sorted((work / "x" / "usr/share/backgrounds").glob("*.jpg"))
    new = base / "photographs.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for photograph in found[:8]:
        shutil.copyfile(photograph, new / photograph.name)
    new.rename(target)
    shutil.rmtree(base / "debian", ignore_errors=True)


def films(base):
    for name, options in FILMS.items():
        if not (base / name).exists():
            run("ffmpeg", "-nostdin", "-v", "error", "-y", *FILM, *options, str(base / ("new-" + name)))
            (base / ("new-" + name)).rename(base / name)


def prepare():
    """Makes what is not there yet; returns the folder. One process at a time. Raises Missing."""
    absent = [tool for tool in TOOLS if not shutil.which(tool)]
    if absent:
        raise Missing("not installed: " + ", ".join(absent))
    base = folder()
    base.mkdir(parents=True, exist_ok=True)
    with open(base / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages(base)
        photographs(base)
        films(base)
    return base


def link(source, target):
    """A second name for a file, or a copy where that cannot be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    target.chmod(0o644)


def tree(source, target, suffixes=None):
    for path in sorted(source.rglob("*")):
        if path.is_file() and (suffixes is None or path.suffix in suffixes):
            link(path, target / path.relative_to(source))


def build(root):
    """Lays the site out in a root. Returns the folder with the browser's driver among its packages."""
    base = prepare()
    modules = base / "node_modules"
    tree(modules / "bootstrap" / "dist", root / "bootstrap")
    tree(modules / "three" / "build", root / "three")
    tree(modules / "three" / "examples" / "jsm" / "controls", root / "three" / "addons" / "controls")
    tree(modules / "three" / "examples" / "jsm" / "math", root / "three" / "addons" / "math")
    tree(modules / "@fontsource" / "inter" / "files", root / "fonts", (".woff", ".woff2"))
    found = sorted((base / "photographs").iterdir())
    names = ["plain.jpg", "with spaces.jpg", "ümläut.jpg", "日本の写真.jpg", "50% & more + #1.jpg"] + [path.name
        for path in found[5:]]
    for path, name in zip(found, names):
        link(path, root / "photos" / name)
    for name in FILMS:
        link(base / name, root / "films" / name)
    for page in (HERE / "material" / "pages").iterdir():
        shutil.copyfile(page, root / page.name)
    for path in root.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    return base
