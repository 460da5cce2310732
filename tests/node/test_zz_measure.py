import time
from tests.node import test_keys
from tests.node.test_keys import *
from tests.node.test_keys import keyed  # noqa
test_keys.IN_FORCE_WITHIN = 150
def test_measure(keyed, tmp_path):
    on = keyed.on
    silent = tmp_path / "silent.py"
    silent.write_text("import sys\nfrom dynamiq_operator import __main__\nfrom dynamiq_operator.plan import keys\nkeys.telling = lambda *a: ()\nsys.exit(__main__.main())\n")
    took = []
    with operator(on, folder=tmp_path, program=[str(silent)]):
        for n in range(2):
            key = f"k-{n}"
            t = time.monotonic(); keyed.change(**{f"m{n}": key}); keyed.until_everywhere(key, ALLOWED); a = time.monotonic() - t
            took.append(round(a,1))
    print("WITHOUT", took)
