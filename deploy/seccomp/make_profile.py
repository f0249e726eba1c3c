"""Writes `notifier.json`: the system calls of the container in which Chromium looks, for Docker's `security_opt: seccomp=…`.

    .venv/bin/python deploy/seccomp/make_profile.py > deploy/seccomp/notifier.json

Docker's own profile gives no user namespaces, without which Chromium's sandbox cannot start. This one allows every call that the
system's libseccomp knows on x86-64 and arm64 but those of `REFUSED`: what Docker's documentation says its own profile refuses, and what
came since, less the two calls that the sandbox is made of: `clone` with new namespaces, and `chroot`, which the kernel allows it in its
own user namespace alone. No other namespace can be entered (`setns`), and nothing can be mounted in one.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pyseccomp

REFUSED = frozenset((
    "acct", "add_key", "adjtimex", "afs_syscall", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module",
    "fanotify_init", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "get_kernel_syms", "get_mempolicy", "init_module",
    "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl",
    "listmount", "lookup_dcookie", "lsm_set_self_attr", "mbind", "migrate_pages", "modify_ldt", "mount", "mount_setattr", "move_mount",
    "move_pages", "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree", "open_tree_attr", "pciconfig_iobase",
    "pciconfig_read", "pciconfig_write", "perf_event_open", "personality", "pidfd_getfd", "pivot_root", "process_madvise",
    "process_vm_readv", "process_vm_writev", "query_module", "quotactl", "quotactl_fd", "reboot", "request_key", "rtas",
    "s390_runtime_instr", "security", "set_mempolicy", "set_mempolicy_home_node", "setdomainname", "sethostname", "setns",
    "settimeofday", "statmount", "stime", "swapoff", "swapon", "sysfs", "syslog", "tuxcall", "umount", "umount2", "uselib",
    "userfaultfd", "ustat", "vhangup", "vm86", "vm86old", "vserver", "_sysctl",
))  # fmt: skip
"""The kernel's clock, modules, keys, mounts, tracing, memory of others, and what has often been a hole."""
_WITHOUT_ANSWER = ("clone3",)
"""Its flags lie in memory, where no filter sees them: the C library then takes `clone`."""
_AF_ALG, _AF_VSOCK = 38, 40
"""`socket` of the kernel's ciphers and of the virtual machine's host is refused."""
_ENOSYS, _EPERM = 38, 1
_HIGHEST_NUMBER = 600


def known_calls() -> list[str]:
    """The names that libseccomp has for both architectures."""
    found = set()
    for architecture in (pyseccomp.Arch.X86_64, pyseccomp.Arch.AARCH64):
        for number in range(_HIGHEST_NUMBER):
            try:
                found.add(pyseccomp.resolve_syscall(architecture, number).decode())
            except (ValueError, OSError):
                continue
    return sorted(found)


def profile() -> dict[str, Any]:
    """In the form of Docker's profiles (runtime-spec, `linux.seccomp`)."""
    apart = REFUSED | {*_WITHOUT_ANSWER, "socket"}
    families = [("SCMP_CMP_LT", _AF_ALG), ("SCMP_CMP_EQ", _AF_ALG + 1), ("SCMP_CMP_GT", _AF_VSOCK)]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [
            {"names": [name for name in known_calls() if name not in apart], "action": "SCMP_ACT_ALLOW"},
            *(
                {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": family, "op": op}]}
                for op, family in families
            ),
            {"names": list(_WITHOUT_ANSWER), "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
        ],
    }


if __name__ == "__main__":
    json.dump(profile(), sys.stdout, indent=1)
    print()
