/* SPDX-License-Identifier: Apache-2.0 */
/* The hands of latency.py. Takes commands from stdin, one a line, and answers each with one line.
 * All times are nanoseconds of CLOCK_MONOTONIC.
 *
 *   floor        attach an empty program to TCX egress and close its link again: "ATTACH DETACH",
 *                zeros without TCX
 *   hold, drop   attach one to TCX ingress, and close it again
 *   go           send a packet every 50 us until the next line of input: "going" after the first
 *                that arrived, then, when told to stop,
 *                "SENT FIRST-LOST FIRST-THROUGH-AGAIN LONGEST-GAP STRAYS": how many, when the first
 *                lost one was sent, when the next one arrived (0: none), the longest time between
 *                two sends, and how many were lost outside of that
 *
 * The receiver is a socket in the other namespace. A veth pair delivers on the sender's CPU before
 * send() returns, or a little later; which packet came is read from its number. */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PORT        9997
#define PACE_NS     50000
#define HOLD_US     5000   /* at least, and up to five times that */
#define PACKETS_MAX 100000 /* 5 s */
#define TCX_INGRESS 46     /* BPF_TCX_INGRESS */
#define TCX_EGRESS  47     /* BPF_TCX_EGRESS */

static struct {
	uint64_t sent, arrived;
} packets[PACKETS_MAX];

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int load_empty(void)
{
	static const struct bpf_insn program[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K,
						   .dst_reg = BPF_REG_0,
						   .imm = -1}, /* TCX_NEXT */
						  {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insns = (uint64_t)(uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(program[0]);
	attr.license = (uint64_t)(uintptr_t) "Dual MIT/GPL";
	return bpf(BPF_PROG_LOAD, &attr);
}

/* A link, or -1 on a kernel without TCX. */
static int attach_empty(int ifindex, uint32_t where)
{
	static int program = -1;
	union bpf_attr attr;

	if (program < 0)
		program = load_empty();
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)program;
	attr.link_create.target_ifindex = (uint32_t)ifindex;
	attr.link_create.attach_type = where;
	return bpf(BPF_LINK_CREATE, &attr);
}

static void measure_floor(int ifindex)
{
	uint64_t start = now_ns(), attached, detach;
	int link = attach_empty(ifindex, TCX_EGRESS);

	attached = now_ns();
	if (link < 0) {
		puts("0 0");
		return;
	}
	/* At once, the next wait would begin in step with the tick, or behind the last one. */
	usleep((useconds_t)(HOLD_US + rand() % (4 * HOLD_US)));
	detach = now_ns();
	close(link);
	printf("%llu %llu\n", (unsigned long long)(attached - start),
	       (unsigned long long)(now_ns() - detach));
}

static void hold(int ifindex, bool on)
{
	static int link = -1;

	if (link >= 0)
		close(link);
	link = on ? attach_empty(ifindex, TCX_INGRESS) : -1;
	puts("ok");
}

static int receiver_in(const char *namespace, const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int here = open("/proc/self/ns/net", O_RDONLY), there, fd;
	char path[256];

	snprintf(path, sizeof(path), "/run/netns/%s", namespace);
	there = open(path, O_RDONLY);
	if (here < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
		err(1, "%s", path);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	inet_pton(AF_INET, address, &at.sin_addr);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    setns(here, CLONE_NEWNET) < 0)
		err(1, "receive at %s", address);
	close(here);
	close(there);
	return fd;
}

static int sender_to(const char *address)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		err(1, "send to %s", address);
	return fd;
}

static int drain(int receiver)
{
	uint32_t number;
	int n = 0;

	while (recv(receiver, &number, sizeof(number), 0) == sizeof(number)) {
		if (number < PACKETS_MAX && packets[number].arrived == 0)
			packets[number].arrived = now_ns();
		n++;
	}
	return n;
}

/* The fault is the longest run of lost packets; what is lost outside it was lost by something else.
 */
static void report(uint32_t n)
{
	uint32_t first = 0, after = 0, start = 0, lost = 0;
	uint64_t gap = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (i > 0 && packets[i].sent - packets[i - 1].sent > gap)
			gap = packets[i].sent - packets[i - 1].sent;
		if (packets[i].arrived) {
			start = i + 1;
			continue;
		}
		lost++;
		if (i + 1 - start > after - first) {
			first = start;
			after = i + 1;
		}
	}
	printf("%u %llu %llu %llu %u\n", n,
	       (unsigned long long)(after > first ? packets[first].sent : 0),
	       (unsigned long long)(after < n ? packets[after].arrived : 0),
	       (unsigned long long)gap, lost - (after - first));
}

static void go(int sender, int receiver)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t next = now_ns(), told = 0;
	char line[16];
	uint32_t n;

	drain(receiver); /* of an earlier round */
	memset(packets, 0, sizeof(packets));
	for (n = 0; n < PACKETS_MAX && poll(&input, 1, 0) == 0; n++) {
		struct timespec at = {(time_t)(next / 1000000000), (long)(next % 1000000000)};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		packets[n].sent = now_ns();
		next = packets[n].sent + PACE_NS;
		(void)!send(sender, &n, sizeof(n), 0); /* a refused one is a lost one */
		if (drain(receiver) && !told) {
			told = 1;
			puts("going");
		}
	}
	usleep(2000);
	drain(receiver);
	(void)!fgets(line, sizeof(line), stdin);
	report(n);
}

int main(int argc, char **argv)
{
	int sender, receiver, ifindex;
	char line[16];

	if (argc != 4)
		errx(1, "usage: latency INTERFACE NAMESPACE ADDRESS");
	ifindex = (int)if_nametoindex(argv[1]);
	receiver = receiver_in(argv[2], argv[3]);
	sender = sender_to(argv[3]);
	prctl(PR_SET_TIMERSLACK, 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "floor\n") == 0)
			measure_floor(ifindex);
		else if (strcmp(line, "hold\n") == 0 || strcmp(line, "drop\n") == 0)
			hold(ifindex, line[0] == 'h');
		else if (strcmp(line, "go\n") == 0)
			go(sender, receiver);
		else
			errx(1, "no such command: %s", line);
	}
	return 0;
}
