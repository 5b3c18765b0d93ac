/* SPDX-License-Identifier: MIT */
/*
 * Threads of this program: few, named, with small stacks.
 */
#ifndef HOLM_BASE_THREAD_H
#define HOLM_BASE_THREAD_H

#include "base/compiler.h"

#include <pthread.h>

/*
 * Bytes of stack per thread. Below the 2 MiB of a huge page, because a stack of the usual 8 MiB
 * gets one where transparent huge pages are on: 2 MiB resident for the few KiB that are used.
 */
#define THREAD_STACK (512U << 10)

/**
 * thread_start() - pthread_create() with THREAD_STACK bytes of stack.
 *
 * The new thread has the signal mask of the caller; the caller joins it.
 *
 * Return: 0, or -errno (-EAGAIN: too many threads).
 */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg) MUST_CHECK;

#endif /* HOLM_BASE_THREAD_H */
