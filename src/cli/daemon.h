/* SPDX-License-Identifier: MIT */
/*
 * Where the manager listens on this host, and its start on demand.
 */
#ifndef HOLM_CLI_DAEMON_H
#define HOLM_CLI_DAEMON_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/un.h>

/**
 * daemon_socket() - the manager's socket: $HOLM_SOCKET, else /run/holm/holmd.sock where this user
 * may use it, else the user's own.
 * @addr: receives it
 * @own:  receives whether it is the user's own, whose manager is started on demand
 *
 * Return: 0, -EINVAL (the path is too long), -ENOENT (neither XDG_RUNTIME_DIR nor HOME is set).
 */
int daemon_socket(struct sockaddr_un *addr, bool *own, struct err *e) MUST_CHECK;

/**
 * daemon_ready() - see that a manager listens on @addr.
 * @start: where none does, start `holmd --user` and wait until it listens
 *
 * Return: 0, -ECONNREFUSED (none, or it did not come up: the sentence names its log), -EACCES.
 */
int daemon_ready(const struct sockaddr_un *addr, bool start, struct err *e) MUST_CHECK;

#endif
