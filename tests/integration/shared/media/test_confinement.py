"""A decoder that was taken over can compute and answer, and nothing else: no file, no network, no process. Tried from within the child."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
import structlog.testing

from shared.media import decoder_pool
from shared.media.fingerprinter import Fingerprinter
from tests.integration.shared.media.pictures import children_of, encoded, of_process, picture
from tests.integration.shared.test_media_hostile import FILES

ROOT = Path(__file__).parents[4]

WITHIN = """
import ctypes, json, mmap, os, signal, socket, sys, threading, time
from dataclasses import asdict
import shared.media.decoder_process as decode
from shared.media.fingerprinter import DEFAULT_LIMITS

lacking = json.loads(sys.argv[1])
for name in lacking:
    sys.modules[name] = None
libc = ctypes.CDLL(None, use_errno=True)
said = os.fdopen(os.dup(1), "wb")
parent = os.getppid()
secret = os.open("/etc/hostname", os.O_RDONLY)

def call(function, *arguments):
    if function(*arguments) == -1:
        raise OSError(ctypes.get_errno(), "")

def connect(family, address):
    with socket.socket(family) as one:
        one.settimeout(1)
        one.connect(address)

def run(program):
    mapped = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    mapped.close()

ATTEMPTS = {
    "read a file": lambda: open("/etc/passwd").read(),
    "read its own memory as a file": lambda: open("/proc/self/mem", "rb").read(1),
    "write a file": lambda: open("/tmp/written-by-a-decoder", "w"),
    "write into shared memory": lambda: open("/dev/shm/written-by-a-decoder", "w"),
    "list a folder": lambda: os.listdir("/"),
    "remove a file": lambda: os.unlink("/tmp/nothing"),
    "make a folder": lambda: os.mkdir("/tmp/made-by-a-decoder"),
    "make a pipe": lambda: os.pipe(),
    "a TCP socket": lambda: connect(socket.AF_INET, ("127.0.0.1", 9)),
    "a TCP socket of version 6": lambda: connect(socket.AF_INET6, ("::1", 9)),
    "a UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
    "a unix socket": lambda: socket.socket(socket.AF_UNIX).bind("\\0abstract"),
    "a pair of sockets": lambda: socket.socketpair(),
    "fork": lambda: os.fork() or os._exit(0),
    "a thread": lambda: threading.Thread(target=time.time).start(),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "a signal to its parent": lambda: os.kill(parent, signal.SIGCONT),
    "trace its parent": lambda: call(libc.ptrace, 16, parent, 0, 0),
    "read its parent's memory": lambda: call(libc.process_vm_readv, parent, None, 0, None, 0, 0),
    "memory that can be run": lambda: run(None),
    "become root": lambda: os.setresuid(0, 0, 0),
    "a new user namespace": lambda: call(libc.unshare, 0x10000000),
    "load a module of the kernel": lambda: call(libc.syscall, 313, -1, b"", 0),
    "limits of its parent": lambda: __import__("resource").prlimit(parent, 7, (9, 9)),
}

unconfined = decode.confined(DEFAULT_LIMITS, json.loads(sys.argv[2]), parent)
outcomes = {}
for name, attempt in ATTEMPTS.items():
    if name == "exec" and len(lacking) == 2:
        continue  # it would succeed, without a process to do it in
    try:
        attempt()
        outcomes[name] = "done"
    except (OSError, RuntimeError) as error:
        outcomes[name] = type(error).__name__
