/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[_JOURNAL_LINE_TYPE_MAX] = {
	[JOURNAL_FAULT] = "fault", [JOURNAL_STEP] = "step",     [JOURNAL_BEGIN] = "begin",
	[JOURNAL_DID] = "did",     [JOURNAL_UNDONE] = "undone", [JOURNAL_END] = "end",
};

/* CRC-32 as in IEEE 802.3 and zlib, four bits at a time: a 64-byte table is enough here. */
uint32_t crc32_of(const char *data, size_t n)
{
	static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
					   0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
					   0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
					   0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < n; i++) {
		crc ^= (uint8_t)data[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

/* Puts the checksum in front of what `body` holds and a newline behind it. */
static void seal(const struct text *body, struct text *t)
{
	if (body->cut)
		t->cut = true;
	text_add(t, "%08" PRIx32 " %s\n", crc32_of(body->data, body->length), body->data);
}

void journal_print_header(const struct journal_header *h, struct text *t)
{
	char buffer[512];
	struct text body = TEXT(buffer);

	text_add(&body,
		 "fault id=%s action=%s boot=%s deadline=%" PRIu64 " pid=%" PRIu64 " start=%" PRIu64
		 " number=%" PRIu64,
		 h->id, h->action, h->boot, h->deadline, h->pid, h->start, h->number);
	seal(&body, t);
}

void journal_print_step(size_t index, const struct step *s, struct text *t)
{
	char buffer[JOURNAL_LINE_MAX - 16];
	struct text body = TEXT(buffer);

	text_add(&body, "step %zu ", index);
	step_encode(s, &body);
	seal(&body, t);
}

void journal_print_mark(enum journal_line_type type, size_t index, struct text *t)
{
	char buffer[64];
	struct text body = TEXT(buffer);

	text_add(&body, "%s", type_names[type]);
	if (type != JOURNAL_END)
		text_add(&body, " %zu", index);
	seal(&body, t);
}

static int parse_type(const char **p, enum journal_line_type *ret)
{
	size_t n = strcspn(*p, " ");

	for (unsigned i = 0; i < _JOURNAL_LINE_TYPE_MAX; i++) {
		if (strlen(type_names[i]) == n && memcmp(type_names[i], *p, n) == 0) {
			*ret = (enum journal_line_type)i;
			*p += n;
			*p += strspn(*p, " ");
			return 0;
		}
	}
	return -EBADMSG;
}

int journal_parse(const char *line, enum journal_line_type *ret_type, size_t *ret_index,
		  const char **ret_body)
{
	const char *p;
	unsigned int crc;
	unsigned long index = 0;
	int used = 0;

	if (sscanf(line, "%8x", &crc) != 1 || strcspn(line, " ") != 8 || line[8] != ' ')
		return -EBADMSG;
	p = line + 9;
	if (crc32_of(p, strlen(p)) != crc || parse_type(&p, ret_type) < 0)
		return -EBADMSG;
	if (*ret_type != JOURNAL_FAULT && *ret_type != JOURNAL_END) {
		if (sscanf(p, "%lu%n", &index, &used) != 1 || index >= STEPS_MAX)
			return -EBADMSG;
		p += used;
		p += strspn(p, " ");
	}
	*ret_index = index;
	*ret_body = p;
	return 0;
}

int journal_parse_header(const char *body, struct journal_header *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (sscanf(body,
		   "id=%23s action=%63s boot=%39s deadline=%" SCNu64 " pid=%" SCNu64
		   " start=%" SCNu64 " number=%" SCNu64,
		   ret->id, ret->action, ret->boot, &ret->deadline, &ret->pid, &ret->start,
		   &ret->number) != 7)
		return -EBADMSG;
	return 0;
}

void journal_replay_line(struct journal_replay *replay, const char *line, off_t at)
{
	enum journal_line_type type;
	size_t index;
	const char *body;

	if (journal_parse(line, &type, &index, &body) < 0) {
		replay->bad_lines++;
		return;
	}
	if (type == JOURNAL_FAULT) {
		if (journal_parse_header(body, &replay->header) == 0)
			replay->has_header = true;
		else
			replay->bad_lines++;
		return;
	}
	if (type == JOURNAL_END) {
		replay->ended = true;
		return;
	}
	if (index >= replay->n_steps)
		replay->n_steps = index + 1;
	if (type == JOURNAL_STEP) {
		replay->step_at[index] = at;
		replay->idle[index] = str_starts(body, "kind=cgroup ");
	}
	if (type == JOURNAL_BEGIN || type == JOURNAL_DID) { /* one of the two may be unreadable */
		replay->begun[index] = 1;
		replay->undone[index] = 0; /* it may be begun anew: waves come and go */
	}
	if (type == JOURNAL_UNDONE)
		replay->undone[index] = 1;
}

bool journal_owes(const struct journal_replay *replay, size_t index)
{
	return replay->begun[index] && !replay->undone[index];
}

bool journal_affects(const struct journal_replay *replay, size_t index)
{
	return journal_owes(replay, index) && !replay->idle[index];
}
