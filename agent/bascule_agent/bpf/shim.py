"""A kernel source directory of ten tiny files: all that bcc needs to compile programs that bring their own structs.

bcc insists on -nostdinc and kernel headers; its embedded helpers include only what is written here, so neither
linux-headers nor linux-libc-dev has to be installed.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

_TYPES = """\
#ifndef _SHIM_TYPES_H
#define _SHIM_TYPES_H
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32; typedef unsigned long long __u64;
typedef signed char __s8; typedef short __s16; typedef int __s32; typedef long long __s64;
typedef __u16 __be16, __le16, __sum16; typedef __u32 __be32, __le32, __wsum; typedef __u64 __be64, __le64;
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64;
typedef __s8 s8; typedef __s16 s16; typedef __s32 s32; typedef __s64 s64;
typedef __u8 uint8_t; typedef __u16 uint16_t; typedef __u32 uint32_t; typedef __u64 uint64_t;
typedef __s8 int8_t; typedef __s16 int16_t; typedef __s32 int32_t; typedef __s64 int64_t;
typedef _Bool bool; typedef __SIZE_TYPE__ size_t; typedef long ssize_t; typedef unsigned long uintptr_t;
typedef int pid_t; typedef unsigned int uid_t, gid_t;
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#define __bitwise
enum { false = 0, true = 1 };
#define NULL ((void*)0)
#endif
"""
_BPF_COMMON = """\
#define BPF_CLASS(code) ((code) & 7)
#define BPF_LD 0
#define BPF_LDX 1
#define BPF_ST 2
#define BPF_STX 3
#define BPF_ALU 4
#define BPF_JMP 5
#define BPF_RET 6
#define BPF_MISC 7
"""
_ETHERNET = """\
#ifndef _SHIM_IF_ETHER_H
#define _SHIM_IF_ETHER_H
#include <linux/types.h>
#define ETH_ALEN 6
#define ETH_HLEN 14
struct ethhdr { unsigned char h_dest[6], h_source[6]; __be16 h_proto; } __attribute__((packed));
#endif
"""


def _version(release: str) -> str:
    numbers = [int(n) for n in re.findall(r"\d+", release.split("-")[0])[:3]] + [0, 0, 0]
    code = (numbers[0] << 16) + (numbers[1] << 8) + min(numbers[2], 255)
    return f"#define LINUX_VERSION_CODE {code}\n#define KERNEL_VERSION(a,b,c) (((a)<<16)+((b)<<8)+((c)>255?255:(c)))\n"


def make_shim(directory: Path) -> None:
    """Write the files for the running kernel into `directory`; point BCC_KERNEL_SOURCE at it before importing bcc."""
    files = {
        "linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n#define CONFIG_64BIT 1\n",
        "linux/types.h": _TYPES,
        "linux/version.h": _version(platform.release()),
        "linux/log2.h": "",
        "linux/bpf_common.h": _BPF_COMMON,
        "asm/page.h": "#define PAGE_SHIFT 12\n#define PAGE_SIZE 4096UL\n",
        "uapi/linux/types.h": "#include <linux/types.h>\n",
        "uapi/linux/bpf.h": "",
        "uapi/linux/if_packet.h": "",
        "uapi/linux/if_ether.h": _ETHERNET,
    }
    for name, text in files.items():
        path = directory / "include" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
