/* SPDX-License-Identifier: MIT */
/*
 * Word to the service manager that started us, sd_notify(3): one datagram.
 */
#ifndef HOLM_MGR_NOTIFY_H
#define HOLM_MGR_NOTIFY_H

/** notify_service() - "READY=1" and the like; nothing where nobody asked for it. */
void notify_service(const char *state);

#endif
