// Frames as fast as asked for, each of a new flow or all of one: flowgen IFINDEX SECONDS RATE NEW < frame
// NEW: 1 counts up both ports. Prints frames sent, CPU nanoseconds spent, seconds.
// flowgen udp SECONDS 0 ADDRESS sends by a socket, through the guest's own stack; flowgen sink SECONDS 0 0 takes it in.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netpacket/packet.h>
#include <net/ethernet.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#define BATCH 64
static unsigned char frames[BATCH][2048];
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }

static struct iovec parts[BATCH];
static struct mmsghdr calls[BATCH];

static int told(unsigned long frames, double seconds) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e9 + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e3;
    printf("%lu %.0f %.3f\n", frames, cpu, seconds);
    return 0;
}

static int by_socket(const char *mode, double seconds, const char *address) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), sink = !strcmp(mode, "sink");
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(5300)};
    struct timeval patience = {0, 200000};
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(sink, &own);  // each its own CPU: what a frame costs does not depend on who was moved where
    sched_setaffinity(0, sizeof own, &own);
    inet_pton(AF_INET, sink ? "0.0.0.0" : address, &at.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (sink ? bind(fd, (void *)&at, sizeof at) : connect(fd, (void *)&at, sizeof at)) { perror(mode); return 1; }
    unsigned long taken = 0;
    double start = now();
    for (int n = 0; n < BATCH; n++) parts[n].iov_len = sink ? sizeof frames[0] : 64;
    while (now() - start < seconds) {
        int done = sink ? recvmmsg(fd, calls, BATCH, MSG_WAITFORONE, 0) : sendmmsg(fd, calls, BATCH, 0);
        if (done > 0) taken += done;
    }
    return told(taken, now() - start);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    for (int n = 0; n < BATCH; n++) {
        parts[n] = (struct iovec){frames[n], 64};
        calls[n].msg_hdr.msg_iov = &parts[n];
        calls[n].msg_hdr.msg_iovlen = 1;
    }
    if (argv[1][0] > '9') return by_socket(argv[1], atof(argv[2]), argv[4]);
    int size = fread(frames[0], 1, sizeof frames[0], stdin), fresh = atoi(argv[4]);
    double seconds = atof(argv[2]), rate = atof(argv[3]);
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = atoi(argv[1])};
    if (fd < 0 || bind(fd, (void *)&to, sizeof to)) { perror("bind"); return 1; }
    for (int n = 0; n < BATCH; n++) {
        memcpy(frames[n], frames[0], size);
        parts[n].iov_len = size;
    }
    unsigned long sent = 0, flow = 0;
    double start = now(), at = start;
    while (at - start < seconds) {
        if (rate > 0 && sent > (at - start) * rate) { usleep(200); at = now(); continue; }
        for (int n = 0; fresh && n < BATCH; n++, flow++) {
            frames[n][34] = flow >> 8; frames[n][35] = flow; frames[n][36] = flow >> 24; frames[n][37] = flow >> 16;
        }
        int done = sendmmsg(fd, calls, BATCH, 0);
        if (done > 0) sent += done;
        at = now();
    }
    return told(sent, at - start);
}
