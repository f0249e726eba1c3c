"""System accounts without rights, for child processes that need none: found, or as root made when missing."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess

from shared.errors import Permanent


class AccountMissing(Permanent):
    """There is no such system account, and it could not be made."""


def system_account(name: str) -> pwd.struct_passwd:
    """The account of this name. If it is missing, root makes it, without home, shell or password. Blocks. Raises AccountMissing."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise AccountMissing(f"No account {name!r} and no useradd to make it.")
    argv = [program, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    result = subprocess.run(  # noqa: S603 - a fixed program
        [*argv, "--shell", "/usr/sbin/nologin", name], capture_output=True, text=True, check=False
    )
    try:
        return pwd.getpwnam(name)  # also when another process made it meanwhile
    except KeyError:
        raise AccountMissing(f"useradd {name} failed: {result.stderr.strip()}") from None