told = decode.answer(bytes.fromhex(sys.argv[3]), max_pixels=1_000_000)
said.write(json.dumps({"unconfined": unconfined, "outcomes": outcomes, "views": len(told.views), "uid": os.getuid()}).encode())
said.flush()
"""


def tried(*, without: tuple[str, ...] = (), ids: tuple[int, int] | None = None) -> dict[str, object]:
    """What the attempts came to, within a process confined as a decoder is; `without` these libraries."""
    process = subprocess.run(
        [
            *(sys.executable, "-c", WITHIN, json.dumps(without), json.dumps(ids)),
            encoded(picture(64, 64), "PNG").hex(),
        ],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=120,
    )
    said: dict[str, object] = json.loads(process.stdout)
    return said


def account() -> tuple[int, int] | None:
    return decoder_pool._ids_to_take()


def test_from_within_a_decoder_nothing_can_be_done() -> None:
    said = tried(ids=account())
    outcomes = said["outcomes"]
    assert isinstance(outcomes, dict)
    assert [name for name, outcome in outcomes.items() if outcome == "done"] == []
    assert said["unconfined"] == []
    assert said["views"] == 1, "and decodes all the same"
    assert said["uid"] != 0


@pytest.mark.parametrize("without", [("landlockpy",), ("pyseccomp",)])
def test_each_of_the_two_alone_keeps_files_network_and_processes_away(without: tuple[str, ...]) -> None:
    said = tried(without=without, ids=account())
    outcomes = said["outcomes"]
    assert isinstance(outcomes, dict)
    kept_away = ("read a file", "write a file", "a TCP socket", "fork", "exec", "a signal to its parent", "become root")
    assert [name for name in kept_away if outcomes[name] == "done"] == []
    assert said["unconfined"] == [{"landlockpy": "landlock", "pyseccomp": "seccomp"}[without[0]]]
    assert said["views"] == 1


def test_with_neither_it_works_and_says_so() -> None:
    said = tried(without=("landlockpy", "pyseccomp"), ids=account())
    assert said["unconfined"] == ["landlock", "seccomp"]
    assert said["views"] == 1
    outcomes = said["outcomes"]
    assert isinstance(outcomes, dict)
    assert outcomes["become root"] != "done"
    assert outcomes["fork"] != "done"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another account")
def test_root_without_an_account_to_become_says_so() -> None:
    assert tried(ids=None)["unconfined"] == ["account"]


async def test_the_child_runs_under_an_account_of_its_own_that_gains_nothing() -> None:
    async with Fingerprinter(workers=1) as one:
        await one.fingerprint(encoded(picture(40, 40), "PNG"))
        (child,) = children_of(os.getpid())
        status = dict(line.split(":\t", 1) for line in of_process(child, "status").splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    if os.geteuid() == 0:
        wanted = str(pwd.getpwnam(decoder_pool.ACCOUNT).pw_uid)
        assert status["Uid"].split() == [wanted] * 4
        assert status["Groups"].strip() == ""
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert decoder_pool.ACCOUNT != "takedown", "PostgreSQL lets that one in"


async def test_every_format_decodes_within_its_confines() -> None:
    """Nothing is imported, opened or started late by a decoder."""
    transparent = picture(64, 48)
    transparent.putalpha(90)
    more = [
        encoded(Image, form, **options)
        for Image, form, options in (
            (transparent, "PNG", {}),
            (transparent, "WEBP", {"lossless": True}),
            (transparent, "AVIF", {}),
            (transparent, "TIFF", {}),
            (picture(700, 500), "AVIF", {"speed": 10}),
            (picture(1400, 900), "WEBP", {}),
            (picture(64, 64).quantize(8), "GIF", {"transparency": 1}),
            (picture(64, 64).quantize(8), "PNG", {"transparency": b"\0\x10\x20"}),
            (picture(64, 64).convert("CMYK"), "TIFF", {}),
            (picture(64, 64).convert("1"), "BMP", {}),
            (picture(64, 64), "ICO", {}),
        )
    ]
    async with Fingerprinter(workers=1) as one:
        for file in (*FILES, *more):
            assert (await one.fingerprint(file)).all_seen


async def test_what_the_kernel_lacks_is_logged_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f"""#!{sys.executable}
import runpy, sys
sys.modules["landlockpy"] = sys.modules["pyseccomp"] = None
sys.argv = ["shared.media.decoder_process"]
runpy.run_module("shared.media.decoder_process", run_name="__main__")
"""
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with structlog.testing.capture_logs() as logged:
        async with Fingerprinter(workers=1) as one:
            for side in (40, 50):
                assert (await one.fingerprint(encoded(picture(side, side), "PNG"))).width == side
    assert [line for line in logged if line["event"] == "decoder.less_confined"] == [
        {"event": "decoder.less_confined", "log_level": "warning", "without": ["landlock", "seccomp"]}
    ]
