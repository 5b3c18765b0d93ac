# SPDX-License-Identifier: MIT
"""Two managers on one host: the start of one leaves the other's VMs alone. As root both are in the
same control groups' hierarchy. Usage: two.py TMP"""
import os
import sys
import time

import holmd

tmp = sys.argv[1]
kernel = holmd.payload(tmp, 'count')
for name in 'first', 'second':
    os.mkdir(os.path.join(tmp, name))
with holmd.Holmd(os.path.join(tmp, 'first')) as first:
    first.ok('POST', '/v1/vms', {'name': 'keeper', 'config': {
        'kernel': kernel, 'memory': 8 << 20, 'net': 'none', 'engine': 'soft'}})
    first.done('POST', '/v1/vms/keeper/start')
    before = first.vms()['keeper']['run']['pid']
    with holmd.Holmd(os.path.join(tmp, 'second')) as second:
        assert not second.vms()
        # It looks for what a manager before it has left at once, and again 200 ms later.
        time.sleep(1)
        keeper = first.vms()['keeper']
        assert keeper['state'] == 'running', keeper
        assert keeper['run']['pid'] == before, keeper
    assert first.vms()['keeper']['state'] == 'running'
print('the VM of the first goes on')
