"""How programs are compiled: quickly for most tests, as for users where a test looks at what is compiled.

The tests compile many thousand programs, which are tiny and run a few times: what they wait for is the compiler.
"""

from typing import Any

import jax

OPTIONS: dict[str, tuple[Any, Any]] = {  # for most tests, and for users
    "xla_backend_optimization_level": (0, 3),
    "xla_cpu_parallel_codegen_split_count": (1, 32),
}
if jax.__version_info__ < (0, 11):
    OPTIONS["xla_cpu_use_fusion_emitters"] = (False, True)  # newer compilers have no other emitters

QUICKLY = " ".join(f"--{name}={str(quick).lower()}" for name, (quick, _) in OPTIONS.items())
AS_FOR_USERS = {name: usual for name, (_, usual) in OPTIONS.items()}
