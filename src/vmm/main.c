/* SPDX-License-Identifier: MIT */
/*
 * holm-vmm: one VM, one process.
 */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		puts("holm-vmm " HOLM_VERSION);
		return HOLM_EXIT_OK;
	}
	fprintf(stderr, "holm: usage: holm-vmm --config-fd N | --probe; use 'holm run'\n");
	return HOLM_EXIT_USAGE;
}
