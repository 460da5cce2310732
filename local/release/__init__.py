"""Makes and checks a release: `python -m local.release build` makes its files, `python -m local.release check` installs from them alone.

`make release` and `make release-check` run these.
"""
