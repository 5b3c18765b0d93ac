/* SPDX-License-Identifier: MIT */
/*
 * openapi.json as it was when holmd was built (tools/embed makes the bytes).
 */
#ifndef HOLM_MGR_API_OPENAPI_H
#define HOLM_MGR_API_OPENAPI_H

#include <stddef.h>

extern const char api_openapi_json[];
/** Its length without the 0 at its end. */
extern const size_t api_openapi_json_len;

#endif
