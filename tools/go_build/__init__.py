"""How are programs built from Go modules, once, with an honest word on how long it takes?

Owns the toolchain, the finished sets of programs and the progress shown meanwhile. Leaves out what
is built: the cluster's programs (tools/cluster/binaries.py) and Pulumi's (tools/engine_build).
"""
