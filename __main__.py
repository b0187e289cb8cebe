"""What plain `pulumi` runs: the program of `components.program`, as `fleet up` runs it.

Beside that program the only file that reads Pulumi's configuration and the process's environment.
"""

import os
from pathlib import Path

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from components.program import declare_stack

known = CONFIG.get()
declare_stack(pulumi.get_stack(), Path(), known, set(filter(is_config_secret, known)), os.environ)
