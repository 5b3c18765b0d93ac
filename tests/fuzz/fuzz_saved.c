/* SPDX-License-Identifier: MIT */
/*
 * Saved state that somebody has changed, its checksum put right: a machine is made from it or
 * refused with a sentence, and nothing crashes or leaks.
 *
 * Theory of operation: one machine is saved at the start. An input is a list of changes to that
 * file, so that most of it stays what a loader expects: 3 bytes of offset, 1 byte of value each.
 */
#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "machine/save.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#define HEAD	    32
#define CHANGES_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vm_config config;
static uint8_t *whole;
static size_t whole_len;

/* A multiboot kernel (Multiboot 0.6.96, 3.1) of one HLT. */
static int kernel(void)
{
	static const uint8_t elf[] = { 0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
				       0, 3, 0, 1, 0, 0, 0, 0x10, 0x10, 0x10, 0, 52, 0, 0, 0, 0, 0,
				       0, 0, 0, 0, 0, 0, 52, 0, 32, 0, 1, 0, 40, 0, 0, 0, 0, 0,
				       /* One segment: file offset 0x60 to 1 MiB + 4 KiB. */
				       1, 0, 0, 0, 0x60, 0, 0, 0, 0, 0x10, 0x10, 0, 0, 0x10, 0x10,
				       0, 0x20, 0, 0, 0, 0x20, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 0,
				       0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
				       /* Magic, flags, checksum; then code. */
				       0x02, 0xb0, 0xad, 0x1b, 0, 0, 0, 0, 0xfe, 0x4f, 0x52, 0xe4,
				       0, 0, 0, 0, 0xf4, 0xeb, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
				       0, 0, 0 };
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd < 0 || fd_write_full(fd, elf, sizeof(elf)))
		abort();
	return fd;
}

static void set(const char *field, const char *value)
{
	if (vm_config_set(&config, field, value, NULL))
		abort();
}

static void need(int ret, const struct err *e)
{
	if (ret) {
		fprintf(stderr, "%s\n", e->msg);
		abort();
	}
}

/* The file that is changed later. */
static void make_whole(void)
{
	struct machine *m;
	struct err e = { 0 };
	int state = memfd_create("state", MFD_CLOEXEC);

	log_setup(-1, LOG_ERROR);
	need(vm_config_init(&config, &e), &e);
	set("engine", "soft,jit=off");
	set("memory", "2M");
	set("net", "none");
	set("serial", "none");
	set("kernel", "k");
	config.kernel_fd = kernel();
	config.memory_fd = memfd_create("memory", MFD_CLOEXEC);
	need(machine_create(&m, &config, &e), &e);
	loop_lock(m->loop);
	need(save_write(m, state, config.memory_fd, &e), &e);
	loop_unlock(m->loop);
	m->kernel.fd = -1; /* it is needed again */
	machine_destroy(m);
	whole_len = (size_t)lseek(state, 0, SEEK_END);
	whole = malloc(whole_len);
	if (!whole || fd_pread_full(state, whole, whole_len, 0) != (ssize_t)whole_len)
		abort();
	close(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine *m;
	struct err e = { 0 };
	MEM_AUTO uint8_t *buf = NULL;
	int fd = memfd_create("state", MFD_CLOEXEC), keep;

	if (!whole)
		make_whole();
	buf = malloc(whole_len);
	if (!buf || fd < 0)
		abort();
	memcpy(buf, whole, whole_len);
	for (unsigned i = 0; i < CHANGES_MAX && size >= 4; i++, data += 4, size -= 4)
		buf[HEAD + (get_le32(data) & 0xffffff) % (whole_len - HEAD)] = data[3];
	put_le32(buf + 12, (uint32_t)crc32(0, buf + HEAD, (unsigned)(whole_len - HEAD)));
	if (fd_write_full(fd, buf, whole_len))
		abort();
	keep = config.kernel_fd;
	config.state_fd = fd;
	config.kernel_fd = dup(keep);
	if (machine_create(&m, &config, &e))
		BUG_ON(!e.msg[0]);
	else
		machine_destroy(m);
	config.kernel_fd = keep;
	close(fd);
	return 0;
}
