#!/bin/sh
# SPDX-License-Identifier: MIT
# Seeded violations for tools/check-layers: each must be found, and a clean tree must pass.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/tools/seed.sh"
tool=$TOP/tools/check-layers

tree_clean
passes "layers: a clean tree passes" "$tool"

printf '#include "mem/mem.h"\n' >>"$TREE/src/dev/uart.c"
finds "layers: an include that is not permitted" 'dev/ may not include mem/' "$tool"

tree_clean
printf '/* #include "mem/mem.h" */\n' >>"$TREE/src/dev/uart.c"
passes "layers: an include in a comment is none" "$tool"

tree_clean
printf '#  include "mem.h"\n' >>"$TREE/src/mem/mem.c"
finds "layers: an include that is no full path" 'no full path' "$tool"

tree_clean
printf '#include "mem/../base/err.h"\n' >>"$TREE/src/mem/mem.c"
finds "layers: an include that goes round" 'no full path' "$tool"

tree_clean
mkdir "$TREE/src/rogue"
cp "$TREE/src/base/err.h" "$TREE/src/rogue/"
finds "layers: a folder that is not declared" "folder 'rogue' is not declared" "$tool"

tree_clean
sed -i 's/^mem: base/mem: base dev/' "$TREE/tools/layers.conf"
finds "layers: a line that names a folder below it" 'not declared above' "$tool"

tree_clean
printf '#include <linux/kvm.h>\n' >>"$TREE/src/mem/mem.c"
finds "layers: a system header outside its folder" 'linux/kvm.h> belongs to dev' "$tool"

tree_clean
printf '#include "mem/mem.c"\n' >>"$TREE/src/mem/mem.h"
finds "layers: an included .c" 'a .c is never included' "$tool"

tree_clean
printf '#include "mem/b.h"\n' >>"$TREE/src/mem/mem.h"
printf '/* SPDX-License-Identifier: MIT */\n#include "mem/mem.h"\n' >"$TREE/src/mem/b.h"
finds "layers: a cycle among files" 'file cycle: src/mem/' "$tool"

tree_clean
sed -i 's/^dev: base/dev: base mem/' "$TREE/tools/layers.conf"
finds "layers: a permission that nothing uses" "'dev' may include 'mem', which nothing" "$tool"
"$tool" --root "$TREE" --fit
passes "layers: --fit drops such a permission" "$tool"

tree_clean
sed -i 's/kvm.h: dev/kvm.h: dev mem/' "$TREE/tools/layers.conf"
finds "layers: a header permission that nothing uses" 'kvm.h>, which nothing uses' "$tool"

tap_done
