// Writes one word to every page of 24 MiB, round and round, with a millisecond's rest after 2,000 pages: a guest whose
// memory is dirty while it moves. No libc, so that it is one small file that any Linux guest of this machine runs.
static long call(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

void _start(void) {
    const long size = 24l << 20, page = 4096;
    volatile long *memory = (long *)call(9, 0, size, 3, 0x22, -1, 0);  // mmap, read and write, private and anonymous
    long rest[2] = {0, 1000000};
    for (long round = 0;; round++)
        for (long at = 0; at < size; at += page) {
            memory[at / 8] = round;
            if (at % (2000 * page) == 0) call(35, (long)rest, 0, 0, 0, 0, 0);  // nanosleep
        }
}
