/* SPDX-License-Identifier: MIT */
/*
 * Libraries that are loaded when they are first needed, see dl.h.
 */
#include "cli/dl.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

int dl_load(const char *soname, const struct dl_symbol *symbols, size_t n, void *table,
	    struct err *e)
{
	void *lib = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);

	if (!lib)
		return err_set(e, -ENOENT, "cannot load %s, which talking to the manager needs: %s",
			       soname, dlerror());
	for (size_t i = 0; i < n; i++) {
		void *f = dlsym(lib, symbols[i].name);

		if (!f)
			return err_set(e, -ENOENT, "%s is too old: it has no %s", soname,
				       symbols[i].name);
		memcpy((char *)table + symbols[i].offset, &f, sizeof(f));
	}
	return 0;
}
