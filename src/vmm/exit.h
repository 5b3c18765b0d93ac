/* SPDX-License-Identifier: MIT */
/*
 * How a VM ended, for a manager that was away when it did.
 */
#ifndef HOLM_VMM_EXIT_H
#define HOLM_VMM_EXIT_H

/**
 * exit_record() - append one line of JSON to @fd and have it on the disk:
 * {"end": "poweroff", "code": 0, "at": "2026-11-21T19:20:00.000Z"}, with "message" where not NULL.
 * @fd: -1: no manager wants it. Failures are logged.
 */
void exit_record(int fd, const char *end, int code, const char *message);

#endif
