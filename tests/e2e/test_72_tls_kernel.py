# SPDX-License-Identifier: BSD-2-Clause
"""Sending by the kernel's TLS, in a virtual machine that boots a kernel which has it: weir and its clients are all that is in there. Skipped
where there is no qemu-system-x86, linux-image-cloud-amd64, busybox-static and cpio, which no group of packages.txt has."""
import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import certificates
from server import WEIR, instrumented

MODULES = "gf128mul ghash-generic ctr gcm cryptd crypto_simd aesni-intel tls".split()
TOOLS = ("qemu-system-x86_64", "busybox", "cpio", "curl", "openssl", "ldd")
SECONDS = 400

CONFIG = """
threads: 1
user: nobody
log: { error: { path: stderr, level: info }, access: off }
tls: { certificates: [{ certificate: /etc/w/ecdsa.pem, key: /etc/w/ecdsa.key }] }
limits: { min_rate: 1 }
sites:
  - { listen: "https://127.0.0.1:443", root: /www }
"""

# What /init does. Each check prints "CHECK name ok" or what went wrong.
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ SSL_CERT_FILE=/etc/w/ca.pem
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
mount -t tmpfs www /www; chmod 755 /www
ip link set lo up
for module in @MODULES@; do insmod /modules/$module.ko; done
check() { name=$1; shift; if "$@" >/tmp/said 2>&1; then echo "CHECK $name ok"; else echo "CHECK $name: $? $(tail -n 5 /tmp/said)"; fi; }
used() { awk '/TlsTxSw/ { print $2 }' /proc/net/tls_stat; }
more() { now=$(used); [ $now -ge $(($before + $1)) ] || { echo "$before connections before, $now after"; return 1; }; }
count() { name=$1; connections=$2; shift 2; before=$(used); check "$name" "$@"; check "$name, by the kernel" more $connections; }
get() { curl -sS --cacert /etc/w/ca.pem --max-time 60 "$@"; }
same() { out=/tmp/got; rm -f $out; get -o $out "$@" https://localhost/big && cmp $out /www/big; }
range() { rm -f /tmp/got; get -o /tmp/got -r 100001-4500000 "$@" https://localhost/big
    dd if=/www/big bs=65536 2>/dev/null | tail -c +100002 | head -c 4400000 >/tmp/part; cmp /tmp/got /tmp/part; }
again() { rm -f /tmp/got.*; get "$@" -o /tmp/got.1 https://localhost/big -o /tmp/got.2 https://localhost/small -o /tmp/got.3 https://localhost/big \
    -w '%{num_connects}' >/tmp/connects && cmp /tmp/got.1 /www/big && cmp /tmp/got.2 /www/small && cmp /tmp/got.3 /www/big && [ "$(cat /tmp/connects)" = 100 ]; }
notified() { printf 'GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' |
    timeout 60 openssl s_client -connect 127.0.0.1:443 -servername localhost -quiet -msg -msgfile /tmp/messages -ign_eof "$@" >/tmp/got 2>/tmp/said
    cat /tmp/said; tail -c $(wc -c </www/big) /tmp/got | cmp - /www/big && grep '<<<.*Alert.*warning close_notify' /tmp/messages; }
slow() { same --limit-rate 4M -H 'Connection: close' "$@"; }
alike() {
    count "$1 HTTP/1.1" 1 same --http1.1 --tlsv1.3
    count "$1 close_notify" 1 notified -tls1_3
    count "$1 slow and closed" 1 slow --http1.1
    count "$1 slow and closed, HTTP/1.0" 1 slow --http1.0 --no-alpn
}
dd if=/dev/urandom of=/www/big bs=1000000 count=5 2>/dev/null
echo small >/www/small
echo 'root:x:0:0::/:' >/etc/passwd; echo 'nobody:x:65534:65534::/:' >>/etc/passwd; echo 'root:x:0:' >/etc/group; echo 'nogroup:x:65534:' >>/etc/group
echo '127.0.0.1 localhost' >/etc/hosts; : >/etc/resolv.conf
weir run -c /etc/w/weir.yaml >/tmp/log 2>&1 &
for i in $(seq 100); do curl -s --cacert /etc/w/ca.pem -o /dev/null https://localhost/small && break; sleep 0.1; done
count "TLS 1.2" 1 same --http1.1 --tls-max 1.2
count "AES-256" 1 same --http1.1 --tls13-ciphers TLS_AES_256_GCM_SHA384
count "AES-256 of TLS 1.2" 1 same --http1.1 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES256-GCM-SHA384
count "range" 1 range --http1.1
count "kept alive" 1 again --http1.1
count "close_notify of TLS 1.2" 1 notified -tls1_2
before=$(used)
check "ChaCha20" same --http1.1 --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256
check "HTTP/2" same --http2
check "small" get -o /dev/null https://localhost/small
check "neither by the kernel" [ $(used) = $before ]
alike "roomy:"
echo "4096 16384 65536" >/proc/sys/net/ipv4/tcp_wmem; echo "4096 16384 65536" >/proc/sys/net/ipv4/tcp_rmem
alike "narrow:"
echo LOG; cat /tmp/log; echo STAT; cat /proc/net/tls_stat; dmesg | grep -E 'BUG|WARNING|Oops|protection'
echo DONE
poweroff -f
"""


def kernel():
    """The newest image with its modules, or None."""
    found = []
    for image in Path("/boot").glob("vmlinuz-*-cloud-amd64"):
        folder = Path("/lib/modules", image.name.partition("-")[2])
        paths = [next(folder.rglob(f"{name}.ko"), None) for name in MODULES]
        if all(paths) and os.access(image, os.R_OK):
            found.append((image, paths))
    return max(found, default=None)


def libraries(program):
    said = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=20)
    return {Path(path) for path in re.findall(r"(/\S+)", said.stdout) if Path(path).exists()}


def put(source, root, to=None):
    target = root / str(to or source).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    target.chmod(0o755)


def image(root, modules):
    """What the machine boots with, as a packed archive."""
    for name in "proc sys dev tmp run www bin etc/w modules usr/lib/ssl etc/ssl".split():
        (root / name).mkdir(parents=True, exist_ok=True)
    put(shutil.which("busybox"), root, "bin/busybox")
    for path in modules:
        put(path, root, f"modules/{path.name}")
    for program in (shutil.which(WEIR), shutil.which("curl"), shutil.which("openssl")):
        put(program, root, f"bin/{Path(program).name}")
        for library in libraries(program):
            put(library, root)
    (root / "etc/ssl/openssl.cnf").write_text("")
    (root / "usr/lib/ssl/openssl.cnf").write_text("")
    certificates.server_certificate("ecdsa").write(root / "etc/w", "ecdsa")
    certificates.replace(root / "etc/w/ca.pem", certificates.authority().alone)
    (root / "etc/w/weir.yaml").write_text(CONFIG)
    (root / "init").write_text(INIT.replace("@MODULES@", " ".join(MODULES)))
    (root / "init").chmod(0o755)
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    packed = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=root, input=names, capture_output=True, check=True)
    return gzip.compress(packed.stdout, 1)


def boot(kernel_image, archive, console):
    """Emulated: it is a matter of seconds, and what a machine in a machine offers besides does not always work."""
    with open(console, "wb") as said:
        subprocess.run(
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "768", "-nographic", "-no-reboot", "-net", "none",
             "-kernel", kernel_image, "-initrd", archive, "-append", "console=ttyS0 panic=-1 quiet"],
            stdin=subprocess.DEVNULL, stdout=said, timeout=SECONDS, check=True)
    return Path(console).read_text(errors="replace").replace("\r", "")


def test_files_by_the_kernel(tmp_path):
    """Over HTTP/1: whole files, ranges, kept-alive connections, both versions, slow readers, the end: all right, and by the kernel; with little
    room in the socket too, where a record is seldom queued at once."""
    found = kernel()
    if instrumented():
        pytest.skip("an emulated machine is slow enough")
    missing = [name for name in TOOLS if not shutil.which(name)] + ([] if found else ["a kernel with its modules"])
    if missing:
        pytest.skip(f"there is no {', '.join(missing)}")
    root = tmp_path / "root"
    archive = tmp_path / "archive.gz"
    archive.write_bytes(image(root, found[1]))
    said = boot(found[0], archive, tmp_path / "console")
    print(said)
    assert "\nDONE" in said, said[-3000:]
    checks = re.findall(r"CHECK .*", said)
    assert len(checks) == 2 * 6 + 4 + 2 * 2 * 4
    assert [line for line in checks if not line.endswith(" ok")] == []
    assert "TLS: the kernel encrypts large files" in said
    assert not re.search(r"BUG|WARNING|Oops|check failed", said)
