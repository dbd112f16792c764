"""``python -m gridproof`` is the ``gridproof`` command."""

from gridproof.federation.cli.main import main

if __name__ == "__main__":
    main()
